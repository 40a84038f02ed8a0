"""Once: each event takes the key that tells it from others, which nobody can take again."""

from collections import Counter
from datetime import datetime
from itertools import chain

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk
from domain.batches import Problem
from domain.events.ingest.results import Accepted, EventOutcome
from domain.events.models import EventKey
from domain.persons.naming import blocked_among
from domain.persons.service import IdentityRef
from domain.tables import table_of
from domain.tenancy.models import Brand
from domain.vault import GroupVault

event_keys = table_of(EventKey)


async def without_nobodies(session: AsyncSession, keys: GroupVault, accepted: list[Accepted]) -> list[Accepted]:
    """Reject events of nobody whose key comes again in the batch: one that names somebody is to have it."""
    times = Counter(one.key for one in accepted if one.key is not None)
    if len(times) == len(accepted):
        return accepted
    twice = [one for one in accepted if one.key is not None and times[one.key] > 1 and one.who]
    refs = {one.result.index: [IdentityRef(who.kind, who.value, who.issuer) for who in one.who] for one in twice}
    blocked = await blocked_among(session, keys, chain.from_iterable(refs.values()))
    nobodies = [one for one in twice if blocked.issuperset(refs[one.result.index])]
    for one in nobodies:
        _refuse(one)
    refused = {one.result.index for one in nobodies}
    return [one for one in accepted if one.result.index not in refused]


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
        _refuse(one)
    used = [one.key for one in nobodies if one.key is not None]
    if used:
        mine = (event_keys.c.brand_id == brand.id, event_keys.c.key.in_(used))
        await session.execute(delete(event_keys).where(*mine))


def _refuse(nobody: Accepted) -> None:
    nobody.result.problems = [Problem("identities", "name nobody: these values are shared by many")]
    nobody.result.violations, nobody.result.clamped = [], False
