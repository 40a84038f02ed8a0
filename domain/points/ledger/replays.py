"""What was posted before under a natural key, and how it is said again."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Integer, Select, and_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import NullType

from domain.compiled import Among, Compiled, is_postgresql
from domain.points.ledger.models import PointTransfer, TransferKind
from domain.points.ledger.rules import Posted
from domain.tables import table_of

transfers = table_of(PointTransfer)


async def known(session: AsyncSession, brand_id: int, sources: Sequence[str]) -> dict[str, Any]:
    """Return the transfers that are posted under these natural keys of a brand.

    Asked after the accounts are locked, it misses none that another posted on them.
    """
    if not sources:
        return {}
    return {row.source: row for row in await _select_known.rows(session, brand=brand_id, sources=list(sources))}


async def known_and_ids(
    session: AsyncSession, brand_id: int, sources: Sequence[str]
) -> tuple[dict[str, Any], Sequence[int]]:
    """Return what `known` does, and on PostgreSQL ids for as many new transfers as there are sources: one trip less."""
    if not is_postgresql(session):
        return await known(session, brand_id, sources), ()
    asked = {"brand": brand_id, "sources": list(sources), "count": len(sources)}
    rows = await _select_known_and_ids.rows(session, **asked)
    return {row.source: row for row in rows if row.source is not None}, sorted(rows[0].ids)


@Compiled
def _select_known_and_ids(among: Among) -> Select[Any]:
    numbers = func.generate_series(1, bindparam("count", type_=Integer()))
    each = select(func.nextval(f"{transfers.name}_id_seq")).select_from(numbers).scalar_subquery()
    taken = select(func.array(each, type_=NullType()).label("ids")).subquery("taken")
    mine = and_(transfers.c.brand_id == bindparam("brand"), among(transfers.c.source, "sources"))
    return select(taken.c.ids, transfers).select_from(taken.outerjoin(transfers, mine))


@Compiled
def _select_known(among: Among) -> Select[Any]:
    return select(transfers).where(transfers.c.brand_id == bindparam("brand"), among(transfers.c.source, "sources"))


def replayed(row: Any, fan_id: int) -> Posted:
    """Say again what was posted before."""
    return Posted(
        *(row.id, TransferKind(row.kind), fan_id, row.source, row.points, row.growth),
        *(row.balance, row.growth_balance, row.available_at is not None),
        replayed=True,
    )
