"""New events as they become visible: none twice, and none missed because its transaction ended after a later one."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.database import Database
from domain.events.models import FanEvent
from domain.fans.models import Fan
from domain.scope import system_scope
from domain.tables import table_of

PAGE = 1_000
LOOK_BACK = 1_000
# longer than any transaction takes that stores events
GAP_SECONDS = 30.0
MAX_GAPS = 200

events, fans = table_of(FanEvent), table_of(Fan)
# with where the fan belongs now: that is what a scope is held against
_ROWS: Select[Any] = select(events, fans.c.id.label("known"), fans.c.dealer_id, fans.c.store_id).outerjoin(
    fans, fans.c.id == events.c.fan_id
)


@dataclass
class Gap:
    """Ids that were given out and are not there, or not yet."""

    first: int
    last: int
    noticed: float


class News(NamedTuple):
    """What came, and whether there may be more already."""

    rows: list[Any]
    more: bool


class Tail:
    """Where one reader stands. Ids are given out in order, but not committed in order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._scope = system_scope("live")
        self._one_writer = database.dialect == "sqlite"
        self._last = 0
        self._gaps: list[Gap] = []

    async def start(self, now: float) -> None:
        """Stand behind the newest event; those still on their way before it are waited for."""
        async with self._database.reading(self._scope) as session:
            top = await _top(session)
            self._last = max(top - LOOK_BACK, 0)
            found = await session.execute(select(events.c.id).where(events.c.id > self._last).order_by(events.c.id))
            self._pass([row.id for row in found], now)

    async def read(self, now: float) -> News:
        """Return what became visible since the last time. Raises Unavailable and Timeout."""
        self._gaps = [gap for gap in self._gaps if gap.noticed > now - GAP_SECONDS][-MAX_GAPS:]
        async with self._database.reading(self._scope) as session:
            late = await self._late(session)
            if self._one_writer:
                # SQLite gives the ids of deleted newest rows out again
                self._last = min(self._last, await _top(session))
            statement = _ROWS.where(events.c.id > self._last).order_by(events.c.id).limit(PAGE)
            new = list((await session.execute(statement)).all())
        self._pass([row.id for row in new], now)
        return News([row for row in (*late, *new) if row.known is not None], len(new) == PAGE)

    async def _late(self, session: AsyncSession) -> list[Any]:
        if not self._gaps:
            return []
        ranges = or_(*(events.c.id.between(gap.first, gap.last) for gap in self._gaps))
        found = list((await session.execute(_ROWS.where(ranges).order_by(events.c.id))).all())
        for row in found:
            self._fill(row.id)
        return found

    def _pass(self, ids: list[int], now: float) -> None:
        """Move on behind ids in their order, and note what is missing between them."""
        for id_ in ids:
            if id_ > self._last + 1 and not self._one_writer:
                self._gaps.append(Gap(self._last + 1, id_ - 1, now))
            self._last = id_

    def _fill(self, id_: int) -> None:
        for place, gap in enumerate(self._gaps):
            if gap.first <= id_ <= gap.last:
                parts = (Gap(gap.first, id_ - 1, gap.noticed), Gap(id_ + 1, gap.last, gap.noticed))
                self._gaps[place : place + 1] = [part for part in parts if part.first <= part.last]
                return


async def _top(session: AsyncSession) -> int:
    return (await session.execute(select(func.max(events.c.id)))).scalar() or 0
