"""Writes of referrals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import dialect_insert
from domain.outbox import Event, emit
from domain.referrals.models import Referral
from domain.referrals.rules import Refusal, accept
from domain.tables import table_of
from domain.tenancy.models import Brand

referrals, brands = table_of(Referral), table_of(Brand)


@dataclass(frozen=True)
class NewReferral:
    """A fan who brought another; both are fans of the brand."""

    referrer_fan_id: int
    invitee_fan_id: int
    referred_at: datetime | None = None


async def record_referrals(session: AsyncSession, brand: Brand, wanted: Sequence[NewReferral]) -> list[Refusal | None]:
    """Record the referrals in order and say, for each, why it was refused or None.

    The first valid referrer of a fan is for ever: nobody refers themselves, is referred twice, or closes a loop.
    """
    pairs = [(new.referrer_fan_id, new.invitee_fan_id) for new in wanted]
    # a loop can close over fans that no two transactions share, so a brand's referrals are written one after another
    await session.execute(select(brands.c.id).where(brands.c.id == brand.id).with_for_update(key_share=True))
    known = await _uplines(session, pairs)
    answers = accept(pairs, known)
    now = clock.now()
    rows = [
        {
            "group_id": brand.group_id,
            "brand_id": brand.id,
            "referrer_fan_id": new.referrer_fan_id,
            "invitee_fan_id": new.invitee_fan_id,
            "referred_at": new.referred_at or now,
            "created_at": now,
        }
        for new, refusal in zip(wanted, answers, strict=True)
        if refusal is None
    ]
    if rows:
        await session.execute(dialect_insert(session, referrals), rows)
        await emit(session, [fan_referred(row) for row in rows])
    return answers


async def _uplines(session: AsyncSession, pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return the referrer of every fan on the way up from the batch's fans."""
    start = sorted({fan for pair in pairs for fan in pair})
    columns = (referrals.c.invitee_fan_id, referrals.c.referrer_fan_id)
    climb = select(*columns).where(referrals.c.invitee_fan_id.in_(start)).cte("upline", recursive=True)
    further = select(*columns).join(climb, referrals.c.invitee_fan_id == climb.c.referrer_fan_id)
    statement = select(climb.union(further))
    return {row.invitee_fan_id: row.referrer_fan_id for row in await session.execute(statement)}


def fan_referred(row: Any) -> Event:
    """Tell the graph who brought a fan."""
    payload = {
        "referrer": row["referrer_fan_id"],
        "invitee": row["invitee_fan_id"],
        "brand": row["brand_id"],
        "at": int(row["referred_at"].timestamp() * 1000),
    }
    key = f"referral:{row['invitee_fan_id']}"
    return Event(row["group_id"], row["brand_id"], "graph", "referral", key, 1, payload)


def referral_gone(group_id: int, brand_id: int, invitee_fan_id: int) -> Event:
    """Tell the graph that a fan was brought by nobody; needless where an end of the referral is gone."""
    payload = {"invitee": invitee_fan_id, "brand": brand_id}
    return Event(group_id, brand_id, "graph", "referral_gone", f"referral:{invitee_fan_id}", 1, payload)
