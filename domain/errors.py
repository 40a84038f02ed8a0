"""Refusals: every expected no has a class, a code to branch on and, where there is one, the field it names."""

from collections.abc import Iterable
from typing import ClassVar


class DomainError(Exception):
    """An expected refusal. `field` is the path of the offending input, outermost first, or empty."""

    code: ClassVar[str] = "BAD_USER_INPUT"
    default: ClassVar[str] = "The request was refused."

    def __init__(self, message: str | None = None, *, field: Iterable[str] = ()) -> None:
        self.message = message or self.default
        self.field = tuple(field)
        super().__init__(self.message)


class BadInput(DomainError):
    code = "BAD_USER_INPUT"
    default = "The input is not valid."


class Unauthenticated(DomainError):
    code = "UNAUTHENTICATED"
    default = "A valid access token is required."


class Forbidden(DomainError):
    code = "FORBIDDEN"
    default = "You do not have the permission for this."


class NotFound(DomainError):
    """Out of scope and not existing are one answer, so that ids cannot be probed."""

    code = "NOT_FOUND"
    default = "No such object."


class Conflict(DomainError):
    """Somebody else is changing the same thing; the same request may succeed when sent again."""

    code = "CONFLICT"
    default = "Another change is under way; try again."


class IdempotencyConflict(DomainError):
    code = "IDEMPOTENCY_CONFLICT"
    default = "This idempotency key was used with another input."


class RateLimited(DomainError):
    code = "RATE_LIMITED"
    default = "Too many requests; slow down."


class Unavailable(DomainError):
    code = "UNAVAILABLE"
    default = "A service this answer needs is not available now."


class Timeout(DomainError):
    code = "TIMEOUT"
    default = "The request took too long and was stopped."


class ScopeViolation(Exception):
    """A programming fault: a write aimed outside the session's scope. Never shown to a client."""
