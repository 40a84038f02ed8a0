"""Reads of levels and of where fans stand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.fans.models import Fan
from domain.levels.ladders import ladders_by_brand
from domain.levels.models import Demotion, Level, LevelProgramme
from domain.levels.rules import NOWHERE, Ladder
from domain.levels.standing import Stood, standings
from domain.page import Page, PageArgs, Sort, Window, read, window
from domain.scope import Scope
from domain.tables import table_of
from domain.tenancy.models import Brand

PERMISSION = "fan:read"
levels, programmes, brands = table_of(Level), table_of(LevelProgramme), table_of(Brand)
LOWEST = Sort("growth", (levels.c.brand_id, levels.c.growth, levels.c.id))


async def levels_by_id(
    session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = PERMISSION
) -> dict[int, Level]:
    return await reads.by_id(session, scope.where_shared(permission, levels), Level, ids)


async def levels_of_brand(session: AsyncSession, brand_id: int, ids: Iterable[int]) -> dict[int, Level]:
    """Return those of a brand's levels, for a fan of it."""
    return await reads.by_id(session, levels.c.brand_id == brand_id, Level, ids)


async def list_levels(session: AsyncSession, scope: Scope, args: PageArgs, brand_id: int | None = None) -> Page[Level]:
    """Return a page of the levels of the brands whose fans the caller may read."""
    return await read(session, cut_levels(scope, args, brand_id))


def cut_levels(scope: Scope, args: PageArgs, brand_id: int | None) -> Window:
    """Return the page of `list_levels` before it is read."""
    statement = select(levels).where(scope.where_shared(PERMISSION, levels))
    if brand_id is not None:
        statement = statement.where(levels.c.brand_id == brand_id)
    return window(statement, LOWEST, args)


async def may_read(session: AsyncSession, scope: Scope, brand_id: int) -> bool:
    """Tell whether the caller reads fans of the brand, or of a dealer of it, and so what its levels are."""
    visible = select(brands.c.id).where(brands.c.id == brand_id, scope.where_shared(PERMISSION, brands))
    return (await session.execute(visible)).first() is not None


@dataclass(frozen=True)
class Kept:
    """How a brand keeps its levels: its programme, or what holds where it never said."""

    brand_id: int
    demotion: Demotion
    valid_months: int | None
    version: int
    settled: bool
    levels: Sequence[Level]


async def programme_of(session: AsyncSession, brand_id: int) -> Kept:
    """Return how a brand, which the caller may read, keeps its levels, and those in force."""
    row = (await session.execute(select(programmes).where(programmes.c.brand_id == brand_id))).one_or_none()
    found = await _in_force(session, [brand_id])
    if row is None:
        return Kept(brand_id, Demotion.NEVER, None, 0, settled=True, levels=[])
    kept = (Demotion(row.demotion), row.valid_months, row.version)
    return Kept(brand_id, *kept, settled=row.settled_to is None, levels=found)


async def _in_force(session: AsyncSession, brand_ids: Iterable[int]) -> list[Level]:
    mine = (levels.c.brand_id.in_(sorted(set(brand_ids))), levels.c.archived_at.is_(None))
    return await reads.rows(session, select(levels).where(*mine).order_by(levels.c.growth, levels.c.id), Level)


@dataclass(frozen=True)
class Place:
    """Where a fan stands on their brand's ladder: the level shown, the next one and what it still takes."""

    level: Level | None
    since: datetime | None
    valid_until: datetime | None
    growth: int
    next: Level | None
    missing: int | None


async def places_by_fan(session: AsyncSession, fans: Sequence[Fan]) -> dict[int, Place]:
    """Return where fans, who were read under the scope, stand; nothing of those whose brand has no levels."""
    ladders = await ladders_by_brand(session, {fan.brand_id for fan in fans})
    ladders = {brand_id: ladder for brand_id, ladder in ladders.items() if ladder.by_id}
    wanted = [fan for fan in fans if fan.brand_id in ladders]
    if not wanted:
        return {}
    stood = {one.fan_id: one for one in await standings(session, [fan.id for fan in wanted])}
    ids = {rung for ladder in ladders.values() for rung in ladder.by_id}
    rows = await reads.by_id(session, levels.c.brand_id.in_(sorted(ladders)), Level, ids)
    return {fan.id: _place(ladders[fan.brand_id], stood.get(fan.id) or _new(fan), rows) for fan in wanted}


def _new(fan: Fan) -> Stood:
    return Stood(fan.group_id, fan.brand_id, fan.id, 0, NOWHERE)


def _place(ladder: Ladder, one: Stood, rows: dict[int, Level]) -> Place:
    standing = one.standing
    counted = one.growth - standing.deducted
    held = ladder.by_id.get(standing.level_id or 0) or ladder.base
    # a level that is kept though growth fell is above the next one that growth alone would reach
    nearest = ladder.after(max(counted, held.growth if held else 0))
    return Place(
        rows.get(held.id) if held else None,
        standing.since,
        standing.valid_until,
        counted,
        rows.get(nearest.id) if nearest else None,
        nearest.growth - counted if nearest else None,
    )
