"""Writes of referrals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import dialect_insert
from domain.outbox import emit
from domain.outbox.telling import fan_referred, referral_gone
from domain.points.earning import arrivals as earning
from domain.referrals.models import Referral
from domain.referrals.rules import Refusal, accept
from domain.tables import table_of
from domain.tenancy.models import Brand

__all__ = ["fan_referred", "referral_gone"]  # beside what is defined here

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
    known = await uplines(session, {fan for pair in pairs for fan in pair})
    answers = accept(pairs, known)
    accepted = [new for new, refusal in zip(wanted, answers, strict=True) if refusal is None]
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
        for new in accepted
    ]
    if rows:
        await session.execute(dialect_insert(session, referrals), rows)
        await emit(session, [fan_referred(row) for row in rows])
        await earning.referred(session, brand, [new.invitee_fan_id for new in accepted])
    return answers


async def uplines(session: AsyncSession, fan_ids: Iterable[int]) -> dict[int, int]:
    """Return the referrer of every fan on the way up from the fans."""
    start = sorted(set(fan_ids))
    columns = (referrals.c.invitee_fan_id, referrals.c.referrer_fan_id)
    climb = select(*columns).where(referrals.c.invitee_fan_id.in_(start)).cte("upline", recursive=True)
    further = select(*columns).join(climb, referrals.c.invitee_fan_id == climb.c.referrer_fan_id)
    statement = select(climb.union(further))
    return {row.invitee_fan_id: row.referrer_fan_id for row in await session.execute(statement)}
