"""The worker's side of earning: takes what was noted and grants what it earns, at least once and with one effect."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from domain.database import Database
from domain.errors import Conflict, Timeout, Unavailable
from domain.outbox.delivery import MAX_TRIES, Pending, claim, mark_failed, mark_sent, release
from domain.points.earning.arrivals import CONSUMER, EVENTS, ORDERS, REFERRALS, moment_of
from domain.points.earning.by_event import Noted, earn_by_events, earn_by_referrals
from domain.points.earning.by_order import earn_by_orders
from domain.points.programme.queries import programme_of
from domain.points.programme.rules import Programme
from domain.reads import grouped
from domain.scope import system_scope

SCOPE = system_scope("points")
ITEMS_AT_ONCE: Final = 1_000
STATEMENT_SECONDS: Final = 30
IDLE_SECONDS: Final = 0.5
# what says nothing of the note: it was not its turn, or the database was away
_LATER = (Unavailable, Conflict, Timeout)

log = structlog.get_logger(__name__)


class _Item(NamedTuple):
    """One thing that a note says."""

    note: Pending
    what: Any


async def _events(session: AsyncSession, programme: Programme, noted: Sequence[Any]) -> None:
    told = [Noted(event_id, fan_id, name, moment_of(at)) for event_id, fan_id, name, at in noted]
    await earn_by_events(session, programme, told)


async def _orders(session: AsyncSession, programme: Programme, order_ids: Sequence[Any]) -> None:
    await earn_by_orders(session, programme, order_ids)


async def _referrals(session: AsyncSession, programme: Programme, fan_ids: Sequence[Any]) -> None:
    await earn_by_referrals(session, programme, fan_ids)


Taker = Callable[[AsyncSession, Programme, Sequence[Any]], Awaitable[None]]
TAKERS: Mapping[str, Taker] = {EVENTS: _events, ORDERS: _orders, REFERRALS: _referrals}


class Earner:
    """Grant what is noted. Several may run at once; one that is killed costs only the rest of its lease."""

    def __init__(self, database: Database, *, notes: int = 50, lease_seconds: float = 60.0) -> None:
        self._database = database
        self._notes = notes
        self._lease_seconds = lease_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Grant until `stop` is set, then return when the notes in hand are done. Survives any outage."""
        while not stop.is_set():
            try:
                settled = await self.run_once()
            except _LATER as refusal:
                settled = 0
                log.info("earning_waits", reason=refusal.code)
            except Exception:
                settled = 0
                log.exception("earning_failed")
            if not settled:
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), IDLE_SECONDS)

    async def run_once(self) -> int:
        """Do some notes and return how many were settled. Raises where the database was not to be had."""
        claimed = await claim(self._database, CONSUMER, limit=self._notes, lease_seconds=self._lease_seconds)
        failed: dict[int, Exception] = {}
        done: set[int] = set()
        try:
            for (brand_id, kind), notes in grouped(claimed, _place).items():
                items = [_Item(note, what) for note in notes for what in note.payload[kind]]
                for first in range(0, len(items), ITEMS_AT_ONCE):
                    await self._take(brand_id, kind, items[first : first + ITEMS_AT_ONCE], failed)
                done |= {note.id for note in notes}
        finally:
            await self._settle(claimed, done, failed)
        return len(done)

    async def _take(self, brand_id: int, kind: str, items: Sequence[_Item], failed: dict[int, Exception]) -> None:
        """Grant what the items earn in one transaction; where that fails, each half for itself."""
        try:
            async with self._database.writing(SCOPE, statement_seconds=STATEMENT_SECONDS) as session:
                programme = await programme_of(session, brand_id)
                await TAKERS[kind](session, programme, [item.what for item in items])
        except _LATER:
            raise
        except Exception as error:  # noqa: BLE001 whatever is wrong with one thing, the others must be granted
            if len(items) == 1:
                failed[items[0].note.id] = error
                return
            half = len(items) // 2
            await self._take(brand_id, kind, items[:half], failed)
            await self._take(brand_id, kind, items[half:], failed)

    async def _settle(self, claimed: Sequence[Pending], done: set[int], failed: Mapping[int, Exception]) -> None:
        await mark_sent(self._database, [note for note in claimed if note.id in done - failed.keys()])
        for note in (note for note in claimed if note.id in failed):
            error = failed[note.id]
            await mark_failed(self._database, note, type(error).__name__)
            say = log.error if note.attempts + 1 >= MAX_TRIES else log.warning
            say("nothing_earned", id=note.id, key=note.key, tries=note.attempts + 1, exc_info=error)
        await release(self._database, [note for note in claimed if note.id not in done | failed.keys()])


def _place(note: Pending) -> tuple[int, str]:
    return note.payload["brand"], note.kind
