"""Writing events, in the transaction that changes the truth."""

from collections.abc import Sequence

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.outbox.models import Event, Outbox
from domain.tables import table_of


async def emit(session: AsyncSession, events: Sequence[Event]) -> None:
    """Write the events into the caller's transaction, in one statement."""
    if not events:
        return
    now = clock.now()
    stamps = {"attempts": 0, "next_at": now, "created_at": now}
    await session.execute(insert(table_of(Outbox)), [{**vars(event), **stamps} for event in events])
