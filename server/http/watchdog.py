"""Stopping work that takes too long or that nobody waits for, with one timer for all requests."""

import asyncio
from types import TracebackType

from server.http.request import ClientGone, Receive

TICK = 0.05  # seconds; a timer and a task for each request would cost more than the smallest query does


class Watchdog:
    """The requests under way; each is stopped at its deadline, or when its client is seen to leave."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._guards: set[Guard] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticking = False

    def guard(self) -> "Guard":
        """Return the guard of one request: raises TimeoutError or ClientGone from its block, a tick late at most."""
        return Guard(self)

    def add(self, guard: "Guard") -> float:
        """Watch a request, and return its deadline on the loop's clock."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._ticking = loop, False
            self._guards.clear()
        self._guards.add(guard)
        if not self._ticking:
            self._ticking = True
            loop.call_later(TICK, self._tick)
        return loop.time() + self._timeout

    def remove(self, guard: "Guard") -> None:
        """Forget a request."""
        self._guards.discard(guard)

    def _tick(self) -> None:
        loop = self._loop
        if loop is None or not self._guards:
            self._ticking = False
            return
        now = loop.time()
        for guard in tuple(self._guards):
            guard.look(now, loop)
        loop.call_later(TICK, self._tick)


class Guard:
    """One request under watch, as a context manager around its work."""

    __slots__ = ("_deadline", "_dog", "_reason", "_receive", "_task", "_watcher")

    def __init__(self, dog: Watchdog) -> None:
        self._dog = dog
        self._receive: Receive | None = None
        self._reason: type[Exception] | None = None
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> "Guard":
        self._task = asyncio.current_task()
        self._deadline = self._dog.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dog.remove(self)
        if self._watcher is not None:
            self._watcher.cancel()
        if self._reason is not None and self._task is not None:
            self._task.uncancel()
            if kind is asyncio.CancelledError:
                raise self._reason from None

    def watch(self, receive: Receive) -> None:
        """Have the connection watched from now on; nobody else may read from it any more."""
        self._receive = receive

    def look(self, now: float, loop: asyncio.AbstractEventLoop) -> None:
        """Stop the request at its deadline; until then see that its connection is watched."""
        if now >= self._deadline:
            self._stop(TimeoutError)
        elif self._receive is not None and self._watcher is None:
            self._watcher = loop.create_task(self._wait_for_disconnect(self._receive))

    async def _wait_for_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._stop(ClientGone)

    def _stop(self, reason: type[Exception]) -> None:
        if self._reason is None and self._task is not None:
            self._reason = reason
            self._task.cancel()
