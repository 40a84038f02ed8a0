"""What a brand owes its fans in points, and until when (积分负债)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import at_one_moment
from domain.points.ledger.accounts import accounts, lots
from domain.points.programme.rules import Programme

_SUMMED = ("spendable", "held", "pending", "debt")


@dataclass(frozen=True)
class Month:
    """Points that can be spent in this month of the brand for the last time, such as 2026-12."""

    month: str
    points: int


@dataclass(frozen=True)
class Liability:
    """What all fans of a brand together have; `outstanding` is all of `expiring` and what never does."""

    at: datetime
    outstanding: int
    held: int
    pending: int
    owed: int
    never_expiring: int
    expiring: tuple[Month, ...]


async def liability(session: AsyncSession, programme: Programme) -> Liability:
    """Add up what a brand owes. The session has read nothing yet, so that the parts are of one moment."""
    await at_one_moment(session)
    sums = [func.coalesce(func.sum(accounts.c[name]), 0) for name in _SUMMED]
    row = (await session.execute(select(*sums).where(accounts.c.brand_id == programme.brand_id))).one()
    outstanding, held, pending, debt = map(int, row)
    left = (lots.c.brand_id == programme.brand_id, lots.c.remaining > 0)
    # lots end at midnights: a brand has no more different ends than days
    ends = select(lots.c.expires_at, func.sum(lots.c.remaining)).where(*left).group_by(lots.c.expires_at)
    months, never = _by_month(programme, (await session.execute(ends)).all())
    return Liability(clock.now(), outstanding, held, pending, -debt, never, months)


def _by_month(programme: Programme, ends: Iterable[Any]) -> tuple[tuple[Month, ...], int]:
    never, months = 0, defaultdict[str, int](int)
    for expires_at, points in ends:
        if expires_at is None:
            never += int(points)
        else:
            # what ends at the midnight after New Year's Eve ends with the old year
            last = (expires_at - timedelta(microseconds=1)).astimezone(programme.zone)
            months[f"{last:%Y-%m}"] += int(points)
    return tuple(Month(month, months[month]) for month in sorted(months)), never
