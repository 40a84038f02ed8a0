"""A client of graphql-transport-ws at the end of an ASGI application, in process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

SUBPROTOCOL = "graphql-transport-ws"


class Socket:
    """One connection as its client sees it."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.answered: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reading = asyncio.Event()
        self.reading.set()

    def say(self, **message: Any) -> None:
        """Send one message."""
        self.say_text(orjson.dumps(message).decode())

    def say_text(self, text: str) -> None:
        """Send a frame of text."""
        self.sent.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        """Close the connection."""
        self.sent.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def hear(self, seconds: float = 5) -> Any:
        """Wait for the next message; a close is answered as its code."""
        message = await asyncio.wait_for(self.answered.get(), seconds)
        if message["type"] == "websocket.close":
            return message.get("code", 403)
        return orjson.loads(message["text"])

    async def init(self, caller: str = "staff") -> None:
        """Sign in."""
        self.say(type="connection_init", payload={"Authorization": f"Bearer {caller}"})
        assert await self.hear() == {"type": "connection_ack"}

    def subscribe(self, query: str, id_: str = "1", **more: Any) -> None:
        """Begin an operation."""
        self.say(id=id_, type="subscribe", payload={"query": query, **more})

    async def data(self) -> Any:
        """Wait for the next answer, and return its data."""
        message = await self.hear()
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]

    async def receive(self) -> dict[str, Any]:
        """Bring the application what the client sends."""
        return await self.sent.get()

    async def send(self, message: dict[str, Any]) -> None:
        """Bring the client what the application sends, where it reads."""
        await self.reading.wait()
        if message["type"] != "websocket.accept":
            self.answered.put_nowait(message)


@asynccontextmanager
async def connected(
    app: Any, path: str = "/graphql", *, subprotocols: tuple[str, ...] = (SUBPROTOCOL,), **headers: str
) -> AsyncIterator[Socket]:
    """Open a connection for the length of the block, and see that the application lets go of it."""
    socket = Socket()
    socket.sent.put_nowait({"type": "websocket.connect"})
    scope = {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"scrm.test"), *((k.encode(), v.encode()) for k, v in headers.items())],
        "client": ("127.0.0.1", 1234),
        "subprotocols": list(subprotocols),
    }
    task = asyncio.create_task(app(scope, socket.receive, socket.send))
    try:
        yield socket
    finally:
        socket.leave()
        socket.reading.set()
        await asyncio.wait_for(task, 5)
