"""The straight way to the GraphQL endpoints, past ASGI: its messages and tasks cost more than the smallest query does.

Everything else (other paths and methods, bodies of unknown length, requests that come while another is answered,
upgrades) goes uvicorn's own way, and so do connections: their limits, their idle time, their end when the server stops.
"""

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from server.http import GraphQLEndpoint
from server.http.negotiation import negotiate
from server.http.request import ClientGone, HttpRefusal, Message, Request, joined_headers
from server.http.response import Header, Response, of_fault

_CLOSE = (b"connection", b"close")
_END_OF_HEAD = b"\r\n\r\n"
_NOT_STRAIGHT = frozenset({"expect", "transfer-encoding", "upgrade"})


class StraightProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which hands a POST for one of the endpoints to it as soon as it is read."""

    def __init__(self, *given: Any, endpoints: Mapping[bytes, GraphQLEndpoint], **named: Any) -> None:
        super().__init__(*given, **named)
        self._endpoints = endpoints
        self._exchange: Exchange | None = None
        self._idle_since: float | None = None
        # of the request before: one client says the same of itself again and again
        self._heading: Heading | None = None
        self._before: Before | None = None
        # whether a request has begun and is not whole; of what is read now, how many began, and which it made whole
        self._open = False
        self._begun = 0
        self._whole: Exchange | None = None
        # one task serves all requests of a connection: a task for each would cost a tenth of the smallest query
        self._server: asyncio.Task[None] | None = None
        self._next: asyncio.Future[Exchange | None] | None = None
        self._dated: list[tuple[bytes, bytes]] | None = None
        self._date_line = b""

    def data_received(self, data: bytes) -> None:
        """Read what came; a request whose body is still to come is begun, so that its time runs."""
        before = self._before
        if (
            before is not None
            and len(data) == before.length
            and data.startswith(before.head)
            and self.cycle.response_complete
        ):
            # one request again with the same head, to the byte, and a body of the same length
            self._repeat(before, data)
            return
        in_between = not self._open
        self._forget()
        super().data_received(data)
        exchange = self._exchange
        if exchange is not None and not exchange.started:
            self.start(exchange)
        elif self._whole is not None and in_between and self._begun == 1:
            self._before = self._as_it_came(self._whole, data)

    def _forget(self) -> None:
        self._before, self._begun, self._whole = None, 0, None

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._exchange = None
        self._begun += 1
        self._open = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._exchange = exchange = self._straight()
        if exchange is not None:
            self.cycle = exchange  # type: ignore[assignment]
            return
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._exchange is not None:
            self._exchange.request.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._open = False
        exchange = self._exchange
        if exchange is None:
            super().on_message_complete()
            return
        self._exchange, self._whole = None, exchange
        exchange.request.received = True
        exchange.set()
        if not exchange.started:
            self._begin(exchange)

    def _begin(self, exchange: "Exchange") -> None:
        """Answer a request whose body is whole, with others where that can be."""
        exchange.started = True
        together = exchange.endpoint.together
        if together is None:
            self.start(exchange)
        else:
            together.add(exchange)

    def _as_it_came(self, exchange: "Exchange", data: bytes) -> "Before | None":
        """Return how a request came, where all that was read is this one request."""
        heading, end = self._heading, data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        if heading is None or not exchange.keep_alive or end + heading.length != len(data):
            return None
        return Before(data[:end], len(data), exchange.endpoint, exchange.request.path, heading)

    def _repeat(self, before: "Before", data: bytes) -> None:
        """Take a request that is the one before up to its body: a parser that stands where it stood reads the same."""
        self._idle_since = None
        request = Request("POST", before.path, before.heading.headers, client=before.heading.client)
        request.body = data[len(before.head) :]
        request.received = True
        request.media = before.heading.media
        exchange = Exchange(self, before.endpoint, request, keep_alive=True)
        self.cycle = exchange  # type: ignore[assignment]
        self._begin(exchange)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._watch_idle(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for as long as is allowed. One timer serves all its requests."""
        self.timeout_keep_alive_task = None
        if self.transport.is_closing():
            return
        left: float = self.timeout_keep_alive
        if self._idle_since is not None:
            left -= self.loop.time() - self._idle_since
        if left > 0:
            self._watch_idle(left)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self._hand_over(None)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _watch_idle(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _straight(self) -> "Exchange | None":
        """Return the exchange of a request that may go straight."""
        endpoint = self._endpoints.get(self.url)
        cycle: Any = self.cycle  # None until the first request
        busy = cycle is not None and not cycle.response_complete
        parser = self.parser
        if endpoint is None or busy or self.limit_concurrency is not None:
            return None
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1" or parser.should_upgrade():
            return None
        heading = self._heading
        if heading is None or heading.raw != self.headers:
            heading = self._heading = self._read_heading()
        if not heading.straight or heading.length > endpoint.max_body:
            return None
        request = Request("POST", self.url.decode(), heading.headers, client=heading.client)
        request.media = heading.media
        return Exchange(self, endpoint, request, keep_alive=parser.should_keep_alive())

    def _read_heading(self) -> "Heading":
        headers = joined_headers([(name.lower(), value) for name, value in self.headers])
        length = headers.get("content-length", "")
        is_known = length.isdecimal() and len(length) <= 9
        try:
            media = negotiate(headers)
        except HttpRefusal:
            media = None  # the endpoint says why
        return Heading(
            self.headers,
            headers,
            self._client(headers),
            media,
            length=int(length) if is_known else 0,
            straight=is_known and not headers.keys() & _NOT_STRAIGHT,
        )

    def _client(self, headers: Mapping[str, str]) -> str:
        """Return the caller's address, as a proxy that is trusted names it."""
        host = self.client[0] if self.client else ""
        forwarded = headers.get("x-forwarded-for")
        trusted: Any = getattr(self.app, "trusted_hosts", None)  # uvicorn's middleware, which stands in ASGI's way
        if forwarded is None or trusted is None or host not in trusted:
            return host
        return trusted.get_trusted_client_address(forwarded)[0] or host

    def start(self, exchange: "Exchange") -> None:
        """Answer a request by itself."""
        exchange.started = True
        if self._hand_over(exchange):
            self.tasks.add(self._server)  # type: ignore[arg-type]
            return
        self._server = self.loop.create_task(self._serve(exchange))
        self.tasks.add(self._server)

    def _hand_over(self, exchange: "Exchange | None") -> bool:
        """Give the next request, or the end, to the task that waits for it; tell whether one did."""
        waiting, self._next = self._next, None
        if waiting is None or waiting.done():
            return False
        waiting.set_result(exchange)
        return True

    async def _serve(self, first: "Exchange") -> None:
        """Answer the requests of this connection, one after the other. A server that stops waits for no idle one."""
        task: Any = self._server
        exchange: Exchange | None = first
        try:
            while exchange is not None:
                await self._answer(exchange)
                self.tasks.discard(task)
                if self.transport.is_closing():
                    return
                self._next = self.loop.create_future()
                exchange = await self._next
        finally:
            self.tasks.discard(task)
            self._next = None

    async def _answer(self, exchange: "Exchange") -> None:
        try:
            response = await exchange.endpoint.answer(exchange.request, exchange.receive)
        except ClientGone:
            self.transport.close()
            return
        except Exception:
            self.logger.exception("Exception in the straight way")
            response = of_fault()
        except BaseException:
            self.transport.close()
            raise
        await self.write_later(exchange, response)

    async def write_later(self, exchange: "Exchange", response: Response) -> None:
        """Write the answer when the client has read what was written before."""
        if self.flow.write_paused:
            await self.flow.drain()
        self.write(exchange, response)

    def write(self, exchange: "Exchange", response: Response) -> None:
        """Write the answer."""
        exchange.response_complete = True
        if exchange.disconnected or self.transport.is_closing():
            return
        status, headers, body = response
        head, is_last = _head(status, headers, exchange.keep_alive)
        if self.server_state.default_headers is not self._dated:
            self._date()
        self.transport.write(b"%b%bcontent-length: %d\r\n\r\n%b" % (head, self._date_line, len(body), body))
        if is_last:
            self.transport.close()
        self.on_response_complete()

    def _date(self) -> None:
        """Write the headers that every answer has; uvicorn makes the list anew each second."""
        self._dated = self.server_state.default_headers
        self._date_line = b"".join([b"%b: %b\r\n" % pair for pair in self._dated])


@lru_cache(maxsize=128)
def _head(status: int, headers: tuple[Header, ...], keep_alive: bool) -> tuple[bytes, bool]:
    """Return status line and headers, of which few are different, and whether they say that the connection ends."""
    more = () if keep_alive or _CLOSE in headers else (_CLOSE,)
    head = STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % pair for pair in (*headers, *more)])
    return head, _CLOSE in (*headers, *more)


