"""Writes of share cascades."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.batches import Problem, RowOutcome, RowResult
from domain.database import dialect_insert
from domain.fans.service import NewFan, resolve_fans
from domain.outbox import emit
from domain.outbox.telling import share_gone, share_recorded
from domain.persons.service import IdentityRef
from domain.shares.models import Cascade, Share
from domain.shares.rules import Edge, Growth, grow
from domain.tables import table_of
from domain.tenancy.models import Brand
from domain.vault import Vault

__all__ = ["share_gone", "share_recorded"]  # beside what is defined here

cascades, shares = table_of(Cascade), table_of(Share)


@dataclass(frozen=True)
class ShareInput:
    """One fan brought the content of a cascade to another. `cascade` is its code in the source system."""

    cascade: str
    sharer: IdentityRef
    reached: IdentityRef
    shared_at: datetime | None = None
    channel: str | None = None


@dataclass(frozen=True)
class Recorded:
    """What came of each row, and the rows that wait for their sharer to be reached by a later one."""

    results: list[RowResult]
    waiting: list[int]


async def record_shares(
    session: AsyncSession, vault: Vault, brand: Brand, source: str, batch: Sequence[ShareInput]
) -> Recorded:
    """Grow the cascades by the batch. A row sent again changes nothing; sizes are right in the same transaction."""
    refs = dict.fromkeys(ref for share in batch for ref in (share.sharer, share.reached))
    fans = await resolve_fans(session, vault, brand, [NewFan(ref) for ref in refs])
    named = [(i, s) for i, s in enumerate(batch) if s.sharer in fans and s.reached in fans]
    edges = [Edge(i, s.cascade, fans[s.sharer], fans[s.reached]) for i, s in named]
    known = await _lock_cascades(session, brand, source, edges)
    members = await _members(session, known, edges)
    growth = grow(edges, members, {code: row.seed_fan_id for code, row in known.items()})
    ids = {code: row.id for code, row in known.items()} | await _new_cascades(session, brand, source, growth.seeds)
    await _add(session, brand, ids, growth.added, batch)
    return _recorded(growth, set(range(len(batch))) - {i for i, _ in named})


async def _lock_cascades(session: AsyncSession, brand: Brand, source: str, edges: Iterable[Edge]) -> dict[str, Any]:
    codes = sorted({edge.cascade for edge in edges})
    wanted = (cascades.c.brand_id == brand.id, cascades.c.source == source, cascades.c.code.in_(codes))
    statement = select(cascades).where(*wanted).order_by(cascades.c.id).with_for_update(key_share=True)
    return {row.code: row for row in await session.execute(statement)}


async def _members(session: AsyncSession, known: dict[str, Any], edges: Iterable[Edge]) -> dict[str, set[int]]:
    """Return which of the batch's fans each known cascade has already."""
    members = {code: {row.seed_fan_id} for code, row in known.items()}
    codes = {row.id: code for code, row in known.items()}
    named = sorted({fan for edge in edges if edge.cascade in known for fan in (edge.sharer, edge.reached)})
    if not named:
        return members
    statement = select(shares.c.cascade_id, shares.c.to_fan_id).where(
        shares.c.cascade_id.in_(sorted(codes)), shares.c.to_fan_id.in_(named)
    )
    for row in await session.execute(statement):
        members[codes[row.cascade_id]].add(row.to_fan_id)
    return members


async def _new_cascades(session: AsyncSession, brand: Brand, source: str, seeds: dict[str, int]) -> dict[str, int]:
    if not seeds:
        return {}
    now = clock.now()
    tenant = {"group_id": brand.group_id, "brand_id": brand.id}
    rows = [
        {**tenant, "source": source, "code": code, "seed_fan_id": seed, "created_at": now}
        for code, seed in sorted(seeds.items())
    ]
    statement = dialect_insert(session, cascades).returning(cascades.c.code, cascades.c.id)
    return {row.code: row.id for row in await session.execute(statement, rows)}


async def _add(
    session: AsyncSession, brand: Brand, ids: dict[str, int], added: Collection[Edge], batch: Sequence[ShareInput]
) -> None:
    if not added:
        return
    now = clock.now()
    rows = [
        {
            "group_id": brand.group_id,
            "brand_id": brand.id,
            "cascade_id": ids[edge.cascade],
            "from_fan_id": edge.sharer,
            "to_fan_id": edge.reached,
            "channel": batch[edge.index].channel,
            "shared_at": batch[edge.index].shared_at or now,
            "created_at": now,
        }
        for edge in added
    ]
    await session.execute(dialect_insert(session, shares), rows)
    await emit(session, [share_recorded(row) for row in rows])
    # each cascade is locked or its own transaction's: what it grows by can be added
    grown = Counter(row["cascade_id"] for row in rows)
    size = cascades.c.size + case(grown, value=cascades.c.id)
    await session.execute(update(cascades).where(cascades.c.id.in_(sorted(grown))).values(size=size))


def _recorded(growth: Growth, nobodies: Collection[int]) -> Recorded:
    results = [RowResult(edge.index, RowOutcome.CREATED) for edge in growth.added]
    results += [RowResult(edge.index, RowOutcome.UNCHANGED) for edge in growth.repeated]
    results += [
        RowResult(edge.index, RowOutcome.REJECTED, problems=[Problem("reached", reason)])
        for edge, reason in growth.refused
    ]
    unnamed = Problem("reached", "or sharer is an identity that many share and that names nobody", "BLOCKED_IDENTITY")
    results += [RowResult(index, RowOutcome.REJECTED, problems=[unnamed]) for index in sorted(nobodies)]
    return Recorded(results, [edge.index for edge in growth.waiting])
