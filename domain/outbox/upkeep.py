"""How far a consumer is behind, and clearing away what is done."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import Database
from domain.outbox.models import Outbox
from domain.scope import Scope, system_scope
from domain.tables import table_of

COUNT_LIMIT = 10_001
ROWS_PER_PRUNE = 5_000

_rows = table_of(Outbox)


@dataclass(frozen=True)
class Lag:
    """What a consumer has still to learn. Counts stop at 10,001; `oldest_seconds` is 0 where nothing is pending."""

    pending: int
    oldest_seconds: float
    dead: int


async def lag(session: AsyncSession, scope: Scope, consumer: str) -> Lag:
    """Return how far the consumer is behind on what lies in the scope."""
    mine = and_(_rows.c.consumer == consumer, scope.reach.where_shared(_rows))
    pending = and_(mine, _rows.c.sent_at.is_(None), _rows.c.dead_at.is_(None))
    oldest = select(_rows.c.created_at).where(pending).order_by(_rows.c.id).limit(1)
    since: datetime | None = (await session.execute(oldest)).scalar()
    return Lag(
        pending=await _count(session, pending) if since else 0,
        oldest_seconds=max(0.0, (clock.now() - since).total_seconds()) if since else 0.0,
        dead=await _count(session, and_(mine, _rows.c.dead_at.is_not(None))),
    )


async def _count(session: AsyncSession, condition: ColumnElement[bool]) -> int:
    some = select(_rows.c.id).where(condition).limit(COUNT_LIMIT).subquery()
    return (await session.execute(select(func.count()).select_from(some))).scalar_one()


async def prune(database: Database, older_than: datetime) -> int:
    """Delete the rows sent before the moment, a few thousand a transaction; return how many."""
    deleted, after = 0, 0
    while True:
        async with database.writing(system_scope("outbox")) as session:
            last, since = (await session.execute(_window(after))).one()
            # ids grow with time, so a window younger than the moment ends the search
            if last is None or since >= older_than:
                return deleted
            old = and_(_rows.c.id > after, _rows.c.id <= last, _rows.c.sent_at < older_than)
            result: Any = await session.execute(delete(_rows).where(old))
        deleted, after = deleted + int(result.rowcount), last


def _window(after: int) -> Any:
    some = select(_rows.c.id, _rows.c.created_at).where(_rows.c.id > after).order_by(_rows.c.id).limit(ROWS_PER_PRUNE)
    window = some.subquery()
    return select(func.max(window.c.id), func.min(window.c.created_at))
