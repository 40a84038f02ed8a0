"""One reader of new events in a process, for all who listen there."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from domain.database import Database
from domain.errors import DomainError, RateLimited
from domain.live.tail import Tail

log = structlog.get_logger(__name__)

# behind the notices: what SQLite's other processes write, and what a lost notice would have told
POLL_SECONDS = 0.5
GATHER_SECONDS = 0.02
RETRY_SECONDS = 1.0
MAX_WAITING = 5_000

Takes = Callable[[Any], bool]


class Listener:
    """One who listens. `takes` tells what is kept for them: at most 5,000 rows, which are the same for all."""

    def __init__(self, takes: Takes) -> None:
        self._takes = takes
        self._rows: deque[Any] = deque()
        self._came = asyncio.Event()
        self._lost = False

    def bring(self, rows: list[Any]) -> None:
        """Keep what they want of new rows."""
        self._rows.extend(row for row in rows if self._takes(row))
        if len(self._rows) > MAX_WAITING:
            self._rows.clear()
            self._lost = True
        if self._rows or self._lost:
            self._came.set()

    async def next(self) -> list[Any]:
        """Wait for rows and return all that are kept. Raises RateLimited where they were too many to be kept."""
        await self._came.wait()
        if self._lost:
            raise RateLimited("More came than was read in time; subscribe again, to less.")
        self._came.clear()
        rows = list(self._rows)
        self._rows.clear()
        return rows


class Hub:
    """Reads while anybody listens, and not otherwise."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: set[Listener] = set()
        self._starting = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None

    async def join(self, takes: Takes) -> Listener:
        """Listen to every event that is committed from now on. Raises Unavailable."""
        async with self._starting:
            if self._reading is None or self._reading.done():
                tail = Tail(self._database)
                await tail.start(_time())
                self._reading = asyncio.create_task(self._read(tail))
            listener = Listener(takes)
            self._listeners.add(listener)
            return listener

    async def leave(self, listener: Listener) -> None:
        """Listen no more; the last one ends the reading."""
        self._listeners.discard(listener)
        async with self._starting:
            if not self._listeners and self._reading is not None:
                self._reading.cancel()
                await asyncio.wait({self._reading})
                self._reading = None

    async def _read(self, tail: Tail) -> None:
        async with self._database.notices.hearing() as heard:
            while True:
                heard.clear()
                if await self._pass_on(tail):
                    continue
                # not wait_for, which forgets that it was cancelled when what it waits for comes in the same turn
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await heard.wait()
                        # what is committed together is read together
                        await asyncio.sleep(GATHER_SECONDS)

    async def _pass_on(self, tail: Tail) -> bool:
        """Bring what is new to all; tell whether there may be more already."""
        try:
            news = await tail.read(_time())
        except DomainError as error:
            log.warning("events_not_read", reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)
            return False
        except Exception:
            # whatever it is, those who listen must not be left without a reader
            log.exception("events_not_read")
            await asyncio.sleep(RETRY_SECONDS)
            return False
        if news.rows:
            for listener in tuple(self._listeners):
                listener.bring(news.rows)
        return news.more


def _time() -> float:
    return asyncio.get_running_loop().time()
