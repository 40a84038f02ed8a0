"""What fans who become one were granted. Counters follow from it, and are counted again."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import case, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, PlainRows, Undoing
from domain.points.earning.models import PointCounter, PointGrant
from domain.points.earning.rules import UNUSED, Key, Used, keys_of
from domain.tables import table_of

grants, counters = table_of(PointGrant), table_of(PointCounter)
_ROWS = PlainRows(grants, "created_at")


class Grants:
    """Moves grants, which keep their ids. What both earned in one day stays, and caps count it together."""

    what = "point_grants"
    tables = frozenset({"point_grants", "point_counters"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        # counters of the gone go first: they name a fan who is about to be none
        moved = await _ROWS.move(session, pairs)
        await _recount(session, pairs)
        return moved

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        await _ROWS.restore(session, undoing)
        await _recount(session, [undoing.pair])


async def _recount(session: AsyncSession, pairs: Sequence[FanPair]) -> None:
    """Make the fans' counters say what their grants say."""
    fans = sorted({fan for pair in pairs for fan in (pair.into, pair.gone)})
    await session.execute(delete(counters).where(among(session, counters.c.fan_id, fans)))
    gave = or_(grants.c.granted_points > 0, grants.c.granted_growth > 0)
    sums = (
        func.sum(case((gave, 1), else_=0)),
        func.sum(grants.c.granted_points),
        func.sum(grants.c.granted_growth),
    )
    day = (grants.c.fan_id, grants.c.rule_id, grants.c.day)
    earned = select(*day, *sums).where(among(session, grants.c.fan_id, fans)).group_by(*day)
    used = _added_up((await session.execute(earned)).all())
    places = {fan: (pair.group_id, pair.brand_id) for pair in pairs for fan in (pair.into, pair.gone)}
    rows = [_row(places[key.fan_id], key, count) for key, count in sorted(used.items())]
    if rows:
        await session.execute(insert(counters), rows)


def _added_up(days: Iterable[Any]) -> dict[Key, Used]:
    used: dict[Key, Used] = {}
    for fan_id, rule_id, day, *count in days:
        for key in keys_of(fan_id, rule_id, day):
            before = used.get(key, UNUSED)
            used[key] = Used(*(int(old) + int(more) for old, more in zip(before, count, strict=True)))
    return used


def _row(place: tuple[int, int], key: Key, count: Used) -> dict[str, Any]:
    group_id, brand_id = place
    return {"group_id": group_id, "brand_id": brand_id, **key._asdict(), "period": key.period.value, **count._asdict()}


GRANTS = Grants()
