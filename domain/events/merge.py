"""Events, daily counts and follows of fans who become one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.events.models import EventCount, FanEvent, Follow
from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, PlainRows, Undoing, rows_of
from domain.tables import table_of
from domain.tenancy.models import Brand

events, counts, brands = table_of(FanEvent), table_of(EventCount), table_of(Brand)
Sums = Counter[tuple[str, date]]

EVENTS = PlainRows(events, "received_at")
FOLLOWS = PlainRows(table_of(Follow), "received_at")


class DailyCounts:
    """Adds up the daily counts. Those of the events since a merge are counted again from the events."""

    what = "event_counts"
    tables = frozenset({"event_counts"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        rows = await rows_of(session, counts, pairs)
        moving = [pair for pair in pairs if rows.of(pair.gone)]
        sums = {pair: _summed(rows.of(pair.into)) + _summed(rows.of(pair.gone)) for pair in moving}
        await _replace(session, {pair.gone: Counter() for pair in moving}, moving)
        await _replace(session, {pair.into: total for pair, total in sums.items()}, moving)
        return [
            Move(pair, {"counts": [[row.name, row.day.isoformat(), row.count] for row in rows.of(pair.gone)]})
            for pair in moving
        ]

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair = undoing.pair
        brought: Sums = Counter(
            {(name, date.fromisoformat(day)): count for name, day, count in undoing.listed("counts")}
        )
        if undoing.to_gone:
            brought += await _since(session, undoing)
        statement = select(counts).where(counts.c.fan_id == pair.into).with_for_update()
        now = _summed((await session.execute(statement)).all())
        # what was pruned since is counted for neither
        back = brought & now
        await _replace(session, {pair.into: now - back, pair.gone: back}, [pair])


def _summed(rows: Sequence[Any]) -> Sums:
    return Counter({(row.name, row.day): row.count for row in rows})


async def _since(session: AsyncSession, undoing: Undoing) -> Sums:
    """Count the events that came since the merge and were brought by no later one."""
    pair = undoing.pair
    zone = ZoneInfo(
        (await session.execute(select(brands.c.time_zone).where(brands.c.id == pair.brand_id))).scalar_one()
    )
    brought = {event for move in undoing.others for event in move.get("ids", ())}
    came = select(events.c.id, events.c.name, events.c.occurred_at).where(
        events.c.fan_id == pair.into, events.c.received_at >= undoing.since
    )
    rows = (await session.execute(came)).all()
    return Counter((row.name, row.occurred_at.astimezone(zone).date()) for row in rows if row.id not in brought)


async def _replace(session: AsyncSession, sums: Mapping[int, Sums], pairs: Sequence[FanPair]) -> None:
    """Make these the only counts of the fans."""
    if not sums:
        return
    await session.execute(delete(counts).where(among(session, counts.c.fan_id, list(sums))))
    places = {fan: pair for pair in pairs for fan in (pair.into, pair.gone)}
    rows = [
        {
            "group_id": places[fan].group_id,
            "brand_id": places[fan].brand_id,
            "fan_id": fan,
            "name": name,
            "day": day,
            "count": count,
        }
        for fan, total in sums.items()
        for (name, day), count in total.items()
    ]
    if rows:
        await session.execute(insert(counts), rows)


COUNTS = DailyCounts()
