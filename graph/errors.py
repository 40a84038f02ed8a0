"""Refusals and failures of the graph."""

from domain.errors import DomainError, Unavailable


class GraphUnavailable(Unavailable):
    """Report that the graph engine could not answer in time."""


class GraphLimit(DomainError):
    """Refuse an answer larger than a request may ask for."""

    code = "QUERY_TOO_COMPLEX"


class GraphWriteRefused(Exception):
    """Report query text that writes where only reading is allowed; a programming mistake."""


class GraphEngineError(Exception):
    """Report that the embedded engine could not be started or kept running."""


class GraphEngineMissing(GraphEngineError):
    """Report that no engine wheel is installed that fits this platform."""


class GraphDirectoryInUse(GraphEngineError):
    """Report that another server holds the graph directory."""
