"""Resolution of identities that come alone."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from domain.persons.claims import Claim, IdentityRef
from domain.persons.resolution import resolve
from domain.vault import GroupVault

__all__ = ["Claim", "IdentityRef", "resolve_persons"]


async def resolve_persons(
    session: AsyncSession, keys: GroupVault, refs: Sequence[IdentityRef], *, principal: str
) -> dict[IdentityRef, int]:
    """Return the person of each identity, each named for itself, but of those that lead to nobody."""
    alone = list(dict.fromkeys(refs))
    people = await resolve(session, keys, [Claim((ref,)) for ref in alone], principal=principal)
    return {ref: person for ref, person in zip(alone, people, strict=True) if person is not None}
