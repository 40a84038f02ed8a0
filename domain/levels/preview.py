"""What a ladder would do to the fans of a brand, counted before it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock, reads
from domain.columns import BigInt
from domain.levels.ladders import ladders_by_brand
from domain.levels.models import Demotion, Level
from domain.levels.rules import Ladder, Standing, stand
from domain.levels.standing import accounts, fan_levels
from domain.tables import table_of

levels = table_of(Level)


@dataclass(frozen=True)
class LevelMove:
    """How many fans go from one level to another; null where a brand has no level that everybody has."""

    before: Level | None
    after: Level | None
    fans: int


async def moves(session: AsyncSession, brand_id: int) -> list[LevelMove]:
    """Count who would move by the ladder the session wrote, from which level to which, in one statement."""
    ladder = (await ladders_by_brand(session, [brand_id]))[brand_id]
    counted: dict[tuple[int | None, int | None], int] = {}
    for row in await session.execute(_counted(ladder, brand_id)):
        after = _after(ladder, row.level_id, row.reached)
        pair = _shown(ladder, row.level_id), _shown(ladder, after)
        if pair[0] != pair[1]:
            counted[pair] = counted.get(pair, 0) + row.fans
    rows = await reads.by_id(session, levels.c.brand_id == brand_id, Level, {i for pair in counted for i in pair if i})
    return [LevelMove(rows.get(a or 0), rows.get(b or 0), fans) for (a, b), fans in _ordered(ladder, counted)]


def _counted(ladder: Ladder, brand_id: int) -> Select[Any]:
    """Select how many hold each level and reach each threshold."""
    deducted = func.coalesce(fan_levels.c.deducted, 0) if ladder.demotion is Demotion.PERIODIC else 0
    growth = accounts.c.growth - deducted
    steps = [(growth >= literal(rung.growth, BigInt), literal(rung.growth, BigInt)) for rung in reversed(ladder.above)]
    reached = (case(*steps, else_=literal(0, BigInt)) if steps else literal(0, BigInt)).label("reached")
    inner = select(fan_levels.c.level_id, reached).select_from(
        accounts.outerjoin(fan_levels, fan_levels.c.fan_id == accounts.c.fan_id)
    )
    rows = inner.where(accounts.c.brand_id == brand_id, accounts.c.former.is_(False)).subquery()
    return select(rows, func.count().label("fans")).group_by(rows.c.level_id, rows.c.reached)


def _after(ladder: Ladder, level_id: int | None, reached: int) -> int | None:
    now = clock.now()
    # nobody's months are over now: what was deducted is in the growth that was reached
    until = ladder.until(now) if level_id is not None else None
    return stand(ladder, Standing(level_id, None, until), reached, now).level_id


def _shown(ladder: Ladder, level_id: int | None) -> int | None:
    if level_id is not None:
        return level_id
    return None if ladder.base is None else ladder.base.id


def _ordered(ladder: Ladder, counted: dict[tuple[int | None, int | None], int]) -> Sequence[Any]:
    def growth(level_id: int | None) -> int:
        rung = ladder.by_id.get(level_id or 0)
        return -1 if rung is None else rung.growth

    return sorted(counted.items(), key=lambda item: (growth(item[0][0]), growth(item[0][1]), item[0][0] or 0))
