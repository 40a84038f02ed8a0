"""Claims that say nothing new, as most do: whom their identities lead to is read in one statement, without a plan.

No row is locked here. Who writes for a person's fan locks the fan after, by the person: whoever is merged away or
erased in between is not found there, and the claim is resolved. An undoing leaves the fan who stayed where they were,
so none begins before the transaction that read here ends.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk
from domain.persons.holdings import nothing_undone
from domain.persons.models import BlockedIdentity, Identity, IdentityBrand, IdentityKind
from domain.persons.naming import hashes_of
from domain.running import is_postgresql
from domain.tables import table_of
from domain.vault import GroupVault

identities, identity_brands = table_of(Identity), table_of(IdentityBrand)
blocked_identities = table_of(BlockedIdentity)
Ref = tuple[IdentityKind, str, str]
Held = tuple[int | None, bool | None]  # whose an identity is, and whether it was proved to be
_UNKNOWN: Held = (None, None)
_NOBODY: Held = (0, True)


class Naming(Protocol):
    """An identity as an event names it."""

    @property
    def kind(self) -> IdentityKind: ...
    @property
    def value(self) -> str: ...
    @property
    def issuer(self) -> str: ...
    @property
    def verified(self) -> bool: ...


# OFFSET 0 keeps each condition to the rows that are found: turned into a join, it would read another table whole
_STANDING = """
SELECT array_agg(known.value_hash), array_agg(known.person_id), array_agg(known.verified_at IS NOT NULL)
FROM identities AS known
WHERE known.group_id = $3::bigint
AND known.value_hash = ANY (ARRAY(
    SELECT substr($1::bytea, place * 32 + 1, 32) FROM generate_series(0, $2::integer - 1) AS place))
AND (known.first_brand_id = $4::bigint OR EXISTS (
    SELECT FROM identity_brands AS told WHERE told.identity_id = known.id AND told.brand_id = $4::bigint OFFSET 0))
AND NOT EXISTS (
    SELECT FROM blocked_identities AS blocked
    WHERE blocked.group_id = known.group_id AND blocked.value_hash = known.value_hash OFFSET 0)
"""


async def people_as_known(
    session: AsyncSession, keys: GroupVault, brand_id: int, claims: Sequence[Sequence[Naming]]
) -> list[int | None]:
    """Return the person of each claim that says nothing new to the group or the brand; None for one to be resolved.

    Nothing is new where all that is named leads to one person, as the brand was told before, and is proved where the
    claim proves it.
    """
    await nothing_undone(session, keys.group_id)
    hashes = hashes_of(keys, {(one.kind, one.value, one.issuer) for claim in claims for one in claim})
    read = _read_at_once if is_postgresql(session) else _read
    held = await read(session, keys.group_id, brand_id, list(hashes.values())) if hashes else {}
    by_ref = {ref: held.get(known_as, _UNKNOWN) for ref, known_as in hashes.items()}
    return [_person_of(claim, by_ref) for claim in claims]


def _person_of(claim: Sequence[Naming], held: Mapping[Ref, Held]) -> int | None:
    found = None
    for one in claim:
        person, proved = held.get((one.kind, one.value, one.issuer), _NOBODY)
        if person is None or (one.verified and not proved) or (found and person and person != found):
            return None
        found = found or person
    # where all of it leads to nobody, that is to be said by who resolves it
    return found or None


async def _read_at_once(
    session: AsyncSession, group_id: int, brand_id: int, hashes: Sequence[bytes]
) -> dict[bytes, Held]:
    found = await bulk.run(session, _STANDING, b"".join(hashes), len(hashes), group_id, brand_id)
    known, people, proved = (column or () for column in found)
    return dict(zip(known, zip(people, proved, strict=True), strict=True))


async def _read(session: AsyncSession, group_id: int, brand_id: int, hashes: Sequence[bytes]) -> dict[bytes, Held]:
    told = exists().where(identity_brands.c.identity_id == identities.c.id, identity_brands.c.brand_id == brand_id)
    same = (blocked_identities.c.group_id == group_id, blocked_identities.c.value_hash == identities.c.value_hash)
    proved = identities.c.verified_at.is_not(None)
    statement = select(identities.c.value_hash, identities.c.person_id, proved).where(
        identities.c.group_id == group_id,
        identities.c.value_hash.in_(hashes),
        or_(identities.c.first_brand_id == brand_id, told),
        ~exists().where(*same),
    )
    return {known_as: (person, is_proved) for known_as, person, is_proved in await session.execute(statement)}
