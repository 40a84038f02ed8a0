"""The worker's side: looking at all fans of a brand whose levels changed, and at those whose months are over."""

import asyncio
import time
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Select, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk, clock
from domain.database import LOCK_WAIT_SECONDS, Database
from domain.fans.models import Fan
from domain.levels.models import FanLevel, Level, LevelProgramme
from domain.levels.standing import Cause, lock_accounts, look_again
from domain.scope import system_scope
from domain.tables import table_of

FANS_PER_STEP = 1_000
LADDERS_PER_STEP = 100
OTHERS_SECONDS = 0.02
PRINCIPAL = "system:levels"
_SCOPE = system_scope("levels")
fans, levels = table_of(Fan), table_of(Level)
fan_levels, programmes = table_of(FanLevel), table_of(LevelProgramme)
# by brand and version of a ladder, who is still waited for
_awaited: WeakKeyDictionary[Database, dict[tuple[int, int], set[str]]] = WeakKeyDictionary()


async def tend(database: Database, limit: int = FANS_PER_STEP) -> bool:
    """Do one step of what waits, in a transaction of its own; return whether there may be more.

    A worker that is killed loses the step in hand. Two at once take turns.
    """
    return await _settle(database, limit) or await _end_periods(database, limit)


async def _settle(database: Database, limit: int) -> bool:
    """Do a step for the first brand for which that can be; wait a little where others still write, then give up."""
    until = time.monotonic() + LOCK_WAIT_SECONDS
    awaited = _awaited.setdefault(database, {})
    while True:
        async with database.reading(_SCOPE) as session:
            # mostly there is none, and to see that must not cost SQLite its only writer
            unsettled = (await session.execute(_unsettled())).all()
        for gone in awaited.keys() - {(one.brand_id, one.version) for one in unsettled}:
            del awaited[gone]
        ready = [one for one in unsettled if one.settled_to or await _others_ended(database, awaited, one)]
        for one in ready:
            if await _settle_some(database, one, limit):
                return True
        if len(ready) == len(unsettled) or time.monotonic() > until:
            return False
        await asyncio.sleep(OTHERS_SECONDS)


async def _settle_some(database: Database, one: Any, limit: int) -> bool:
    """Look at the next fans of a brand; return False where somebody else does, or its ladder is another by now."""
    async with database.writing(_SCOPE) as session:
        same = (programmes.c.brand_id == one.brand_id, programmes.c.version == one.version)
        still = select(programmes.c.settled_to).where(*same, programmes.c.settled_to.is_not(None))
        settled_to = (await session.execute(still.with_for_update(skip_locked=True))).scalar_one_or_none()
        if settled_to is None:
            return False
        mine = (fans.c.brand_id == one.brand_id, fans.c.id > settled_to)
        found = select(fans.c.id).where(*mine).order_by(fans.c.id).limit(limit)
        ids = list((await session.execute(found)).scalars())
        await lock_accounts(session, ids)
        await look_again(session, ids, principal=PRINCIPAL, cause=Cause.LADDER)
        await _rank_again(session, ids)
        last = ids[-1] if len(ids) == limit else None
        await session.execute(update(programmes).where(*same).values(settled_to=last))
    return True


async def _others_ended(database: Database, awaited: dict[tuple[int, int], set[str]], one: Any) -> bool:
    """Tell whether all have ended who were writing when this ladder was first come to: they may have looked at another.

    What they do not show before they commit nobody could lock: the first account of a fan, or a fan who comes back as a
    merge is undone. Whoever writes later looks at the ladder that is in force by now.
    """
    if database.dialect == "sqlite":
        return True  # one writer at a time
    ladder = (one.brand_id, one.version)
    if awaited.get(ladder, True):
        writing = await _writing(database)
        awaited[ladder] = awaited.get(ladder, writing) & writing
    return not awaited[ladder]


async def _writing(database: Database) -> set[str]:
    """Return the product's transactions that write. Each look is a session, in which the view stands still."""
    ours = text("datname = current_database() AND usename = current_user AND backend_xid IS NOT NULL")
    async with database.reading(_SCOPE) as session:
        found = select(text("backend_xid::text")).select_from(text("pg_stat_activity")).where(ours)
        return set((await session.execute(found)).scalars())


def _unsettled() -> Select[Any]:
    columns = (programmes.c.brand_id, programmes.c.settled_to, programmes.c.version)
    waiting = select(*columns).where(programmes.c.settled_to.is_not(None))
    # those in the middle first: they wait for nobody
    return waiting.order_by(programmes.c.settled_to.desc(), programmes.c.brand_id).limit(LADDERS_PER_STEP)


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
