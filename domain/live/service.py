"""Counting what is busy, in the transaction that stores the events: once each, and gone with it where it fails."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import dialect_insert
from domain.live.models import HotCount, HotKind
from domain.tables import table_of
from domain.tenancy.models import Brand

KEPT = timedelta(hours=48)
SLOTS = 64
ROWS_PER_STATEMENT = 2_000

hot_counts = table_of(HotCount)


class Arrival(Protocol):
    """What is read of an event that is being stored."""

    @property
    def occurred_at(self) -> datetime:
        """When it happened."""

    @property
    def account_id(self) -> int | None:
        """The channel account it came through."""

    @property
    def content(self) -> str | None:
        """The content it names."""

    @property
    def campaign(self) -> str | None:
        """The campaign it names."""


async def arrived(session: AsyncSession, brand: Brand, arrivals: Sequence[Arrival]) -> None:
    """Count events that are being stored by what they name, and tell who waits for them when they are."""
    session.info["notices"].tell_on_commit(session)
    since = clock.now() - KEPT
    totals = Counter(key for arrival in arrivals if arrival.occurred_at >= since for key in _keys(arrival))
    if not totals:
        return
    shared = {"group_id": brand.group_id, "brand_id": brand.id, "slot": await _slot(session)}
    # in one order for all, so that two transactions that share a slot wait for each other and do not deadlock
    rows = [
        {**shared, "kind": kind, "minute": minute, "item": item, "count": count}
        for (kind, minute, item), count in sorted(totals.items())
    ]
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        await _add_up(session, rows[start : start + ROWS_PER_STATEMENT])


def _keys(arrival: Arrival) -> Iterator[tuple[HotKind, datetime, str]]:
    minute = arrival.occurred_at.replace(second=0, microsecond=0)
    account = None if arrival.account_id is None else str(arrival.account_id)
    named = ((HotKind.CAMPAIGN, arrival.campaign), (HotKind.CHANNEL, account), (HotKind.CONTENT, arrival.content))
    return ((kind, minute, item) for kind, item in named if item)


async def _add_up(session: AsyncSession, rows: list[dict[str, Any]]) -> None:
    insertion = dialect_insert(session, hot_counts).values(rows)
    grown = {"count": hot_counts.c.count + insertion.excluded.count}
    await session.execute(insertion.on_conflict_do_update(index_elements=list(hot_counts.primary_key), set_=grown))


async def _slot(session: AsyncSession) -> int:
    """Return a number that few of those who write at the same time share."""
    if session.get_bind().dialect.name != "postgresql":
        return 0
    raw = await (await session.connection()).get_raw_connection()
    driver: Any = raw.driver_connection
    return int(driver.get_server_pid()) % SLOTS
