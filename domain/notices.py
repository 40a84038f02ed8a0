"""Telling whoever waits, in this process and in others, that something was committed.

A notice may be lost: who waits looks by itself too, from time to time.

PostgreSQL's NOTIFY takes a lock that all who commit wait for, so it is not sent from the transaction that has something
to tell but after it, and what is committed within a few milliseconds is told once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import structlog
from sqlalchemy import event, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from domain.direct import Direct, prepare
from domain.errors import DomainError
from domain.scope import system_scope

log = structlog.get_logger(__name__)

CHANNEL = "scrm_events"
PAUSE_SECONDS = 0.03
RETRY_SECONDS = 5.0
_NOTIFY = prepare(select(func.pg_notify(CHANNEL, "")))


class Notices:
    """One database's notices, as one process sends and hears them."""

    def __init__(self, direct: Direct | None) -> None:
        self._direct = direct
        self._scope = system_scope("notices")
        self._waiting: set[asyncio.Event] = set()
        self._untold = False
        self._telling: asyncio.Task[None] | None = None

    def tell_on_commit(self, session: AsyncSession) -> None:
        """Tell when the session's transaction is committed, and not if it never is."""
        event.listen(session.sync_session, "after_commit", self._committed, once=True)

    def tell(self) -> None:
        """Wake who waits here, and soon those who wait in other processes."""
        for waiting in self._waiting:
            waiting.set()
        self._untold = True
        if self._direct is not None and self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell_others(self._direct))

    @asynccontextmanager
    async def hearing(self) -> AsyncIterator[asyncio.Event]:
        """Set the event yielded at every notice, of this process at once and of others when they are heard."""
        heard = asyncio.Event()
        self._waiting.add(heard)
        listening = None
        if self._direct is not None:
            listening = asyncio.get_running_loop().create_task(self._hear_others(self._direct, heard))
        try:
            yield heard
        finally:
            self._waiting.discard(heard)
            if listening is not None:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening

    async def close(self) -> None:
        """Send no more."""
        if self._telling is not None:
            self._telling.cancel()
            with suppress(asyncio.CancelledError):
                await self._telling

    def _committed(self, session: Session) -> None:
        self.tell()

    async def _tell_others(self, direct: Direct) -> None:
        try:
            while self._untold:
                self._untold = False
                await direct.fetch(self._scope, _NOTIFY, {})
                await asyncio.sleep(PAUSE_SECONDS)
        except (DomainError, asyncpg.PostgresError) as error:
            log.warning("notice_not_sent", reason=str(error))
        finally:
            self._telling = None

    async def _hear_others(self, direct: Direct, heard: asyncio.Event) -> None:
        while True:
            try:
                await _listen(direct, heard)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("notices_not_heard", reason=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)


async def _listen(direct: Direct, heard: asyncio.Event) -> None:
    """Hear until the connection ends."""
    connection = await direct.connect()
    ended = asyncio.Event()
    try:
        connection.add_termination_listener(lambda _: ended.set())
        await connection.add_listener(CHANNEL, lambda *_: heard.set())
        await ended.wait()
    finally:
        connection.terminate()
