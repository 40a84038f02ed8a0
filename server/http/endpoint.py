"""The endpoint: one schema at one address."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import strawberry
import structlog

from domain.errors import Timeout
from schema.errors import Log, mask_one, note
from schema.gate import Limits
from server.http.execution import ExecutorName, check_supported, executor_of
from server.http.graphiql import GraphiQL
from server.http.negotiation import negotiate, response_type, wants_html
from server.http.params import Params, from_body, from_query_string
from server.http.pipeline import Caller, Pipeline
from server.http.request import ClientGone, HttpRefusal, Receive, Request, Scope, Send, read_body
from server.http.response import Outcome, Response, of_context_failure, of_outcome, of_refusal
from server.http.sockets import SocketEndpoint, SocketOptions
from server.http.throttle import Rate, Throttle
from server.http.together import Together
from server.http.waiting import Alike, Memory, Ways
from server.http.watchdog import Guard, Watchdog

MakeContext = Callable[[Request], Awaitable[Any]]
DescribeCaller = Callable[[Any, Request], Caller]


def by_address(_context: Any, request: Request) -> Caller:
    """Describe a caller by the peer's address alone."""
    return Caller(key=request.client)


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator may set; times are in seconds, sizes in bytes.

    `request_lines` takes what is logged of a request, by name, where that is not to go the way of all logs.
    """

    limits: Limits = field(default_factory=Limits)
    rate: Rate = field(default_factory=Rate)
    max_callers: int = 100_000
    introspection: bool = False
    graphiql: bool = False
    get_queries: bool = False
    max_body: int = 256 * 1024
    request_timeout: float = 10.0
    document_bytes: int = 32 * 1024 * 1024
    executor: ExecutorName = "look_ahead"
    plan_bytes: int = 32 * 1024 * 1024
    name: str = "graphql"
    log_requests: bool = False
    request_lines: Callable[..., None] | None = None
    sockets: SocketOptions = field(default_factory=SocketOptions)


def _socket_options(options: Options) -> SocketOptions:
    """Give WebSockets the limits that HTTP has."""
    return replace(
        options.sockets,
        request_seconds=options.request_timeout,
        most_cost=options.limits.cost,
        name=options.name,
        log_requests=options.log_requests,
        request_lines=options.request_lines,
    )


class GraphQLEndpoint:
    """GraphQL over HTTP: POST with JSON, GET for GraphiQL and, where switched on, for queries."""

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        make_context: MakeContext,
        describe_caller: DescribeCaller = by_address,
        alike: Alike | None = None,
        memory: Memory | None = None,
        options: Options | None = None,
        log: Log | None = None,
    ) -> None:
        """Raise ValueError for a schema or for options this endpoint could not hold.

        `alike` says the same of requests whose context would be the same; without it, each has its own. `memory`
        tells of requests before whose they were.
        """
        check_supported(schema)
        self._options = options or Options()
        if self._options.rate.maximum < self._options.limits.cost:
            raise ValueError("A bucket must hold the dearest query that is allowed.")
        self._log: Log = log or structlog.get_logger("graphql")
        self._write: Callable[..., None] = self._options.request_lines or self._log.info
        self._make_context = make_context
        self._describe_caller = describe_caller
        self._watchdog = Watchdog(self._options.request_timeout)
        self._page = GraphiQL() if self._options.graphiql else None
        self._pipeline = Pipeline(
            schema,
            self._options.limits,
            Throttle(self._options.rate, self._options.max_callers),
            introspection=self._options.introspection,
            document_bytes=self._options.document_bytes,
            log=self._log,
            execute=executor_of(schema, self._options.executor, self._options.plan_bytes),
        )
        self._noted: dict[str, str] = {}
        ways = Ways(
            make_context, describe_caller, self._log_request, self._too_late, self._failed, self._unreached, self._note
        )
        self.together = Together(self._pipeline, self._watchdog, ways, alike, memory) if alike else None
        self._sockets = SocketEndpoint(
            self._pipeline,
            make_context=make_context,
            describe_caller=describe_caller,
            options=_socket_options(self._options),
            log=self._log,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket."""
        if scope["type"] == "websocket":
            await self._sockets(scope, receive, send)
            return
        try:
            response = await self.answer(Request.of_scope(scope), receive)
        except ClientGone:
            return
        await response.send(send)

    @property
    def max_body(self) -> int:
        """The most bytes a body may have."""
        return self._options.max_body

    async def answer(self, request: Request, receive: Receive) -> Response:
        """Answer a request, which need not have come by ASGI; raise ClientGone where nobody waits for it any more."""
        try:
            return await self._respond(request, receive)
        except HttpRefusal as refusal:
            return of_refusal(refusal)

    async def _respond(self, request: Request, receive: Receive) -> Response:
        if request.method == "POST":
            media = request.media or negotiate(request.headers)
        elif request.method == "GET" and self._page and wants_html(request):
            return Response(200, self._page.headers, self._page.body)
        elif request.method == "GET" and self._options.get_queries:
            media = response_type(request.headers)
        else:
            raise self._not_allowed()
        try:
            with self._watchdog.guard() as guard:
                return await self._run(request, receive, media, guard)
        except TimeoutError:
            return self._too_late(request, media)

    async def _run(self, request: Request, receive: Receive, media: str, guard: Guard) -> Response:
        params = await self._params(request, receive)
        guard.watch(receive)
        try:
            return await self._operate(request, params, media)
        except HttpRefusal:
            raise
        except Exception as error:  # noqa: BLE001 (the last line: whatever it is, the client gets an id and no more)
            return self._failed(error, media)

    def _unreached(self, error: Exception, media: str) -> Response:
        return of_context_failure(mask_one(error, self._log), media)

    def _note(self, error: Exception) -> None:
        note(error, self._noted, self._log)

    def _failed(self, error: Exception, media: str) -> Response:
        return of_outcome(Outcome([mask_one(error, self._log)]), media)

    async def _params(self, request: Request, receive: Receive) -> Params:
        if request.params is not None:
            return request.params  # type: ignore[no-any-return]
        if request.method == "GET":
            return from_query_string(request, self._options.max_body)
        if not request.received:
            request.body = await read_body(request, receive, self._options.max_body)
            request.received = True
        return from_body(request.body)

    def _too_late(self, request: Request, media: str) -> Response:
        if request.method == "POST" and not request.received:
            message = "The body did not arrive in time."
            return of_refusal(HttpRefusal(408, message, headers=((b"connection", b"close"),)))
        return of_outcome(Outcome([mask_one(Timeout(), self._log)]), media)

    async def _operate(self, request: Request, params: Params, media: str) -> Response:
        try:
            context = await self._make_context(request)
            caller = self._describe_caller(context, request)
        except Exception as error:  # noqa: BLE001 (masked, or the refusal the caller is owed)
            return self._unreached(error, media)
        started = time.perf_counter()
        outcome = await self._pipeline.run(params, caller, context, queries_only=request.method == "GET")
        self._log_request(params, caller, outcome, time.perf_counter() - started)
        return of_outcome(outcome, media)

    def _log_request(self, params: Params, caller: Caller, outcome: Outcome, seconds: float) -> None:
        """Write who asked for what and what came of it, without a variable or an address."""
        if not self._options.log_requests:
            return
        self._write(
            event="graphql_request",
            endpoint=self._options.name,
            caller=caller.log_name or caller.key,
            operation=(params.operation_name or "")[:64],
            milliseconds=round(seconds * 1000, 1),
            cost=outcome.cost.requested if outcome.cost else 0,
            errors=sorted(outcome.codes()) if outcome.errors else [],
        )

    def _not_allowed(self) -> HttpRefusal:
        allow = b"GET, POST" if self._page or self._options.get_queries else b"POST"
        return HttpRefusal(405, "Send a POST with a JSON body.", headers=((b"allow", allow),))
