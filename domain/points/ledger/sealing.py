"""Sealing: transfers are added to their programme's chain after they were written, in the order of their ids.

An id is taken before its transaction commits, so a lower one may become visible later than a higher one. What is sealed
is therefore bounded by a fence: the highest id there was at a moment, once all transactions of that moment have ended.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.points.ledger.book import transfers
from domain.points.ledger.chain import START, link, said_by
from domain.points.ledger.models import PointSeal
from domain.tables import table_of
from domain.tenancy.models import Brand
from domain.vault import Vault

seals, brands = table_of(PointSeal), table_of(Brand)
_OWN_NUMBER = text("SELECT pg_current_xact_id()::text::bigint")
_OLDEST_OPEN = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")


@dataclass(frozen=True)
class Fence:
    """The highest id at a moment, and the number of a transaction that began then; none where they do not overlap."""

    upto: int
    transaction: int | None


async def waiting(session: AsyncSession) -> bool:
    """Tell whether there are transfers above the last one that is sealed."""
    newest = select(func.coalesce(func.max(transfers.c.id), 0)).scalar_subquery()
    return bool((await session.execute(select(newest > _last()))).scalar_one())


async def fence(session: AsyncSession) -> Fence:
    """Set a fence. Whoever holds a lower id has locked an account before, and so has a lower number than ours."""
    upto = int((await session.execute(select(func.coalesce(func.max(transfers.c.id), 0)))).scalar_one())
    if session.get_bind().dialect.name != "postgresql":
        # one writer at a time: ids are taken in the order of commits
        return Fence(upto, None)
    return Fence(upto, int((await session.execute(_OWN_NUMBER)).scalar_one()))


async def is_past(session: AsyncSession, standing: Fence) -> bool:
    """Tell whether all transactions that were open when the fence was set have ended."""
    if standing.transaction is None:
        return True
    return int((await session.execute(_OLDEST_OPEN)).scalar_one()) >= standing.transaction


async def seal(session: AsyncSession, vault: Vault, *, upto: int, limit: int) -> int:
    """Add the next transfers up to an id to their chains and return how many. A constant number of statements.

    Two at once would write the same rows: the second is refused by their keys, and has nothing to do.
    """
    wanted = select(transfers).where(transfers.c.id > _last(), transfers.c.id <= upto)
    rows = (await session.execute(wanted.order_by(transfers.c.id).limit(limit))).all()
    if not rows:
        return 0
    heads, said = await _heads(session, {row.brand_id for row in rows}), await said_by(session, rows)
    made = []
    for row in rows:
        number, before = heads.get(row.brand_id, (0, START))
        keys = await vault.of_group(session, row.group_id)
        hash_ = link(keys, before, row.brand_id, number + 1, said[row.id])
        heads[row.brand_id] = (number + 1, hash_)
        place = {"brand_id": row.brand_id, "group_id": row.group_id, "transfer_id": row.id}
        made.append({**place, "number": number + 1, "hash": hash_})
    await session.execute(insert(seals), made)
    return len(made)


def _last() -> Any:
    return select(func.coalesce(func.max(seals.c.transfer_id), 0)).scalar_subquery()


async def _heads(session: AsyncSession, brand_ids: Iterable[int]) -> dict[int, tuple[int, bytes]]:
    """Return where the chains of the brands end."""
    newest = select(func.max(seals.c.number)).where(seals.c.brand_id == brands.c.id).correlate(brands).scalar_subquery()
    joined = brands.join(seals, (seals.c.brand_id == brands.c.id) & (seals.c.number == newest))
    ends = select(seals.c.brand_id, seals.c.number, seals.c.hash).select_from(joined)
    rows = await session.execute(ends.where(brands.c.id.in_(sorted(set(brand_ids)))))
    return {row.brand_id: (row.number, row.hash) for row in rows}
