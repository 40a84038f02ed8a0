"""What a client learns of an error: a code from a closed list, our own sentences, never a value that was sent."""

import re
import secrets
import traceback
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Protocol

import strawberry
from graphql import GraphQLError, GraphQLSyntaxError

from domain.batches import Problem
from domain.errors import DomainError

__all__ = ["ErrorCode", "UserError", "mask", "mask_one", "note", "problem_error", "user_error"]

MAX_NOTED = 100


@strawberry.enum(description="Why a request, or one item of it, was refused.")
class ErrorCode(Enum):
    """The codes of `errors[].extensions.code` and of `userErrors`; a capability adds its refusals here."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    QUERY_TOO_COMPLEX = "QUERY_TOO_COMPLEX"
    RATE_LIMITED = "RATE_LIMITED"
    UNAVAILABLE = "UNAVAILABLE"
    CONFLICT = "CONFLICT"
    TIMEOUT = "TIMEOUT"
    INTERNAL = "INTERNAL"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    ALREADY_GRANTED = "ALREADY_GRANTED"
    ALREADY_BLOCKED = "ALREADY_BLOCKED"
    BLOCKED_IDENTITY = "BLOCKED_IDENTITY"
    INSUFFICIENT_POINTS = "INSUFFICIENT_POINTS"
    HOLD_ENDED = "HOLD_ENDED"
    NOT_REVERSIBLE = "NOT_REVERSIBLE"
    SECOND_PERSON_NEEDED = "SECOND_PERSON_NEEDED"
    ALREADY_DECIDED = "ALREADY_DECIDED"
    CODE_TAKEN = "CODE_TAKEN"
    CONFLICT_DECIDED = "CONFLICT_DECIDED"
    GUARDIAN_CONSENT_MISSING = "GUARDIAN_CONSENT_MISSING"
    LATER_MERGE = "LATER_MERGE"
    MERGE_UNDONE = "MERGE_UNDONE"
    PERSON_MERGED = "PERSON_MERGED"
    SUBJECT_TAKEN = "SUBJECT_TAKEN"
    EVENT_NOT_DEFINED = "EVENT_NOT_DEFINED"
    TAG_NAME_TAKEN = "TAG_NAME_TAKEN"
    TAG_OF_ANOTHER_BRAND = "TAG_OF_ANOTHER_BRAND"
    ATTRIBUTE_KEY_TAKEN = "ATTRIBUTE_KEY_TAKEN"
    ATTRIBUTE_OF_ANOTHER_BRAND = "ATTRIBUTE_OF_ANOTHER_BRAND"
    POINT_RULE_CODE_TAKEN = "POINT_RULE_CODE_TAKEN"
    POINT_RULE_NOT_IN_FORCE = "POINT_RULE_NOT_IN_FORCE"
    NOT_REFUNDABLE = "NOT_REFUNDABLE"
    REFUND_DIFFERS = "REFUND_DIFFERS"
    REFUND_TOO_LARGE = "REFUND_TOO_LARGE"
    GIFT_CODE_TAKEN = "GIFT_CODE_TAKEN"
    GIFT_LIMIT_REACHED = "GIFT_LIMIT_REACHED"
    GIFT_LEVEL_TOO_LOW = "GIFT_LEVEL_TOO_LOW"
    GIFT_NOT_ON_SALE = "GIFT_NOT_ON_SALE"
    GIFT_OUT_OF_STOCK = "GIFT_OUT_OF_STOCK"
    PRICE_CHANGED = "PRICE_CHANGED"
    LEVELS_CHANGED = "LEVELS_CHANGED"
    REDEMPTION_ENDED = "REDEMPTION_ENDED"
    REDEMPTION_PAID = "REDEMPTION_PAID"
    REDEMPTION_UNPAID = "REDEMPTION_UNPAID"


@strawberry.type(description="An expected refusal of a mutation, as data.")
class UserError:
    """One refusal; `field` is the path of the offending input, outermost first."""

    code: ErrorCode = strawberry.field(description="Why it was refused, for the program.")
    field: list[str] | None = strawberry.field(description="The path of the input that is at fault, outermost first.")
    message: str = strawberry.field(description="Why it was refused, for the developer.")


class Log(Protocol):
    """The methods of a structlog logger that are used here."""

    def error(self, event: str, **values: Any) -> Any:
        """Write a fault."""

    def info(self, event: str, **values: Any) -> Any:
        """Write what happened."""


def user_error(error: DomainError) -> UserError:
    """Turn a refusal into the data a mutation's payload carries; raises ValueError for a code not in ErrorCode."""
    return UserError(code=ErrorCode(error.code), field=list(error.field) or None, message=error.message)


def mask(errors: Iterable[GraphQLError], log: Log) -> list[dict[str, Any]]:
    """Format errors for the client: refusals keep their message, request errors lose values, the rest is hidden."""
    ids: dict[str, str] = {}
    return [_format(error, *_visible(error, ids, log)) for error in errors]


