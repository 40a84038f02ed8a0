"""Whether the books are right: every balance recomputed from its entries, its lots and what still waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import among
from domain.database import at_one_moment
from domain.points.ledger.accounts import COLUMNS, accounts, lots
from domain.points.ledger.book import draws, entries, pendings, transfers
from domain.points.ledger.models import PendingState


@dataclass(frozen=True)
class Difference:
    """What of an account is not what it should be: `found` stands there, `expected` is what the ledger says."""

    account_id: int
    what: str
    expected: int
    found: int


@dataclass(frozen=True)
class Audited:
    """The accounts that were looked through, in the order of their ids, and what was wrong with them."""

    count: int
    last_id: int | None
    differences: tuple[Difference, ...] = ()


async def audit_accounts(session: AsyncSession, brand_id: int, *, after: int = 0, limit: int = 1_000) -> Audited:
    """Recompute the next accounts of a brand, those with an id above `after`. The session has read nothing yet."""
    await at_one_moment(session)
    mine = (accounts.c.brand_id == brand_id, accounts.c.id > after)
    rows = (await session.execute(select(accounts).where(*mine).order_by(accounts.c.id).limit(limit))).all()
    if not rows:
        return Audited(0, None)
    ids = [row.id for row in rows]
    expected = await _by_entries(session, ids)
    for what, statement in _others(session, ids).items():
        for row in await session.execute(statement):
            expected[row[0], what] = int(row[1])
    found = [
        Difference(row.id, what, expected.get((row.id, what), 0), getattr(row, column))
        for row in rows
        for what, column in _LOOKED_AT.items()
        if expected.get((row.id, what), 0) != getattr(row, column)
    ]
    return Audited(len(rows), ids[-1], (*found, *await _wrong_lots(session, ids), *await _unbalanced(session, ids)))


_LOOKED_AT = {kind.value: column for kind, column in COLUMNS.items()} | {
    "LOTS": "spendable",
    "PENDING_POINTS": "pending",
    "PENDING_GROWTH": "growth_pending",
}
_WAITS = pendings.c.state == PendingState.PENDING.value


async def _by_entries(session: AsyncSession, ids: Sequence[int]) -> dict[tuple[int, str], int]:
    joined = transfers.join(entries, entries.c.transfer_id == transfers.c.id)
    sums = select(transfers.c.account_id, entries.c.kind, func.sum(entries.c.amount)).select_from(joined)
    mine = sums.where(among(session, transfers.c.account_id, ids), entries.c.kind.in_([kind.value for kind in COLUMNS]))
    rows = await session.execute(mine.group_by(transfers.c.account_id, entries.c.kind))
    return {(row[0], row[1]): int(row[2]) for row in rows}


def _others(session: AsyncSession, ids: Sequence[int]) -> dict[str, Select[Any]]:
    left = select(lots.c.account_id, func.sum(lots.c.remaining)).where(among(session, lots.c.account_id, ids))
    waits = (among(session, pendings.c.account_id, ids), _WAITS)
    points, growth = (
        select(pendings.c.account_id, func.sum(column)).where(*waits).group_by(pendings.c.account_id)
        for column in (pendings.c.points, pendings.c.growth)
    )
    return {
        "LOTS": left.where(lots.c.remaining > 0).group_by(lots.c.account_id),
        "PENDING_POINTS": points,
        "PENDING_GROWTH": growth,
    }


async def _wrong_lots(session: AsyncSession, ids: Sequence[int]) -> list[Difference]:
    drawn = select(draws.c.lot_id, func.sum(draws.c.points).label("points")).group_by(draws.c.lot_id)
    mine = among(session, lots.c.account_id, ids)
    taken = drawn.join(lots, lots.c.id == draws.c.lot_id).where(mine).subquery()
    left = lots.c.granted - func.coalesce(taken.c.points, 0)
    joined = lots.outerjoin(taken, taken.c.lot_id == lots.c.id)
    wrong = select(lots.c.account_id, left, lots.c.remaining).select_from(joined).where(mine, left != lots.c.remaining)
    return [Difference(row[0], "LOT", int(row[1]), row[2]) for row in await session.execute(wrong)]


async def _unbalanced(session: AsyncSession, ids: Sequence[int]) -> list[Difference]:
    joined = transfers.join(entries, entries.c.transfer_id == transfers.c.id)
    of_growth = entries.c.kind.like("GROWTH%")
    total = func.sum(entries.c.amount)
    sums = select(transfers.c.account_id, total).select_from(joined).where(among(session, transfers.c.account_id, ids))
    wrong = sums.group_by(transfers.c.account_id, transfers.c.id, of_growth).having(total != 0)
    return [Difference(row[0], "TRANSFER", 0, int(row[1])) for row in await session.execute(wrong)]
