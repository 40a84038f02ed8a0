"""Who may open a WebSocket, and how many at once."""

from collections import Counter
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from schema.errors import Log
from server.http.pipeline import Caller, Pipeline
from server.http.request import Receive, Request, Scope, Send
from server.http.sockets.connection import Connection, Gone
from server.http.sockets.messages import SUBPROTOCOL, Close, Closing, cut
from server.http.sockets.options import SocketOptions
from server.http.sockets.session import DescribeCaller, MakeContext, Session


class SocketEndpoint:
    """The WebSockets of one schema."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        make_context: MakeContext,
        describe_caller: DescribeCaller,
        options: SocketOptions,
        log: Log,
    ) -> None:
        self._pipeline = pipeline
        self._make_context = make_context
        self._describe_caller = describe_caller
        self._options = options
        self._log = log
        self._open = 0
        self._by_caller: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection to its end."""
        await receive()  # websocket.connect
        request = Request.of_scope({**scope, "method": "GET"})
        if not _is_welcome(request, self._options.origins):
            await send({"type": "websocket.close"})  # before it is accepted: HTTP 403
            return
        spoken = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
        await send({"type": "websocket.accept", "subprotocol": spoken})
        self._open += 1
        try:
            await self._serve(request, receive, send, spoken)
        except Closing as closing:
            with suppress(OSError):
                await send({"type": "websocket.close", "code": int(closing.code), "reason": cut(closing.reason)})
        except Gone:
            pass
        finally:
            self._open -= 1

    async def _serve(self, request: Request, receive: Receive, send: Send, spoken: str | None) -> None:
        if spoken is None:
            raise Closing(Close.SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
        if self._open > self._options.connections:
            raise Closing(Close.TRY_AGAIN_LATER, "Too many connections")
        session = Session(request, self._make_context, self._describe_caller)
        connection = Connection(self._pipeline, session, self._options, self._log, receive, send)
        caller = await connection.initialise()
        with self._place(caller):
            await connection.run()

    def _place(self, caller: Caller) -> "_Place":
        if self._by_caller[caller.key] >= self._options.connections_per_caller:
            raise Closing(Close.TRY_AGAIN_LATER, "Too many connections of one caller")
        return _Place(self._by_caller, caller.key)


class _Place:
    """One of a caller's connections, counted for the length of a block."""

    def __init__(self, counts: Counter[str], key: str) -> None:
        self._counts = counts
        self._key = key

    def __enter__(self) -> None:
        self._counts[self._key] += 1

    def __exit__(self, *raised: Any) -> None:
        self._counts[self._key] -= 1
        if self._counts[self._key] <= 0:
            del self._counts[self._key]


def _is_welcome(request: Request, origins: frozenset[str]) -> bool:
    """Tell whether the page that connects, if it is a page, is one of ours."""
    origin = request.headers.get("origin")
    if origin is None or "*" in origins or origin in origins:
        return True
    host = urlsplit(origin).netloc
    return bool(host) and host == request.headers.get("host")
