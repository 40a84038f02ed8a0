"""The consumer's side: claim what is due, then say how it went.

A claim is a lease on rows and no lock, so the database waits for nobody while the other store works, and a consumer
that dies gives its rows back by doing nothing. Only the first pending row of a key can be claimed: whoever holds it
holds the key.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Update, and_, func, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import Database
from domain.outbox.models import Outbox
from domain.scope import system_scope
from domain.tables import table_of

MAX_TRIES = 10
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT = timedelta(minutes=5)

_SCOPE = system_scope("outbox")
_rows = table_of(Outbox)


@dataclass(frozen=True)
class Pending:
    """A claimed row. `claimed_until` proves the claim: of a lease that ran out, only what was sent still counts."""

    id: int
    key: str
    kind: str
    version: int
    payload: dict[str, Any]
    attempts: int
    claimed_until: datetime


async def claim(database: Database, consumer: str, *, limit: int = 1000, lease_seconds: float = 60.0) -> list[Pending]:
    """Lease up to `limit` rows that are due, oldest first and one a key, to the caller."""
    until = clock.now() + timedelta(seconds=lease_seconds)
    async with database.writing(_SCOPE) as session:
        found = (await session.execute(_claim(consumer, limit, until))).mappings().all()
    claimed = [Pending(**row, claimed_until=until) for row in found]
    return sorted(claimed, key=lambda row: row.id)


def _claim(consumer: str, limit: int, until: datetime) -> Any:
    now = clock.now()
    same = _rows.alias("same_key")
    # not NOT EXISTS: with the statistics of a quiet day PostgreSQL joins a backlog to itself, row by row
    head = select(func.min(same.c.id)).where(same.c.key == _rows.c.key, _is_pending(same, consumer)).scalar_subquery()
    due = and_(or_(_rows.c.attempts == 0, _passed(_rows.c.next_at, now)), _passed(_rows.c.claimed_until, now))
    heads = (
        select(_rows.c.id)
        .where(_is_pending(_rows, consumer), due, _rows.c.id == head)
        .order_by(_rows.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=_rows)
        .cte("heads")
    )
    columns = (_rows.c.id, _rows.c.key, _rows.c.kind, _rows.c.version, _rows.c.payload, _rows.c.attempts)
    wanted = _rows.c.id.in_(select(heads.c.id))
    return update(_rows).where(wanted).values(claimed_until=until).returning(*columns)


def _is_pending(rows: Any, consumer: str) -> ColumnElement[bool]:
    return and_(rows.c.consumer == consumer, rows.c.sent_at.is_(None), rows.c.dead_at.is_(None))


def _passed(moment: Any, now: datetime) -> ColumnElement[bool]:
    # what lies further ahead than any wait was written before the clock was set back: nobody waits for it
    return or_(moment.is_(None), moment <= now, moment > now + LONGEST_WAIT)


async def mark_sent(database: Database, claimed: Sequence[Pending]) -> None:
    """Take the rows off the queue: the other store has them, whoever holds them by now."""
    done = {"sent_at": clock.now(), "dead_at": null(), "claimed_until": null(), "error": null()}
    await _change(database, claimed, update(_rows).values(**done))


async def release(database: Database, claimed: Sequence[Pending]) -> None:
    """Give the rows back untried: the other store was not there."""
    await _change(database, claimed, _still_mine(claimed).values(claimed_until=null()))


async def mark_failed(database: Database, failed: Pending, error: str) -> None:
    """Count a failed try: the row waits longer after each, and is dead after the tenth. `error` names no person."""
    now, tries = clock.now(), failed.attempts + 1
    values: dict[str, Any] = {"attempts": tries, "error": error[:500], "claimed_until": null()}
    values |= {"dead_at": now} if tries >= MAX_TRIES else {"next_at": now + _wait(tries)}
    await _change(database, [failed], _still_mine([failed]).values(**values))


def _wait(tries: int) -> timedelta:
    whole = min(timedelta(seconds=FIRST_WAIT_SECONDS * 2 ** (tries - 1)), LONGEST_WAIT)
    return whole * random.uniform(0.5, 1.0)  # noqa: S311


def _still_mine(claimed: Sequence[Pending]) -> Update:
    leases = sorted({row.claimed_until for row in claimed})
    return update(_rows).where(_rows.c.claimed_until.in_(leases))


async def _change(database: Database, claimed: Sequence[Pending], statement: Update) -> None:
    if claimed:
        async with database.writing(_SCOPE) as session:
            await session.execute(statement.where(_rows.c.id.in_([row.id for row in claimed])))


async def retry_dead(session: AsyncSession, consumer: str, ids: Sequence[int] | None = None) -> int:
    """Put dead rows back on the queue with all their tries, all of them or those named; return how many."""
    dead = and_(_rows.c.consumer == consumer, _rows.c.dead_at.is_not(None))
    named = dead if ids is None else and_(dead, _rows.c.id.in_(ids))
    fresh = {"dead_at": null(), "attempts": 0, "next_at": clock.now(), "claimed_until": null(), "error": null()}
    result = await session.execute(update(_rows).where(named).values(**fresh))
    return int(result.rowcount)  # type: ignore[attr-defined]
