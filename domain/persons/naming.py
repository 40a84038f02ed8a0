"""Claims by the hashes of their identities, without those that lead to nobody."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from domain.persons import holdings
from domain.persons.claims import Claim, IdentityRef
from domain.persons.rules import Named, is_blocked
from domain.vault import GroupVault, normalise

EVIDENCE_LENGTH = 200


@dataclass
class Batch:
    """Claims by the hashes of their identities, what the hashes stand for, and where each claim comes from."""

    claims: list[list[Named]] = field(default_factory=list)
    values: dict[bytes, IdentityRef] = field(default_factory=dict)
    evidence: list[str] = field(default_factory=list)


async def read_batch(session: AsyncSession, keys: GroupVault, claims: Sequence[Claim]) -> Batch:
    """Return the claims as a batch."""
    refs = dict.fromkeys(ref for claim in claims for ref in claim.identities)
    usable = await _usable(session, keys, refs)
    batch = Batch(values={known_as: ref for ref, known_as in usable.items()})
    for claim in claims:
        named: dict[bytes, Named] = {}
        for ref in claim.identities:
            # written in two ways, one of them may be the verified one
            if ref in usable and not (usable[ref] in named and named[usable[ref]].verified):
                named[usable[ref]] = Named(usable[ref], ref.kind, ref.issuer, ref in claim.verified)
        batch.claims.append(list(named.values()))
        batch.evidence.append(claim.evidence[:EVIDENCE_LENGTH])
    return batch


async def blocked_among(session: AsyncSession, keys: GroupVault, refs: Iterable[IdentityRef]) -> set[IdentityRef]:
    """Return those of the identities that lead to nobody: the well-known ones, and those the group blocked itself."""
    wanted = list(dict.fromkeys(refs))
    return set(wanted) - (await _usable(session, keys, wanted)).keys()


def find_hash(keys: GroupVault, ref: IdentityRef) -> bytes:
    """Return what an identity is found by."""
    return keys.find_hash(normalise(ref.kind, ref.value), ref.space())


async def _usable(session: AsyncSession, keys: GroupVault, refs: Iterable[IdentityRef]) -> dict[IdentityRef, bytes]:
    hashes = {ref: find_hash(keys, ref) for ref in refs if not is_blocked(ref.kind, normalise(ref.kind, ref.value))}
    blocked = await holdings.blocked(session, keys.group_id, hashes.values())
    return {ref: known_as for ref, known_as in hashes.items() if known_as not in blocked}
