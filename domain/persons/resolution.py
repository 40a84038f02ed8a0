"""Resolution: which person the identities named together by an event, an order, a login or an import belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from domain.persons.service import IdentityRef, resolve_persons
from domain.vault import GroupVault


@dataclass(frozen=True)
class Claim:
    """Identities that were named together.

    `verified` are those of them that were proved in the act: a phone by a code that was sent to it. Only a service that
    checked it may say so, never a fan. `evidence` says where the claim comes from by kind and number, such as
    `event:01J…` or `order:tmall/123`, in 200 characters at most and without personal data.
    """

    identities: tuple[IdentityRef, ...]
    verified: frozenset[IdentityRef] = frozenset()
    evidence: str = ""


async def resolve(
    session: AsyncSession, keys: GroupVault, claims: Sequence[Claim], *, principal: str
) -> list[int | None]:
    """Return the person of each claim, in order; None for a claim that names nobody: nothing, or blocked values only.

    To be called once in a transaction, before anything is written that belongs to a fan.
    """
    people = await resolve_persons(session, keys, [ref for claim in claims for ref in claim.identities])
    return [people[claim.identities[0]] if claim.identities else None for claim in claims]
