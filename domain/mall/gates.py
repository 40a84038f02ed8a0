"""Gifts that ask for a level: met by who stands on it, or on any level that takes as much growth or more.

The levels are compared by the growth they take, so that a gate holds too where its level was taken off the ladder.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import BadInput
from domain.levels.models import FanLevel, Level
from domain.mall.models import Gift
from domain.tables import table_of

gifts, levels, fan_levels = table_of(Gift), table_of(Level), table_of(FanLevel)


def is_met(fan_id: int) -> ColumnElement[bool]:
    """Build the condition that a gift asks for no level, or for one the fan has."""
    asked, held = levels.alias("asked"), levels.alias("held")
    takes = select(asked.c.growth).where(asked.c.id == gifts.c.least_level_id).correlate(gifts).scalar_subquery()
    has = select(held.c.growth).join(fan_levels, fan_levels.c.level_id == held.c.id)
    stands = has.where(fan_levels.c.fan_id == fan_id).scalar_subquery()
    # who has no row stands on the level that everybody has, which takes no growth
    return or_(gifts.c.least_level_id.is_(None), takes <= func.coalesce(stands, 0))


async def too_high(session: AsyncSession, fan_id: int, wanted: Sequence[Any]) -> set[int]:
    """Return which of the gifts ask for a level the fan has not; one statement, none where no gift asks."""
    gated = [gift.id for gift in wanted if gift.least_level_id is not None]
    if not gated:
        return set()
    refused = select(gifts.c.id).where(gifts.c.id.in_(gated), ~is_met(fan_id))
    return set((await session.execute(refused)).scalars())


async def check_level(session: AsyncSession, brand_id: int, level_id: int | None) -> None:
    """Raise BadInput where a gift of the brand cannot ask for the level: it is on the brand's ladder."""
    if level_id is None:
        return
    mine = (levels.c.id == level_id, levels.c.brand_id == brand_id, levels.c.archived_at.is_(None))
    if (await session.execute(select(levels.c.id).where(*mine))).first() is None:
        raise BadInput("The brand has no such level.", field=("input", "leastLevelId"))
