"""Claims by the hashes of their identities, without those that lead to nobody."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from domain.persons import holdings
from domain.persons.claims import Claim, IdentityRef, space_of
from domain.persons.models import IdentityKind
from domain.persons.rules import Named, is_blocked
from domain.vault import GroupVault, normalise

EVIDENCE_LENGTH = 200
Ref = TypeVar("Ref", bound=tuple[IdentityKind, str, str])


@dataclass
class Batch:
    """Claims by the hashes of their identities, what the hashes stand for, and where each claim comes from."""

    claims: list[list[Named]] = field(default_factory=list)
    values: dict[bytes, IdentityRef] = field(default_factory=dict)
    evidence: list[str] = field(default_factory=list)


async def read_batch(session: AsyncSession, keys: GroupVault, claims: Sequence[Claim]) -> Batch:
    """Return the claims as a batch."""
    usable = await _usable(session, keys, dict.fromkeys(ref for claim in claims for ref in claim.identities))
    plain = {ref: Named(known_as, ref.kind, ref.issuer, verified=False) for ref, known_as in usable.items()}
    return Batch(
        [_named(claim, plain) for claim in claims],
        {known_as: ref for ref, known_as in usable.items()},
        [claim.evidence[:EVIDENCE_LENGTH] for claim in claims],
    )


def _named(claim: Claim, plain: Mapping[IdentityRef, Named]) -> list[Named]:
    found: dict[bytes, Named] = {}
    for ref in claim.identities:
        if ref in plain:
            named = plain[ref]
            if claim.verified and ref in claim.verified:
                found[named.key] = named._replace(verified=True)
            else:
                # written in two ways, the other may be the verified one
                found.setdefault(named.key, named)
    return list(found.values())


async def blocked_among(session: AsyncSession, keys: GroupVault, refs: Iterable[IdentityRef]) -> set[IdentityRef]:
    """Return those of the identities that lead to nobody: the well-known ones, and those the group blocked itself."""
    wanted = list(dict.fromkeys(refs))
    return set(wanted) - (await _usable(session, keys, wanted)).keys()


def find_hash(keys: GroupVault, ref: IdentityRef) -> bytes:
    """Return what an identity is found by."""
    return keys.find_hash(normalise(ref.kind, ref.value), ref.space())


async def _usable(session: AsyncSession, keys: GroupVault, refs: Iterable[IdentityRef]) -> dict[IdentityRef, bytes]:
    hashes = hashes_of(keys, refs)
    blocked = await holdings.blocked(session, keys.group_id, hashes.values())
    return {ref: known_as for ref, known_as in hashes.items() if known_as not in blocked} if blocked else hashes


def hashes_of(keys: GroupVault, refs: Iterable[Ref]) -> dict[Ref, bytes]:
    """Return what each identity is found by, but of the well-known ones that lead to nobody."""
    finders: dict[tuple[IdentityKind, str], Callable[[str], bytes]] = {}
    hashes: dict[Ref, bytes] = {}
    for ref in refs:
        kind, written, issuer = ref
        value = normalise(kind, written)
        if not is_blocked(kind, value):
            find = finders.get((kind, issuer))
            if find is None:
                find = finders[kind, issuer] = keys.finder(space_of(kind, issuer))
            hashes[ref] = find(value)
    return hashes
