"""The queue of SQLite's writers."""

import asyncio

from domain.errors import Conflict

SECONDS = 20


class Turns:
    """One writer of this process after the other, in the order they came.

    SQLite lets one write at a time and has no queue: who does not come first sleeps and tries again, each time longer,
    and of many the unlucky ones wait for seconds while nobody writes.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                await self._lock.acquire()
        except TimeoutError:
            raise Conflict from None

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
