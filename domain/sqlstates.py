"""What PostgreSQL's error codes mean to a client."""

from collections.abc import Mapping

from domain.errors import Conflict, DomainError, Timeout, Unavailable

_BY_SQLSTATE: Mapping[str, type[DomainError]] = {
    "55P03": Conflict,  # lock_not_available
    "40001": Conflict,  # serialization_failure
    "40P01": Conflict,  # deadlock_detected
    "23505": Conflict,  # unique_violation: two made the same thing at once, and no service took it for a refusal
    "57014": Timeout,  # query_canceled by statement_timeout
    "57P01": Unavailable,  # admin_shutdown
    "57P03": Unavailable,  # cannot_connect_now
    "53300": Unavailable,  # too_many_connections
}


def refusal_of(state: str | None) -> DomainError | None:
    """Return the refusal a client can act on, or None for an error that is a fault of ours."""
    known = _BY_SQLSTATE.get(state or "")
    if known is not None:
        return known()
    return Unavailable("The database is not available now.") if (state or "").startswith("08") else None
