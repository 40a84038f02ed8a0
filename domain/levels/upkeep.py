"""The worker's side: looking at all fans of a brand whose levels changed, and at those whose months are over."""

import asyncio
import time
from typing import Any

from sqlalchemy import ColumnElement, Select, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk, clock
from domain.database import LOCK_WAIT_SECONDS, Database
from domain.errors import Conflict
from domain.fans.models import Fan
from domain.levels.models import FanLevel, Level, LevelProgramme
from domain.levels.standing import Cause, lock_accounts, look_again
from domain.scope import system_scope
from domain.tables import table_of

FANS_PER_STEP = 1_000
OTHERS_SECONDS = 0.02
PRINCIPAL = "system:levels"
_SCOPE = system_scope("levels")
fans, levels = table_of(Fan), table_of(Level)
fan_levels, programmes = table_of(FanLevel), table_of(LevelProgramme)


async def tend(database: Database, limit: int = FANS_PER_STEP) -> bool:
    """Do one step of what waits, in a transaction of its own; return whether there may be more.

    A worker that is killed loses the step in hand. Two at once take turns.
    """
    try:
        settled = await _settle(database, limit)
    except Conflict:
        # what holds up one brand's ladder does not hold up everybody's months
        await _end_periods(database, limit)
        raise
    return settled or await _end_periods(database, limit)


async def _settle(database: Database, limit: int) -> bool:
    # mostly there is none, and to see that must not cost SQLite its only writer
    async with database.reading(_SCOPE) as session:
        seen = (await session.execute(_unsettled())).one_or_none()
    if seen is None:
        return False
    if seen.settled_to == 0:
        await _let_others_end(database)
    async with database.writing(_SCOPE) as session:
        programme = (await session.execute(_unsettled().with_for_update(skip_locked=True))).one_or_none()
        if programme is None:
            return False
        if programme.settled_to == 0 and programme != seen:
            return True  # another ladder than that for which others were waited for
        mine = (fans.c.brand_id == programme.brand_id, fans.c.id > programme.settled_to)
        found = select(fans.c.id).where(*mine).order_by(fans.c.id).limit(limit)
        ids = list((await session.execute(found)).scalars())
        await lock_accounts(session, ids)
        await look_again(session, ids, principal=PRINCIPAL, cause=Cause.LADDER)
        await _rank_again(session, ids)
        last = ids[-1] if len(ids) == limit else None
        settled = update(programmes).where(programmes.c.brand_id == programme.brand_id).values(settled_to=last)
        await session.execute(settled)
    return True


async def _let_others_end(database: Database) -> None:
    """Wait for all who write now: they may have looked at the ladder of before.

    What they do not show before they commit nobody could lock: the first account of a fan, or a fan who comes back as a
    merge is undone. Whoever writes later looks at the ladder that is in force by now. Raises Conflict where one takes
    too long; then the step is done again.
    """
    if database.dialect == "sqlite":
        return  # one writer at a time
    until = time.monotonic() + LOCK_WAIT_SECONDS
    writing = await _writing(database)
    while writing:
        if time.monotonic() > until:
            raise Conflict
        await asyncio.sleep(OTHERS_SECONDS)
        writing &= await _writing(database)


async def _writing(database: Database) -> set[str]:
    """Return the transactions in this database that write. Each look is a session, in which the view stands still."""
    mine = text("datname = current_database() AND backend_xid IS NOT NULL")
    async with database.reading(_SCOPE) as session:
        found = select(text("backend_xid::text")).select_from(text("pg_stat_activity")).where(mine)
        return set((await session.execute(found)).scalars())


def _unsettled() -> Select[Any]:
    columns = (programmes.c.brand_id, programmes.c.settled_to, programmes.c.version)
    return select(*columns).where(programmes.c.settled_to.is_not(None)).order_by(programmes.c.brand_id).limit(1)


async def _rank_again(session: AsyncSession, ids: list[int]) -> None:
    """Bring the places up to the ladder's: a level that came between others moves those above it."""
    rank = select(levels.c.rank).where(levels.c.id == fan_levels.c.level_id).scalar_subquery()
    moved = (
        bulk.among(session, fan_levels.c.fan_id, ids),
        fan_levels.c.level_id.is_not(None),
        fan_levels.c.rank != rank,
    )
    await session.execute(update(fan_levels).where(*moved).values(rank=rank))


async def _end_periods(database: Database, limit: int) -> bool:
    async with database.reading(_SCOPE) as session:
        if (await session.execute(_ended(1))).first() is None:
            return False
    async with database.writing(_SCOPE) as session:
        ids = list((await session.execute(_ended(limit))).scalars())
        await lock_accounts(session, ids)
        # the lock may have been waited for: who was looked at meanwhile is not again
        still = select(fan_levels.c.fan_id).where(bulk.among(session, fan_levels.c.fan_id, ids), _is_over())
        due = list((await session.execute(still)).scalars())
        await look_again(session, due, principal=PRINCIPAL, cause=Cause.PERIOD)
    return len(ids) == limit


def _is_over() -> ColumnElement[bool]:
    return fan_levels.c.valid_until <= clock.now()


def _ended(limit: int) -> Select[Any]:
    order = (fan_levels.c.valid_until, fan_levels.c.fan_id)
    return select(fan_levels.c.fan_id).where(_is_over()).order_by(*order).limit(limit)
