"""Daily counts of each fan's events: what `event E at least K times within N days` is answered from."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, FromClause, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk, clock
from domain.events.models import EventCount
from domain.tables import table_of
from domain.tenancy.models import Brand

counts, brands = table_of(EventCount), table_of(Brand)


@lru_cache(maxsize=1000)
def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of a brand."""
    return ZoneInfo(name)


def first_day(brand: Any, days: int, now: datetime | None = None) -> date:
    """Return the first of the last `days` natural days of the brand, of which today is one."""
    today = (now or clock.now()).astimezone(zone_of(brand.time_zone)).date()
    return today - timedelta(days=days - 1)


async def first_days(session: AsyncSession, brand_ids: Iterable[int], days: int) -> dict[int, date]:
    """Return for each brand the first of its last natural days.

    It is asked for fans who were read under the scope: what they may see of the brand has no say in what its day is.
    """
    zones = select(brands.c.id, brands.c.time_zone).where(brands.c.id.in_(sorted(set(brand_ids))))
    return {row.id: first_day(row, days) for row in await session.execute(zones)}


async def add(session: AsyncSession, brand: Brand, events: Iterable[tuple[int, str, datetime]]) -> None:
    """Count events, each a fan, a name and a moment, in the transaction that stores them."""
    zone = zone_of(brand.time_zone)
    totals = Counter([(fan_id, name, at.astimezone(zone).date()) for fan_id, name, at in events])
    # in one order for all, so that two transactions wait for each other and do not deadlock
    rows = sorted(totals.items())
    shared = {"group_id": brand.group_id, "brand_id": brand.id}
    columns: dict[str, list[Any]] = {
        "fan_id": [fan_id for (fan_id, _, _), _ in rows],
        "name": [name for (_, name, _), _ in rows],
        "day": [day for (_, _, day), _ in rows],
        "count": [count for _, count in rows],
    }
    await bulk.add_up(session, bulk.Bulk(counts, shared, columns), "count")


def happened(brand_id: int, name: str, since: date, at_least: int) -> Select[tuple[int]]:
    """Select the ids of the brand's fans who did `name` at least so often from the day `since` on.

    Read off the index of one brand and name: no event is looked at.
    """
    done = (counts.c.brand_id == brand_id, counts.c.name == name, counts.c.day >= since)
    return select(counts.c.fan_id).where(*done).group_by(counts.c.fan_id).having(func.sum(counts.c.count) >= at_least)


def count_of(fan: FromClause, name: str, since: date) -> ColumnElement[int]:
    """Build the number of times the fan of an outer row did `name` from the day `since` on."""
    done = (counts.c.fan_id == fan.c.id, counts.c.name == name, counts.c.day >= since)
    return select(func.coalesce(func.sum(counts.c.count), 0)).where(*done).correlate(fan).scalar_subquery()


async def counts_by_fan(
    session: AsyncSession, fan_ids: Sequence[int], since: date, name: str | None = None
) -> dict[int, dict[str, int]]:
    """Return how often each fan did what from the day on. The fans must have been read under the caller's scope."""
    done = [counts.c.fan_id.in_(sorted(set(fan_ids))), counts.c.day >= since]
    statement = select(counts.c.fan_id, counts.c.name, func.sum(counts.c.count)).where(*done)
    if name is not None:
        statement = statement.where(counts.c.name == name)
    found: dict[int, dict[str, int]] = {}
    for fan_id, event, total in await session.execute(statement.group_by(counts.c.fan_id, counts.c.name)):
        found.setdefault(fan_id, {})[event] = int(total)
    return found


async def counts_since(session: AsyncSession, fans: Sequence[tuple[int, date]], name: str) -> dict[int, int]:
    """Return how often each fan did `name` from a day of their own on; fans of one brand share it."""
    by_day: dict[date, list[int]] = {}
    for fan_id, since in fans:
        by_day.setdefault(since, []).append(fan_id)
    arms = [and_(counts.c.fan_id.in_(ids), counts.c.day >= since) for since, ids in by_day.items()]
    statement = select(counts.c.fan_id, func.sum(counts.c.count)).where(counts.c.name == name, or_(*arms))
    return {row[0]: int(row[1]) for row in await session.execute(statement.group_by(counts.c.fan_id))}
