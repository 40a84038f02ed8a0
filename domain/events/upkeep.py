"""Care of what is stored of events: months made ahead on PostgreSQL, and forgetting what is older than it is kept."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import Database
from domain.events.models import EventCount, EventKey, FanEvent
from domain.scope import system_scope
from domain.tables import table_of

AHEAD_MONTHS = 3
CROWDED_ROWS = 10_000  # a month that nobody expected gets a partition when so many of its events have come
ROWS_PER_PRUNE = 2_000
SECONDS = 60
SCOPE = system_scope("events")
events, keys, counts = table_of(FanEvent), table_of(EventKey), table_of(EventCount)


async def keep_months(database: Database) -> int:
    """Make the partitions of this month and the next ones where they are not there yet; return how many were made."""
    if database.dialect == "sqlite":
        return 0
    async with database.writing(SCOPE, statement_seconds=SECONDS) as session:
        made = await session.execute(select(func.keep_event_months(AHEAD_MONTHS, CROWDED_ROWS)))
        return int(made.scalar_one())


async def forget(database: Database, months: int) -> int:
    """Forget events, their keys and their counts older than so many months, of 31 days; 0 keeps all for ever.

    Returns how many partitions were dropped on PostgreSQL and, elsewhere, how many events were deleted.
    """
    if months == 0:
        return 0
    before = clock.now() - timedelta(days=31 * months)
    dropped = await _forget_events(database, before)
    await _delete(database, keys, keys.c.received_at, before)
    await _delete_by_name(database, counts, counts.c.day, before.date())
    return dropped


async def _forget_events(database: Database, before: datetime) -> int:
    if database.dialect == "sqlite":
        return await _delete_by_name(database, events, events.c.occurred_at, before)
    async with database.writing(SCOPE, statement_seconds=SECONDS) as session:
        return int((await session.execute(select(func.drop_event_months(before)))).scalar_one())


async def _delete_by_name(database: Database, table: Table, column: Column[Any], before: Any) -> int:
    """Delete what is older by brand and name, which its index begins with: none of its own is kept for forgetting."""
    total, found = 0, await _next_name(database, table, (0, ""))
    while found is not None:
        mine = (table.c.brand_id == found[0], table.c.name == found[1])
        total += await _delete(database, table, column, before, *mine)
        found = await _next_name(database, table, found)
    return total


async def _next_name(database: Database, table: Table, last: tuple[int, str]) -> tuple[int, str] | None:
    named = (table.c.brand_id, table.c.name)
    after = select(*named).where(tuple_(*named) > last).order_by(*named).limit(1)
    async with database.reading(SCOPE) as session:
        row = (await session.execute(after)).one_or_none()
    return None if row is None else (row[0], row[1])


async def _delete(
    database: Database, table: Table, column: Column[Any], before: Any, *mine: ColumnElement[bool]
) -> int:
    """Delete what is older, a few thousand rows a transaction, so that nobody waits for long."""
    total = 0
    while True:
        async with database.writing(SCOPE, statement_seconds=SECONDS) as session:
            deleted = await _delete_some(session, table, column < before, *mine)
        total += deleted
        if deleted < ROWS_PER_PRUNE:
            return total


async def _delete_some(session: AsyncSession, table: Table, *old: ColumnElement[bool]) -> int:
    key = list(table.primary_key)
    found = (await session.execute(select(*key).where(*old).limit(ROWS_PER_PRUNE))).all()
    if found:
        await session.execute(delete(table).where(_is_one_of(key, found)))
    return len(found)


def _is_one_of(key: list[Column[Any]], rows: Any) -> Any:
    return key[0].in_([row[0] for row in rows]) if len(key) == 1 else tuple_(*key).in_([tuple(row) for row in rows])