def mask_one(error: BaseException, log: Log) -> dict[str, Any]:
    """Format an exception raised outside execution."""
    return mask([GraphQLError("", original_error=_as_exception(error))], log)[0]


def note(error: Exception, noted: dict[str, str], log: Log) -> None:
    """Log a fault that no client hears of, once for each kind and place: it may come with every request."""
    if len(noted) < MAX_NOTED:
        _logged(GraphQLError(""), error, noted, log)


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(type(error).__name__)


def _visible(error: GraphQLError, ids: dict[str, str], log: Log) -> tuple[str, dict[str, Any]]:
    cause = _cause(error)
    if isinstance(cause, DomainError):
        extensions: dict[str, Any] = {"code": cause.code}
        if cause.field:
            extensions["field"] = list(cause.field)
        return cause.message, extensions
    if _blames_request(error, cause):
        return _without_values(error), {"code": ErrorCode.BAD_USER_INPUT.value}
    return "Internal error", {"code": ErrorCode.INTERNAL.value, "id": _logged(error, cause, ids, log)}


def _cause(error: GraphQLError) -> BaseException | None:
    """Follow original_error to the first exception that is not GraphQL's own."""
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _blames_request(error: GraphQLError, cause: BaseException | None) -> bool:
    """Tell a request error from a fault of ours: one with a path happened in a resolver or in its answer."""
    if error.path is not None:
        return cause is None and error.message.startswith("Argument '")
    return cause is None or _VARIABLE.match(error.message) is not None or _at_literal(error)


def _at_literal(error: GraphQLError) -> bool:
    nodes = error.nodes
    return bool(nodes) and nodes is not None and nodes[0].kind.endswith(("_value", "object_field"))


def _logged(error: GraphQLError, cause: BaseException | None, ids: dict[str, str], log: Log) -> str:
    """Log a fault once a request, however many objects it hit; no message, since it may hold personal data."""
    fault = cause or error
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(fault.__traceback__)]
    kind = f"{type(fault).__module__}.{type(fault).__qualname__}"
    key = f"{kind} {frames[-1:]}"
    if key not in ids:
        ids[key] = secrets.token_hex(8)
        where = [part for part in error.path or () if isinstance(part, str)]
        log.error("graphql_internal_error", error_id=ids[key], error_type=kind, path=where, frames=frames)
    return ids[key]


def _format(error: GraphQLError, message: str, extensions: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"message": message}
    if error.locations:
        answer["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path is not None:
        answer["path"] = error.path
    answer["extensions"] = extensions
    return answer


_VARIABLE = re.compile(r"(Variable '\$\w+') has invalid (?:default )?value(?: at ((?:\.\w+|\[\d+\])+))?: ", re.ASCII)
_ARGUMENT = re.compile(
    r"(Argument '[\w.]+') (?:of type '[^']+' )?has invalid value(?: at ((?:\.\w+|\[\d+\])+))?: ", re.ASCII
)
_QUOTED_TOKEN = re.compile(r"\b(String|BlockString|Int|Float|block string) ['\"].*['\"]", re.DOTALL)
# Of graphql-core's reasons only these say nothing but names of the schema; each match ends before the value.
_REASONS: Sequence[re.Pattern[str]] = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        r"Expected (?:a )?value of non-null type '[\w!\[\]]+' (?:not to be None|to be provided)",
        r"Expected value of type '[\w!\[\]]+' to (?:be an object|include required field '\w+')",
        r"Expected value of type '[\w!\[\]]+'",
        r"(?:Int|Float|String|Boolean|ID) cannot represent (?:a )?[\w -]*value",
        r"(?:Exactly one key must be specified|OneOf Input Object '\w+' must specify exactly one key)",
    )
)


def _without_values(error: GraphQLError) -> str:
    message = error.message
    if isinstance(error, GraphQLSyntaxError):
        return _QUOTED_TOKEN.sub(r"\1", message)
    for pattern in (_VARIABLE, _ARGUMENT):
        if found := pattern.match(message):
            where = f" at {found[2].lstrip('.')}" if found[2] else ""
            return f"{found[1]} has an invalid value{where}: {_reason(message[found.end() :])}"
    if _at_literal(error) or "found: " in message or "invalid value" in message:
        return _reason(message)
    return message


def _reason(message: str) -> str:
    for pattern in _REASONS:
        if found := pattern.match(message):
            return f"{found[0]}."
    return "It does not fit its type."


def problem_error(row: Sequence[str], problem: Problem) -> UserError:
    """Turn what is wrong with a row of a batch into the data its result carries."""
    path = [*row, *problem.field.split(".")]
    return UserError(code=ErrorCode(problem.code), field=path, message=f"{problem.field} {problem.message}.")
