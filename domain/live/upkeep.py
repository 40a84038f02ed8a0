"""Keeping the counts small: the slots of a minute that is over become one row, and what is too old goes."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, literal, select, tuple_
from sqlalchemy.dialects import postgresql

from domain.database import Database
from domain.live.service import hot_counts
from domain.scope import system_scope

FOLDED = -1
# younger minutes are written all the time; later than that little comes, and is left in its slot
FOLD_AFTER, FOLD_BEFORE = timedelta(minutes=2), timedelta(minutes=20)
STATEMENT_SECONDS = 60.0


async def fold(database: Database, now: datetime) -> None:
    """Make one row of each item's slots, in one statement: nothing is counted twice, whoever else folds or writes."""
    if database.dialect != "postgresql":
        return  # one writer at a time has one slot
    keys = [hot_counts.c[name] for name in ("brand_id", "kind", "minute", "item")]
    written = [*keys, hot_counts.c.slot]
    over = (hot_counts.c.minute < now - FOLD_AFTER, hot_counts.c.minute >= now - FOLD_BEFORE, hot_counts.c.slot >= 0)
    # a row that is being written waits for the next time, so that neither waits for the other
    free = select(*written).where(*over).with_for_update(skip_locked=True)
    taken = delete(hot_counts).where(tuple_(*written).in_(free)).returning(hot_counts).cte("taken")
    by = [taken.c[column.name] for column in keys]
    sums = select(*by, literal(FOLDED), func.min(taken.c.group_id), func.sum(taken.c.count)).group_by(*by).order_by(*by)
    names = [*(column.name for column in keys), "slot", "group_id", "count"]
    insertion = postgresql.insert(hot_counts).from_select(names, sums)
    grown = {"count": hot_counts.c.count + insertion.excluded.count}
    async with database.writing(system_scope("live"), statement_seconds=STATEMENT_SECONDS) as session:
        await session.execute(insertion.on_conflict_do_update(index_elements=written, set_=grown))


async def prune(database: Database, older_than: datetime) -> int:
    """Delete the counts of minutes before the moment; return how many rows there were."""
    async with database.writing(system_scope("live"), statement_seconds=STATEMENT_SECONDS) as session:
        result: Any = await session.execute(delete(hot_counts).where(hot_counts.c.minute < older_than))
        return int(result.rowcount)
