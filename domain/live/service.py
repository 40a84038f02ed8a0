"""Counting what is busy, in the transaction that stores the events: once each, and gone with it where it fails."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk, clock
from domain.live.models import HotCount, HotKind
from domain.tables import table_of
from domain.tenancy.models import Brand

if TYPE_CHECKING:
    from domain.events.arrivals import Arrival

KEPT = timedelta(hours=48)
SLOTS = 64

hot_counts = table_of(HotCount)


async def arrived(session: AsyncSession, brand: Brand, arrivals: Sequence["Arrival"]) -> None:
    """Count events that are being stored by what they name, and tell who waits for them when they are."""
    session.info["notices"].tell_on_commit(session)
    since = clock.now() - KEPT
    totals = Counter(key for arrival in arrivals if arrival.occurred_at >= since for key in _keys(arrival))
    if not totals:
        return
    # in one order for all, so that two transactions that share a slot wait for each other and do not deadlock
    rows = sorted(totals.items())
    shared = {"group_id": brand.group_id, "brand_id": brand.id, "slot": await _slot(session)}
    columns: dict[str, list[Any]] = {
        "kind": [kind.value for (kind, _, _), _ in rows],
        "minute": [minute for (_, minute, _), _ in rows],
        "item": [item for (_, _, item), _ in rows],
        "count": [count for _, count in rows],
    }
    await bulk.add_up(session, bulk.Bulk(hot_counts, shared, columns), "count")


def _keys(arrival: "Arrival") -> Iterator[tuple[HotKind, datetime, str]]:
    minute = arrival.occurred_at.replace(second=0, microsecond=0)
    account = None if arrival.account_id is None else str(arrival.account_id)
    named = ((HotKind.CAMPAIGN, arrival.campaign), (HotKind.CHANNEL, account), (HotKind.CONTENT, arrival.content))
    return ((kind, minute, item) for kind, item in named if item)


async def _slot(session: AsyncSession) -> int:
    """Return a number that few of those who write at the same time share."""
    if session.get_bind().dialect.name != "postgresql":
        return 0
    raw = await (await session.connection()).get_raw_connection()
    driver: Any = raw.driver_connection
    return int(driver.get_server_pid()) % SLOTS
