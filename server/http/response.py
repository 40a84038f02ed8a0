"""Answers as bytes: the body, the status GraphQL over HTTP gives it, and its headers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from schema.errors import ErrorCode
from server.http.negotiation import GRAPHQL_RESPONSE, JSON
from server.http.request import HttpRefusal, Send

Header = tuple[bytes, bytes]

_HEADERS: dict[str, tuple[Header, ...]] = {
    media: (
        (b"content-type", f"{media}; charset=utf-8".encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    )
    for media in (JSON, GRAPHQL_RESPONSE)
}
# These two mean the same to a proxy or an SDK whatever the media type is.
_ALWAYS = {ErrorCode.UNAUTHENTICATED.value: 401, ErrorCode.RATE_LIMITED.value: 429}
_BY_CODE = {
    ErrorCode.FORBIDDEN.value: 403,
    ErrorCode.CONFLICT.value: 409,
    ErrorCode.INTERNAL.value: 500,
    ErrorCode.UNAVAILABLE.value: 503,
    ErrorCode.TIMEOUT.value: 504,
}


class Response(NamedTuple):
    """One HTTP answer."""

    status: int
    headers: tuple[Header, ...]
    body: bytes

    async def send(self, send: Send) -> None:
        """Write it to the connection."""
        length = (b"content-length", str(len(self.body)).encode())
        await send({"type": "http.response.start", "status": self.status, "headers": [*self.headers, length]})
        await send({"type": "http.response.body", "body": self.body})


_COST = b'{"cost":{"requested":%d,"actual":%d,"throttle":{"maximum":%d,"available":%d,"restoreRate":%d}}}'


class CostReport(NamedTuple):
    """`extensions.cost`: points asked, fields answered, and the caller's bucket, in the order they are written."""

    requested: int
    actual: int
    maximum: int
    available: int
    restore: int

    def encode(self) -> bytes:
        """Return the JSON of `extensions`."""
        return _COST % self


class Outcome(NamedTuple):
    """What running, or refusing, an operation gave; `data` is JSON, or None for a request error."""

    errors: Sequence[dict[str, Any]]
    data: bytes | None = None
    cost: CostReport | None = None
    retry_after: int | None = None

    def codes(self) -> set[str]:
        """Return the codes of the errors."""
        return {error["extensions"]["code"] for error in self.errors}


def encode(outcome: Outcome) -> bytes:
    """Return the JSON of an answer."""
    if outcome.data is not None and outcome.cost is not None and not outcome.errors:
        return b'{"data":%b,"extensions":%b}' % (outcome.data, outcome.cost.encode())  # what nearly all are
    parts = []
    if outcome.data is not None:
        parts.append(b'"data":' + outcome.data)
    if outcome.errors:
        parts.append(b'"errors":' + orjson.dumps(outcome.errors))
    if outcome.cost is not None:
        parts.append(b'"extensions":' + outcome.cost.encode())
    return b"{" + b",".join(parts) + b"}"


def of_outcome(outcome: Outcome, media: str) -> Response:
    """Answer an operation."""
    if not outcome.errors:
        return Response(200, _HEADERS[media], encode(outcome))
    status = _status(outcome, media)
    return Response(status, (*_HEADERS[media], *_extra(status, outcome)), encode(outcome))


def of_context_failure(error: dict[str, Any], media: str) -> Response:
    """Answer a request whose caller could not be made out: the status says so in either media type."""
    outcome = Outcome([error])
    code = error["extensions"]["code"]
    status = _ALWAYS.get(code) or _BY_CODE.get(code) or 400
    return Response(status, (*_HEADERS[media], *_extra(status, outcome)), orjson.dumps({"errors": [error]}))


def of_refusal(refusal: HttpRefusal) -> Response:
    """Answer what is not a GraphQL request."""
    error = {"message": refusal.message, "extensions": {"code": ErrorCode.BAD_USER_INPUT.value}}
    return Response(refusal.status, (*_HEADERS[JSON], *refusal.headers), orjson.dumps({"errors": [error]}))


def of_fault() -> Response:
    """Answer a request that the endpoint itself failed at."""
    error = {"message": "Something went wrong.", "extensions": {"code": ErrorCode.INTERNAL.value}}
    return Response(500, (*_HEADERS[JSON], (b"connection", b"close")), orjson.dumps({"errors": [error]}))


def _status(outcome: Outcome, media: str) -> int:
    if outcome.data is not None:
        return 200
    codes = outcome.codes()
    for code, status in _ALWAYS.items():
        if code in codes:
            return status
    if media == JSON:
        return 500 if ErrorCode.INTERNAL.value in codes else 200
    return next((status for code, status in _BY_CODE.items() if code in codes), 400)


def _extra(status: int, outcome: Outcome) -> tuple[Header, ...]:
    if status == 401:
        return ((b"www-authenticate", b"Bearer"),)
    if status == 429 or status == 503:
        return ((b"retry-after", str(outcome.retry_after or 1).encode()),)
    return ()
