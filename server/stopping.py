"""The HTTP server, and how it stops: not ready first, then no new connections, then an end with exit code 0."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.server import HANDLED_SIGNALS

from server.http.sockets.protocol import MAX_FRAME_BYTES, PING_SECONDS, Sockets
from server.settings import Settings
from server.straight import StraightProtocol


class StoppableServer(uvicorn.Server):
    """Serves until SIGTERM or Ctrl-C. Requests under way are finished; a second Ctrl-C does not wait for them.

    WebSockets are closed with 1012 when it stops: their clients come back, to another server or to the next.
    """

    def __init__(self, settings: Settings, app: Starlette) -> None:
        super().__init__(_config(settings, app))
        self._health = app.state.health
        self._drain_seconds = settings.drain_seconds

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals while serving. Uvicorn raises them once more afterwards, which would cut the closing short."""
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Say not ready at once, and stop when load balancers have noticed. Nobody waits for that after Ctrl-C."""
        noticed, self._health.draining = self._health.draining, True
        if sig == signal.SIGINT or noticed:
            super().handle_exit(sig, frame)
        else:
            loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(loop.call_later, self._drain_seconds, super().handle_exit, sig, None)


def _config(settings: Settings, app: Starlette) -> uvicorn.Config:
    protocol: Any = partial(StraightProtocol, endpoints=app.state.endpoints)
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=protocol,
        ws=Sockets,
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        # a window for each connection costs more memory than the connection, and a message is small
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=settings.graceful_seconds,
    )
