"""A TCP connection that a test can cut, stall and mend: what a network does to a server behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 65_536


class Link:
    """Forwards from a port of its own to another. Made mended; see `linked`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def mend(self) -> None:
        """Accept connections and forward what they say."""
        self._flows.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def stall(self) -> None:
        """Accept connections and keep what they say: a host that is gone without a word."""
        await self.mend()
        self._flows.clear()

    async def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._flows.set()
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            onward, answer = await asyncio.open_connection(*self._target)
            pair = {writer, answer}
            self._writers |= pair
            try:
                await asyncio.gather(self._pump(reader, answer), self._pump(onward, writer))
            finally:
                self._writers -= pair
                for end in pair:
                    end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while said := await reader.read(CHUNK):
                await self._flows.wait()
                writer.write(said)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def linked(host: str, port: int) -> AsyncIterator[Link]:
    """Yield a mended link to the address."""
    link = Link(host, port)
    await link.mend()
    try:
        yield link
    finally:
        await link.cut()
        await asyncio.sleep(0)
