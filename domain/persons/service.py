"""Resolution of identities to persons: attach and create. Merging several known persons is a capability of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import dialect_insert
from domain.persons.models import Identity, IdentityKind, Person
from domain.tables import table_of
from domain.vault import GroupVault, normalise

persons, identities = table_of(Person), table_of(Identity)


@dataclass(frozen=True)
class IdentityRef:
    """An identity as a channel names it; `issuer` is the account of an openid or the system of an external id."""

    kind: IdentityKind
    value: str
    issuer: str = ""

    def space(self) -> str:
        return f"{self.kind}@{self.issuer}"


async def resolve_persons(
    session: AsyncSession, keys: GroupVault, refs: Sequence[IdentityRef]
) -> dict[IdentityRef, int]:
    """Return the person of each identity, making persons for those nobody has seen. Set-based: six statements at most.

    Two transactions that meet a new identity at once end with one person: the unique key decides who made it, and the
    loser takes its own spare person back.
    """
    wanted = {ref: keys.find_hash(normalise(ref.kind, ref.value), ref.space()) for ref in dict.fromkeys(refs)}
    known = await _known(session, keys.group_id, wanted)
    missing = {ref: found for ref, found in wanted.items() if ref not in known}
    if not missing:
        return known
    made = await _make_persons(session, keys.group_id, len(missing))
    spare = await _attach(session, keys, missing, made)
    if spare:
        await session.execute(delete(persons).where(persons.c.id.in_(spare)))
    return known | await _known(session, keys.group_id, missing)


async def _known(session: AsyncSession, group_id: int, wanted: dict[IdentityRef, bytes]) -> dict[IdentityRef, int]:
    columns = (identities.c.kind, identities.c.issuer, identities.c.value_hash)
    statement = select(*columns, identities.c.person_id).where(
        identities.c.group_id == group_id,
        tuple_(*columns).in_([(ref.kind.value, ref.issuer, found) for ref, found in wanted.items()]),
    )
    rows = (await session.execute(statement)).all()
    people = {(row.kind, row.issuer, bytes(row.value_hash)): row.person_id for row in rows}
    places = {ref: (ref.kind.value, ref.issuer, found) for ref, found in wanted.items()}
    return {ref: people[place] for ref, place in places.items() if place in people}


async def _make_persons(session: AsyncSession, group_id: int, count: int) -> list[int]:
    now = clock.now()
    rows = [{"group_id": group_id, "uid": uuid4(), "created_at": now} for _ in range(count)]
    return list((await session.execute(insert(persons).returning(persons.c.id), rows)).scalars())


async def _attach(
    session: AsyncSession, keys: GroupVault, missing: dict[IdentityRef, bytes], made: list[int]
) -> list[int]:
    """Give each missing identity its new person; return the persons that another transaction made needless."""
    now = clock.now()
    # in one order for all, so that two transactions wait for each other and do not deadlock
    ordered = sorted(missing.items(), key=lambda item: item[1])
    rows = [
        {
            "group_id": keys.group_id,
            "person_id": person_id,
            "kind": ref.kind.value,
            "issuer": ref.issuer,
            "value_hash": found,
            "value_cipher": keys.seal(normalise(ref.kind, ref.value), "identities.value"),
            "created_at": now,
        }
        for (ref, found), person_id in zip(ordered, made, strict=True)
    ]
    statement = dialect_insert(session, identities).on_conflict_do_nothing().returning(identities.c.person_id)
    taken = set((await session.execute(statement, rows)).scalars())
    return [person_id for person_id in made if person_id not in taken]
