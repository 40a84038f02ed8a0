"""Reads of balances, lots and transfers, of fans who were read under the caller's scope."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import among
from domain.compiled import Among, Compiled
from domain.points.ledger.accounts import COLUMNS, accounts, lots
from domain.points.ledger.rules import Balances
from domain.reads import grouped


@dataclass(frozen=True)
class Expiring:
    """Points of a fan that expire at one moment."""

    fan_id: int
    expires_at: datetime
    points: int


async def balances_by_fan(session: AsyncSession, fan_ids: Iterable[int]) -> dict[int, Balances]:
    """Return what each fan has; a fan who never had points has zeros. The fans were read under the caller's scope."""
    wanted = sorted(set(fan_ids))
    rows = await _select_balances.rows(session, fans=wanted)
    found = {row.fan_id: Balances(*map(int, row[1:])) for row in rows}
    return {fan_id: found.get(fan_id, Balances()) for fan_id in wanted}


@Compiled
def _select_balances(among: Among) -> Select[Any]:
    sums = [func.sum(accounts.c[column]).label(column) for column in COLUMNS.values()]
    return select(accounts.c.fan_id, *sums).where(among(accounts.c.fan_id, "fans")).group_by(accounts.c.fan_id)


async def expiring_by_fan(
    session: AsyncSession, fan_ids: Sequence[int], *, first: int = 10
) -> dict[int, list[Expiring]]:
    """Return how many points of each fan expire when, the soonest `first` moments. The fans were read under scope."""
    of = accounts.join(lots, lots.c.account_id == accounts.c.id)
    points = func.sum(lots.c.remaining).label("points")
    rank = func.row_number().over(partition_by=accounts.c.fan_id, order_by=lots.c.expires_at).label("rank")
    ending = (lots.c.remaining > 0, lots.c.expires_at.is_not(None))
    summed = (
        select(accounts.c.fan_id, lots.c.expires_at, points, accounts.c.debt, rank)
        .select_from(of)
        .where(among(session, accounts.c.fan_id, sorted(set(fan_ids))), *ending)
        .group_by(accounts.c.fan_id, lots.c.expires_at, accounts.c.debt)
        .subquery()
    )
    columns = (summed.c.fan_id, summed.c.expires_at, summed.c.points, summed.c.debt)
    rows = await session.execute(select(*columns).where(summed.c.rank <= first).order_by(*columns[:2]))
    found = grouped(rows, lambda row: int(row.fan_id))
    return {fan_id: _after_debt(of_fan, -int(of_fan[0].debt)) for fan_id, of_fan in found.items()}


def _after_debt(rows: Sequence[Any], owed: int) -> list[Expiring]:
    """Leave out what pays the debt that a merge left beside the lots: the first to expire do."""
    left = []
    for row in rows:
        paid = min(int(row.points), owed)
        owed -= paid
        if row.points > paid:
            left.append(Expiring(row.fan_id, row.expires_at, int(row.points) - paid))
    return left
