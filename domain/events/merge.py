"""Events, daily counts and follows of fans who become one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.events.activity import to_the_minute
from domain.events.models import EventCount, FanActivity, FanEvent, Follow
from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, PlainRows, Undoing, rows_of
from domain.tables import table_of
from domain.tenancy.models import Brand

events, counts, brands = table_of(FanEvent), table_of(EventCount), table_of(Brand)
activity = table_of(FanActivity)
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


class LastActivity:
    """Keeps the later of two moments. Both come back, each with what came for its side since."""

    what = "fan_activity"
    tables = frozenset({"fan_activity"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        rows = await rows_of(session, activity, pairs)
        moving = [pair for pair in pairs if rows.of(pair.gone)]
        had = {pair: (_moment(rows.of(pair.into)), _moment(rows.of(pair.gone))) for pair in moving}
        await _keep(session, moving, {pair.into: _latest(had[pair]) for pair in moving})
        return [Move(pair, {"into": _written(into), "gone": _written(gone)}) for pair, (into, gone) in had.items()]

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        pair = undoing.pair
        if not (await rows_of(session, activity, [pair])).of(pair.into):
            return
        since = await _last_since(session, undoing)
        others = [_read(move["gone"]) for move in undoing.others if move.get("gone")]
        into, gone = ([_read(move[side]) for move in undoing.moves if move[side]] for side in ("into", "gone"))
        latest = {
            pair.into: _latest([*into, *others, since.get(pair.into)]),
            pair.gone: _latest([*gone, since.get(pair.gone)]),
        }
        # who had no event before has none the record could tell of: what is there now stays theirs
        await _keep(session, [pair], latest if undoing.moves else {pair.gone: latest[pair.gone]})


async def _last_since(session: AsyncSession, undoing: Undoing) -> dict[int, datetime]:
    """Return when the newest of the events was that came since the merge, by whom they have been given to."""
    both = (undoing.pair.into, undoing.pair.gone)
    came = (events.c.fan_id.in_(both), events.c.received_at >= undoing.since)
    newest = select(events.c.fan_id, func.max(events.c.occurred_at)).where(*came).group_by(events.c.fan_id)
    return {fan_id: to_the_minute(at) for fan_id, at in await session.execute(newest)}


async def _keep(session: AsyncSession, pairs: Sequence[FanPair], latest: Mapping[int, datetime | None]) -> None:
    """Make these the only moments of the fans named, and leave none to a fan who is gone and not named."""
    named = [*latest, *(pair.gone for pair in pairs)]
    await session.execute(delete(activity).where(among(session, activity.c.fan_id, named)))
    places = {fan: pair for pair in pairs for fan in (pair.into, pair.gone)}
    rows = [
        {
            "fan_id": fan,
            "group_id": places[fan].group_id,
            "brand_id": places[fan].brand_id,
            "last_active_at": at,
        }
        for fan, at in latest.items()
        if at is not None
    ]
    if rows:
        await session.execute(insert(activity), rows)


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


def _moment(rows: Sequence[Any]) -> datetime | None:
    return rows[0].last_active_at if rows else None


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _read(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


COUNTS = DailyCounts()
ACTIVITY = LastActivity()
