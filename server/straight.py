"""The straight way to the GraphQL endpoints, past ASGI: its messages and tasks cost more than the smallest query does.

Everything else (other paths and methods, bodies of unknown length, requests that come while another is answered,
upgrades) goes uvicorn's own way, and so do connections: their limits, their idle time, their end when the server stops.
"""

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from server.http import GraphQLEndpoint
from server.http.request import ClientGone, Message, Request, joined_headers
from server.http.response import Header, Response, of_fault

_CLOSE = (b"connection", b"close")
_NOT_STRAIGHT = frozenset({"expect", "transfer-encoding", "upgrade"})


class StraightProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which hands a POST for one of the endpoints to it as soon as it is read."""

    def __init__(self, *given: Any, endpoints: Mapping[bytes, GraphQLEndpoint], **named: Any) -> None:
        super().__init__(*given, **named)
        self._endpoints = endpoints
        self._exchange: Exchange | None = None
        self._idle_since: float | None = None

    def data_received(self, data: bytes) -> None:
        """Read what came; a request whose body is still to come is begun, so that its time runs."""
        super().data_received(data)
        exchange = self._exchange
        if exchange is not None and not exchange.started:
            self._start(exchange)

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._exchange = None

    def on_headers_complete(self) -> None:
        self._exchange = exchange = self._straight()
        if exchange is not None:
            self.cycle = exchange  # type: ignore[assignment]
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._exchange is not None:
            self._exchange.request.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            super().on_message_complete()
            return
        exchange.request.received = True
        exchange.set()
        if not exchange.started:
            self._start(exchange)
        self._exchange = None

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self.flow.resume_reading()
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.flow.resume_reading()
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
        headers = joined_headers(self.headers)
        length = headers.get("content-length", "")
        if (
            not length.isdecimal()
            or len(length) > 9
            or int(length) > endpoint.max_body
            or headers.keys() & _NOT_STRAIGHT
        ):
            return None
        request = Request("POST", self.url.decode(), headers, client=self._client(headers))
        return Exchange(endpoint, request, keep_alive=parser.should_keep_alive())

    def _client(self, headers: Mapping[str, str]) -> str:
        """Return the caller's address, as a proxy that is trusted names it."""
        host = self.client[0] if self.client else ""
        forwarded = headers.get("x-forwarded-for")
        trusted: Any = getattr(self.app, "trusted_hosts", None)  # uvicorn's middleware, which stands in ASGI's way
        if forwarded is None or trusted is None or host not in trusted:
            return host
        return trusted.get_trusted_client_address(forwarded)[0] or host

    def _start(self, exchange: "Exchange") -> None:
        exchange.started = True
        task = self.loop.create_task(self._answer(exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

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
        if self.flow.write_paused:
            await self.flow.drain()
        self._write(exchange, response)

    def _write(self, exchange: "Exchange", response: Response) -> None:
        exchange.response_complete = True
        if exchange.disconnected or self.transport.is_closing():
            return
        last = not exchange.keep_alive or _CLOSE in response.headers
        head = _head(response.status, response.headers, closes=not exchange.keep_alive)
        date = b"".join([b"%b: %b\r\n" % pair for pair in self.server_state.default_headers])
        self.transport.write(b"%b%bcontent-length: %d\r\n\r\n%b" % (head, date, len(response.body), response.body))
        if last:
            self.transport.close()
        self.on_response_complete()


@lru_cache(maxsize=128)
def _head(status: int, headers: tuple[Header, ...], *, closes: bool) -> bytes:
    """Return status line and headers; they are of our own making, and few are different."""
    more = (_CLOSE,) if closes and _CLOSE not in headers else ()
    return STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % pair for pair in (*headers, *more)])


class Exchange:
    """A request that goes straight and its answer; to uvicorn's protocol, the cycle it would be."""

    __slots__ = (
        "_waiter",
        "disconnected",
        "endpoint",
        "keep_alive",
        "request",
        "response_complete",
        "started",
    )

    def __init__(self, endpoint: GraphQLEndpoint, request: Request, *, keep_alive: bool) -> None:
        self.endpoint = endpoint
        self.request = request
        self.keep_alive = keep_alive
        self.started = self.disconnected = self.response_complete = False
        self._waiter: asyncio.Future[None] | None = None

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
