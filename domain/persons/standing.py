"""Claims that say nothing new, as most do: whom their identities lead to is read in one statement, without a plan.

Nothing is locked here. Who writes for a person's fan locks the fan after, by the person: whoever is merged away or
erased in between is not found there, and the claim is resolved.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk
from domain.compiled import is_postgresql
from domain.persons.models import BlockedIdentity, Identity, IdentityBrand, IdentityKind
from domain.persons.naming import hashes_of
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


# each identity is one look at an index, however small the tables are when the plan is made
_STANDING = """
SELECT array_agg(person_id ORDER BY place), array_agg(proved ORDER BY place) FROM (
    SELECT place, held.person_id, held.proved
    FROM generate_series(0, $2::integer - 1) AS place
    LEFT JOIN LATERAL (
        SELECT known.person_id, known.verified_at IS NOT NULL AS proved FROM identities AS known
        WHERE known.group_id = $3::bigint AND known.value_hash = substr($1::bytea, place * 32 + 1, 32)
        AND (known.first_brand_id = $4::bigint OR EXISTS (
            SELECT FROM identity_brands AS told WHERE told.identity_id = known.id AND told.brand_id = $4::bigint))
        AND NOT EXISTS (
            SELECT FROM blocked_identities AS blocked
            WHERE blocked.group_id = $3::bigint AND blocked.value_hash = known.value_hash)
        LIMIT 1
    ) AS held ON true
) AS found
"""


async def people_as_known(
    session: AsyncSession, keys: GroupVault, brand_id: int, claims: Sequence[Sequence[Naming]]
) -> list[int | None]:
    """Return the person of each claim that says nothing new to the group or the brand; None for one to be resolved.

    Nothing is new where all that is named leads to one person, as the brand was told before, and is proved where the
    claim proves it.
    """
    refs = dict.fromkeys([(one.kind, one.value, one.issuer) for claim in claims for one in claim])
    hashes = hashes_of(keys, refs)
    read = _read_at_once if is_postgresql(session) else _read
    held = await read(session, keys.group_id, brand_id, list(hashes.values())) if hashes else ()
    by_ref = dict(zip(hashes, held, strict=True))
    return [_person_of(claim, by_ref) for claim in claims]


def _person_of(claim: Sequence[Naming], held: Mapping[Ref, Held]) -> int | None:
    found = None
    for one in claim:
        person, proved = held.get((one.kind, one.value, one.issuer), _NOBODY)
        if person is None or (one.verified and not proved) or (found is not None and person != found):
            return None
        # what leads to nobody says nothing
        found = person or found
    return found


async def _read_at_once(session: AsyncSession, group_id: int, brand_id: int, hashes: Sequence[bytes]) -> Iterable[Held]:
    people, proved = await bulk.run(session, _STANDING, b"".join(hashes), len(hashes), group_id, brand_id)
    return zip(people, proved, strict=True)


async def _read(session: AsyncSession, group_id: int, brand_id: int, hashes: Sequence[bytes]) -> Iterable[Held]:
    told = exists().where(identity_brands.c.identity_id == identities.c.id, identity_brands.c.brand_id == brand_id)
    same = (blocked_identities.c.group_id == group_id, blocked_identities.c.value_hash == identities.c.value_hash)
    proved = identities.c.verified_at.is_not(None)
    statement = select(identities.c.value_hash, identities.c.person_id, proved).where(
        identities.c.group_id == group_id,
        bulk.among(session, identities.c.value_hash, hashes),
        or_(identities.c.first_brand_id == brand_id, told),
        ~exists().where(*same),
    )
    found = {value_hash: (person, is_proved) for value_hash, person, is_proved in await session.execute(statement)}
    return [found.get(known_as, _UNKNOWN) for known_as in hashes]
