"""Reads of programmes."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.compiled import Among, Compiled
from domain.looks import Asked
from domain.points.programme.models import ClawBackPolicy, ExpiryPolicy, PointsProgramme
from domain.points.programme.rules import DEFAULTS, Programme, Settings
from domain.tables import table_of
from domain.tenancy.models import Brand

programmes, brands = table_of(PointsProgramme), table_of(Brand)


async def programme_of(session: AsyncSession, brand_id: int) -> Programme:
    """Return the programme of a brand that is there; what may be asked of it is the caller's to decide."""
    return (await programmes_of(session, [brand_id]))[brand_id]


async def programmes_of(session: AsyncSession, brand_ids: Iterable[int]) -> dict[int, Programme]:
    """Return the programmes of the brands, in one statement."""
    one = programmes_among(brand_ids)
    return by_brand(await one.select.rows(session, **one.values))


def programmes_among(brand_ids: Iterable[int]) -> Asked:
    """Ask for what `programmes_of` returns, beside other things."""
    return Asked(_select_programmes, {"brands": sorted(set(brand_ids))})


def by_brand(rows: Iterable[Any]) -> dict[int, Programme]:
    """Return programmes by the ids of their brands."""
    return {row.id: Programme(row.id, row.group_id, row.time_zone, _settings(row), row.version or 0) for row in rows}


@Compiled
def _select_programmes(among: Among) -> Select[Any]:
    joined = brands.outerjoin(programmes, programmes.c.brand_id == brands.c.id)
    said = [programmes.c[name] for name in ("expiry", "expiry_months", "claw_back", "four_eyes_limit", "version")]
    statement = select(brands.c.id, brands.c.group_id, brands.c.time_zone, *said).select_from(joined)
    return statement.where(among(brands.c.id, "brands"))


def _settings(row: Any) -> Settings:
    if row.expiry is None:
        return DEFAULTS
    policies = (ExpiryPolicy(row.expiry), row.expiry_months, ClawBackPolicy(row.claw_back))
    return Settings(*policies, row.four_eyes_limit)
