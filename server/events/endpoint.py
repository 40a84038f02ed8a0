"""POST /events: a batch of a brand's events by an API key, or of a fan's own by their token."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal
from urllib.parse import parse_qs

import orjson
import structlog

from authz.tokens import bearer, presented_api_key
from authz.viewer import FanViewer
from domain.batches import Problem
from domain.errors import BadInput, NotFound, Timeout
from domain.events.ingest import MAX_EVENTS, EventOutcome, EventResult
from domain.events.rules import EventContent
from resolvers.context import Context
from resolvers.events import OWN, WRITE, store_events
from schema.bind import require
from schema.errors import ErrorCode, Log, mask_one
from schema.ids import decode_as, encode
from server.events.body import MAX_BYTES, check_head, rows_of
from server.events.rows import read_row
from server.http.negotiation import JSON
from server.http.request import ClientGone, HttpRefusal, Receive, Request, Scope, Send, read_body
from server.http.response import Response, of_context_failure, of_refusal
from server.http.throttle import Rate, Throttle, Throttled
from server.http.watchdog import Guard, Watchdog

Audience = Literal["staff", "fan"]
MakeContext = Callable[[Request], Awaitable[Context]]
_HEADERS = (
    (b"content-type", b"application/json; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
MAX_CALLERS = 100_000


class EventsEndpoint:
    """Takes events in. What it answers as stored is on disk, whatever happens next."""

    def __init__(
        self,
        callers: dict[Audience, MakeContext],
        *,
        rate: Rate,
        request_timeout: float,
        log_requests: bool = False,
        log: Log | None = None,
    ) -> None:
        self._callers = callers
        self._throttle = Throttle(rate, MAX_CALLERS)
        self._watchdog = Watchdog(request_timeout)
        self._log_requests = log_requests
        self._log: Log = log or structlog.get_logger("events")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        try:
            response = await self._respond(Request.of_scope(scope), receive)
        except HttpRefusal as refusal:
            response = of_refusal(refusal)
        except ClientGone:
            return
        await response.send(send)

    async def _respond(self, request: Request, receive: Receive) -> Response:
        if request.method != "POST":
            raise HttpRefusal(405, "Send a POST with events.", headers=((b"allow", b"POST"),))
        check_head(request)
        try:
            with self._watchdog.guard() as guard:
                return await self._take(request, receive, guard)
        except TimeoutError:
            if not request.body:
                message = "The body did not arrive in time."
                raise HttpRefusal(408, message, headers=((b"connection", b"close"),)) from None
            return self._failed(Timeout())

    async def _take(self, request: Request, receive: Receive, guard: Guard) -> Response:
        try:
            context = await self._context(request)
            brand_id = _brand_id(request, context)
            request.body = await read_body(request, receive, MAX_BYTES)
            guard.watch(receive)
            started, rows = time.perf_counter(), rows_of(request)
            self._throttle.spend(context.viewer.principal, len(rows))
            results = await _store(context, brand_id, rows)
        except (HttpRefusal, ClientGone):
            raise
        except Exception as error:  # noqa: BLE001 (the last line: whatever it is, the client gets an id and no more)
            return self._failed(error)
        self._tell(context, results, time.perf_counter() - started)
        return Response(200, _HEADERS, orjson.dumps({"results": [_shown(result) for result in results]}))

    async def _context(self, request: Request) -> Context:
        """Say who sends. Raises Unauthenticated unless it is an API key or a fan's token."""
        token = bearer(request.headers.get("authorization") or "")
        audience: Audience = "staff" if presented_api_key(token) else "fan"
        context = await self._callers[audience](request)
        require(context, OWN if isinstance(context.viewer, FanViewer) else WRITE)
        return context

    def _failed(self, error: BaseException) -> Response:
        status = 404 if isinstance(error, NotFound) else None
        response = of_context_failure(mask_one(error, self._log), JSON)
        headers = response.headers
        if isinstance(error, Throttled):
            wait = (b"retry-after", str(error.retry_after).encode())
            headers = (*(header for header in headers if header[0] != b"retry-after"), wait)
        return Response(status or response.status, headers, response.body)

    def _tell(self, context: Context, results: list[EventResult], seconds: float) -> None:
        if self._log_requests:
            counts = {outcome.value.lower(): 0 for outcome in EventOutcome}
            for result in results:
                counts[result.outcome.value.lower()] += 1
            milliseconds = round(seconds * 1000, 1)
            self._log.info("events_taken", caller=context.viewer.principal, milliseconds=milliseconds, **counts)


def _brand_id(request: Request, context: Context) -> int | None:
    """Return the brand a service names; a fan's is their own."""
    if isinstance(context.viewer, FanViewer):
        return None
    try:
        given = parse_qs(request.query_string.decode("ascii"), max_num_fields=20)["brandId"]
    except (KeyError, ValueError):
        raise BadInput("Name the brand: POST /events?brandId=….", field=("brandId",)) from None
    return decode_as("Brand", given[0], "brandId")


async def _store(context: Context, brand_id: int | None, rows: list[Any]) -> list[EventResult]:
    own = isinstance(context.viewer, FanViewer)
    read = [read_row(row, own=own) for row in rows]
    batch = [(index, event) for index, event in enumerate(read) if isinstance(event, EventContent)]
    results = [
        EventResult(index, problems=event if isinstance(event, list) else []) for index, event in enumerate(read)
    ]
    if batch:
        stored = await store_events(context, brand_id, [event for _, event in batch], most=MAX_EVENTS)
        for (index, _), result in zip(batch, stored, strict=True):
            result.index, results[index] = index, result
    return results


def _shown(result: EventResult) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": result.index, "outcome": result.outcome.value}
    if result.id is not None:
        shown["id"] = encode("FanEvent", result.id)
    if result.clamped:
        shown["clamped"] = True
    if result.violations:
        shown["violations"] = [{"field": one.field, "message": one.message} for one in result.violations]
    if result.problems:
        shown["errors"] = [_error(problem) for problem in result.problems]
    return shown


def _error(problem: Problem) -> dict[str, str]:
    return {"code": ErrorCode(problem.code).value, "field": problem.field, "message": problem.message}
