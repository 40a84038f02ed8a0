"""Reads of referrals."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.referrals.models import Referral
from domain.scope import Scope
from domain.tables import table_of

referrals = table_of(Referral)


async def referrers_by_invitee(session: AsyncSession, scope: Scope, fan_ids: Sequence[int]) -> dict[int, int]:
    """Return who brought each fan, by id. Whether the caller may see that fan is for the read of the fan to say."""
    visible = scope.nodes("referral:read").where_shared(referrals)
    statement = select(referrals.c.invitee_fan_id, referrals.c.referrer_fan_id).where(
        referrals.c.invitee_fan_id.in_(sorted(set(fan_ids))), visible
    )
    return {row.invitee_fan_id: row.referrer_fan_id for row in await session.execute(statement)}
