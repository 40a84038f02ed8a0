"""Counting what is busy, in the transaction that stores the events: once each, and gone with it where it fails."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk, clock
from domain.live.models import MAX_MINUTES, HotCount, HotKind
from domain.tables import table_of
from domain.tenancy.models import Brand

if TYPE_CHECKING:
    from domain.events.arrivals import Arrival

# what no window shows need not be counted; another server's clock may be late
KEPT = timedelta(minutes=MAX_MINUTES) + timedelta(hours=1)
SLOTS = 64
_CAMPAIGN, _CHANNEL, _CONTENT = HotKind.CAMPAIGN.value, HotKind.CHANNEL.value, HotKind.CONTENT.value

hot_counts = table_of(HotCount)


async def arrived(session: AsyncSession, brand: Brand, arrivals: Sequence["Arrival"]) -> None:
    """Count events that are being stored by what they name, and tell who waits for them when they are."""
    session.info["notices"].tell_on_commit(session)
    since = clock.now() - KEPT
    # by numbers and texts: moments are slow to tell apart
    totals = Counter([key for arrival in arrivals if arrival.occurred_at >= since for key in _keys(arrival)])
    if not totals:
        return
    # in one order for all, so that two transactions that share a slot wait for each other and do not deadlock
    rows = sorted(totals.items())
    shared = {"group_id": brand.group_id, "brand_id": brand.id, "slot": await _slot(session)}
    columns: dict[str, list[Any]] = {
        "kind": [kind for (kind, _, _), _ in rows],
        "minute": [datetime.fromtimestamp(minute * 60, UTC) for (_, minute, _), _ in rows],
        "item": [item for (_, _, item), _ in rows],
        "count": [count for _, count in rows],
    }
    await bulk.add_up(session, bulk.Bulk(hot_counts, shared, columns), "count")


def _keys(arrival: "Arrival") -> list[tuple[str, int, str]]:
    minute = int(arrival.occurred_at.timestamp()) // 60
    keys = []
    if arrival.campaign:
        keys.append((_CAMPAIGN, minute, arrival.campaign))
    if arrival.account_id is not None:
        keys.append((_CHANNEL, minute, str(arrival.account_id)))
    if arrival.content:
        keys.append((_CONTENT, minute, arrival.content))
    return keys


async def _slot(session: AsyncSession) -> int:
    """Return a number that few of those who write at the same time share."""
    if session.get_bind().dialect.name != "postgresql":
        return 0
    raw = await (await session.connection()).get_raw_connection()
    driver: Any = raw.driver_connection
    return int(driver.get_server_pid()) % SLOTS