class Heading(NamedTuple):
    """What the headers of a request say, beside them as they came."""

    raw: list[tuple[bytes, bytes]]
    headers: Mapping[str, str]
    client: str
    media: str | None
    length: int
    straight: bool


class Before(NamedTuple):
    """A request as it came, in one piece and with nothing beside it: its head, and how long it was with its body."""

    head: bytes
    length: int
    endpoint: GraphQLEndpoint
    path: str
    heading: Heading


class Exchange:
    """A request that goes straight and its answer; to uvicorn's protocol, the cycle it would be."""

    __slots__ = (
        "_protocol",
        "_waiter",
        "disconnected",
        "endpoint",
        "keep_alive",
        "request",
        "response_complete",
        "started",
    )

    def __init__(
        self, protocol: StraightProtocol, endpoint: GraphQLEndpoint, request: Request, *, keep_alive: bool
    ) -> None:
        self._protocol = protocol
        self.endpoint = endpoint
        self.request = request
        self.keep_alive = keep_alive
        self.started = self.disconnected = self.response_complete = False
        self._waiter: asyncio.Future[None] | None = None

    def go_alone(self) -> None:
        """Be answered as if nobody else were there."""
        self._protocol.start(self)

    def finish(self, response: Response) -> None:
        """Be answered so."""
        if self._protocol.flow.write_paused:
            self.track(self._protocol.loop.create_task(self._protocol.write_later(self, response)))
        else:
            self._protocol.write(self, response)

    def track(self, task: "asyncio.Task[None]") -> None:
        """Have the server wait for this task when it stops."""
        self._protocol.tasks.add(task)
        task.add_done_callback(self._protocol.tasks.discard)

    @property
    def message_event(self) -> "Exchange":
        """Be told that the connection was lost, by the name uvicorn has for it."""
        return self

    def set(self) -> None:
        """Wake who waits for the body, or for the client to leave."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        """Wait for the whole body where it is not there yet, and otherwise for the client to leave."""
        waits_for_body = not self.request.received
        while not self.disconnected and not (waits_for_body and self.request.received):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.disconnected:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self.request.body, "more_body": False}
