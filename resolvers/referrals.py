"""Referrals: who brought whom, and how far a fan's invitations reach."""

from collections.abc import Sequence

from domain.fans.models import Fan
from domain.fans.queries import fans_by_id
from domain.referrals.queries import referrers_by_invitee
from graph.referrals import downline_counts
from resolvers.context import Context
from resolvers.shares import Generation

MAX_DEPTH = 6
READ = "referral:read"


async def referrers_of(context: Context, fans: Sequence[Fan]) -> Sequence[Fan | None]:
    """The fan who brought them, where the caller may see that fan."""
    readable = [fan.id for fan in fans if context.scope.holds(READ, fan)]
    async with context.reading() as session:
        by_invitee = await referrers_by_invitee(session, context.scope, readable)
        seen = await fans_by_id(session, context.scope, by_invitee.values())
    return [seen.get(by_invitee.get(fan.id, 0)) for fan in fans]


async def downlines_of(context: Context, fans: Sequence[Fan], *, depth: int = 3) -> Sequence[list[Generation]]:
    """How many fans their invitations brought, by generation (1 is direct), up to `depth` (at most 6)."""
    depth = max(1, min(depth, MAX_DEPTH))
    found: dict[int, list[int]] = {}
    readable = [fan for fan in fans if context.scope.holds(READ, fan)]
    for brand_id in {fan.brand_id for fan in readable}:
        ids = [fan.id for fan in readable if fan.brand_id == brand_id]
        found |= await downline_counts(context.services.graph, brand_id, ids, depth=depth)
    return [[Generation(number, count) for number, count in enumerate(found.get(fan.id, []), start=1)] for fan in fans]
