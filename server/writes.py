"""One write for an answer. Uvicorn writes head and body one by one, and the loop makes two packets of them."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class JoinedWrites(HttpToolsProtocol):
    """Uvicorn's protocol over a transport that holds a head back until its body comes or this turn of the loop ends."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with the transport that joins."""
        super().connection_made(Joined(transport))  # type: ignore[arg-type]


class Joined:
    """A transport that joins the head of an answer to what is written next."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Write, or hold back the head of an answer."""
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head + data)
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            # a HEAD has no body, and that of a stream may take its time
            asyncio.get_running_loop().call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Write what was held back, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
