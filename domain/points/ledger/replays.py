"""What was posted before under a natural key, and how it is said again."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.compiled import Among, Compiled
from domain.looks import Asked
from domain.points.ledger.models import PointAccount, PointTransfer, TransferKind
from domain.points.ledger.rules import Posted
from domain.tables import table_of

transfers, accounts = table_of(PointTransfer), table_of(PointAccount)


async def known(session: AsyncSession, brand_id: int, sources: Sequence[str]) -> dict[str, Any]:
    """Return the transfers that are posted under these natural keys of a brand, with the fan whose each is now.

    Asked after the accounts are locked, it misses none that another posted on them.
    """
    if not sources:
        return {}
    one = known_among(brand_id, sources)
    return by_source(await one.select.rows(session, **one.values))


def known_among(brand_id: int, sources: Sequence[str]) -> Asked:
    """Ask for what `known` returns, beside other things."""
    return Asked(_select_known, {"brand": brand_id, "sources": list(sources)})


def by_source(rows: Sequence[Any]) -> dict[str, Any]:
    """Return transfers by their natural keys."""
    return {row.source: row for row in rows}


@Compiled
def _select_known(among: Among) -> Select[Any]:
    mine = (transfers.c.brand_id == bindparam("brand"), among(transfers.c.source, "sources"))
    owned = transfers.join(accounts, accounts.c.id == transfers.c.account_id)
    return select(transfers, accounts.c.fan_id).select_from(owned).where(*mine)


def replayed(row: Any, fan_id: int) -> Posted:
    """Say again what was posted before."""
    return Posted(
        *(row.id, TransferKind(row.kind), fan_id, row.source, row.points, row.growth),
        *(row.balance, row.growth_balance, row.available_at is not None),
        replayed=True,
    )
