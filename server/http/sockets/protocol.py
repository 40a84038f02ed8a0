"""Uvicorn's WebSocket protocol, with an end to every connection: a peer that reads no more holds nothing open."""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_FRAME_BYTES = 64 * 1024
PING_SECONDS = 20.0
CLOSE_SECONDS = 5.0

# uvicorn writes a line with the peer's address and the query string of each; ours say who and what instead
_quiet = logging.getLogger("uvicorn.websockets")
_quiet.setLevel(logging.WARNING)


class Sockets(WebSocketsSansIOProtocol):
    """Uvicorn's protocol over a transport that does not wait for ever for its last words to be read."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.logger = _quiet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the transport that ends."""
        super().connection_made(Ending(transport))  # type: ignore[arg-type]


class Ending:
    """A transport that is cut where closing it takes too long."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._cut: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close once what is written is read, or after a while all the same."""
        if self._cut is None:
            self._cut = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
