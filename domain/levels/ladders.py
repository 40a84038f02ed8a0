"""Reading the ladders of brands, for whoever decides by them."""

from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.levels.models import Demotion, Level, LevelProgramme
from domain.levels.rules import Ladder, Rung
from domain.reads import grouped
from domain.tables import table_of
from domain.tenancy.models import Brand

levels, programmes, brands = table_of(Level), table_of(LevelProgramme), table_of(Brand)


async def ladders_by_brand(session: AsyncSession, brand_ids: Iterable[int]) -> dict[int, Ladder]:
    """Return the ladder of each brand that ever had one, in one statement."""
    kept = (programmes.c.brand_id, programmes.c.demotion, programmes.c.valid_months, brands.c.time_zone)
    rungs = (levels.c.id, levels.c.code, levels.c.growth, levels.c.rank, levels.c.archived_at)
    statement = (
        select(*kept, *rungs)
        .join(brands, brands.c.id == programmes.c.brand_id)
        .outerjoin(levels, levels.c.brand_id == programmes.c.brand_id)
        .where(programmes.c.brand_id.in_(sorted(set(brand_ids))))
        .order_by(levels.c.growth, levels.c.id)
    )
    found = grouped(await session.execute(statement), lambda row: int(row.brand_id))
    return {brand_id: _ladder(rows) for brand_id, rows in found.items()}


def _ladder(rows: Sequence[Any]) -> Ladder:
    one = rows[0]
    known = [row for row in rows if row.id is not None]
    return Ladder(
        [_rung(row) for row in known if row.archived_at is None],
        [_rung(row) for row in known if row.archived_at is not None],
        Demotion(one.demotion),
        one.valid_months,
        ZoneInfo(one.time_zone),
    )


def _rung(row: Any) -> Rung:
    return Rung(row.id, row.code, row.growth, row.rank)
