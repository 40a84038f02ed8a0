"""Once: each event takes the key that tells it from others, which nobody can take again."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk
from domain.batches import Problem
from domain.events.ingest.results import Accepted, EventOutcome
from domain.events.models import EventKey
from domain.tables import table_of
from domain.tenancy.models import Brand

event_keys = table_of(EventKey)


async def claim_keys(
    session: AsyncSession, brand: Brand, accepted: list[Accepted], received: datetime
) -> list[Accepted]:
    """Return the events whose key nobody has used; of two with one key in the batch, the first."""
    first = {one.key: one for one in reversed(accepted) if one.key is not None}
    # in one order for all, so that two transactions wait for each other and do not deadlock
    wanted = sorted(first)
    made = await _insert_keys(session, brand, wanted, received) if wanted else set()
    fresh = []
    for one in accepted:
        if one.key is None or (one.key in made and first[one.key] is one):
            fresh.append(one)
        else:
            one.result.outcome, one.result.violations, one.result.clamped = EventOutcome.DUPLICATE, [], False
    return fresh


async def _insert_keys(session: AsyncSession, brand: Brand, wanted: list[bytes], received: datetime) -> set[bytes]:
    shared = {"brand_id": brand.id, "group_id": brand.group_id, "received_at": received}
    return await bulk.insert_new(session, bulk.Bulk(event_keys, shared, {"key": wanted}), "key")


async def reject(session: AsyncSession, brand: Brand, nobodies: list[Accepted]) -> None:
    """Reject the events of nobody, and leave their keys to whoever sends them again."""
    for one in nobodies:
        one.result.problems = [Problem("identities", "name nobody: these values are shared by many")]
        one.result.violations, one.result.clamped = [], False
    used = [one.key for one in nobodies if one.key is not None]
    if used:
        mine = (event_keys.c.brand_id == brand.id, event_keys.c.key.in_(used))
        await session.execute(delete(event_keys).where(*mine))
