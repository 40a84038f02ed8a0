"""What is known of identities and persons, read and locked for a resolution."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk, running
from domain.persons.models import BlockedIdentity, ConflictState, Identity, IdentityConflict, IdentityKind, Person
from domain.persons.rules import Held, Holding
from domain.tables import table_of

persons, identities, blocked_identities = table_of(Person), table_of(Identity), table_of(BlockedIdentity)
conflicts = table_of(IdentityConflict)
_KINDS = {kind.value: kind for kind in IdentityKind}
_STRONG_OR_OPENID = ("OPENID", "UNIONID", "EXTERNAL_ID")


def among(session: AsyncSession, column: Any, values: Iterable[Any]) -> ColumnElement[bool]:
    """Build the condition that a column has one of many values."""
    return bulk.among(session, column, list(values))


def is_sqlite(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"


async def blocked(session: AsyncSession, group_id: int, hashes: Iterable[bytes]) -> set[bytes]:
    """Return those of the hashes that the group blocked."""
    wanted = list(hashes)
    if not wanted:
        return set()
    named = among(session, blocked_identities.c.value_hash, wanted)
    statement = select(blocked_identities.c.value_hash).where(blocked_identities.c.group_id == group_id, named)
    return {bytes(value) for value in (await session.execute(statement)).scalars()}


async def merge_alone(session: AsyncSession, group_id: int) -> None:
    """Wait for the group's turn to merge, which ends with the transaction."""
    if not is_sqlite(session):
        await session.execute(select(func.pg_advisory_xact_lock(_MERGING, group_id % 2**31)))


async def undo_alone(session: AsyncSession, group_id: int) -> None:
    """Wait for the group's turn to undo a merge, which ends with the transaction. To be asked before `merge_alone`."""
    if not is_sqlite(session):
        await session.execute(select(func.pg_advisory_xact_lock(_UNDOING, group_id % 2**31)))


async def nothing_undone(session: AsyncSession, group_id: int) -> None:
    """Wait for the undoing of a merge that is under way, and let none begin before the transaction ends."""
    if not is_sqlite(session):
        await running.fetch(session, "SELECT pg_advisory_xact_lock_shared($1, $2)", (_UNDOING, group_id % 2**31))


_MERGING, _UNDOING = 0x5EED01, 0x5EED02  # tell these locks from others a product may take by two numbers


class Holdings:
    """What one attempt reads of a group: who holds which identity, and who is kept apart from whom."""

    def __init__(self, session: AsyncSession, group_id: int) -> None:
        self._session = session
        self._group_id = group_id
        self.loaded: dict[int, list[Holding]] = {}
        self.apart: set[tuple[int, int]] = set()

    async def known(self, hashes: Collection[bytes], *, lock: bool) -> dict[bytes, Held]:
        """Return who holds each of the hashes. Locked, none of them is merged away before the transaction ends."""
        proved = identities.c.verified_at.is_not(None)
        of_it = (identities.c.id, identities.c.person_id, proved.label("proved"), identities.c.first_brand_id)
        named = among(self._session, identities.c.value_hash, hashes)
        statement = select(identities.c.value_hash, *of_it).where(identities.c.group_id == self._group_id, named)
        if lock and not is_sqlite(self._session):
            statement = statement.join(persons, persons.c.id == identities.c.person_id).order_by(persons.c.id)
            statement = statement.with_for_update(read=True, key_share=True, of=persons)
        found = await bulk.read_columns(self._session, statement)
        return {value_hash: Held(*held) for value_hash, *held in zip(*found, strict=True)}

    async def load(self, wanted: Collection[int], *, lock: bool) -> None:
        """Read what makes the persons who they are, and who of them is kept apart; locked, nobody else attaches."""
        missing = sorted(set(wanted) - self.loaded.keys())
        if lock and not is_sqlite(self._session):
            held = select(persons.c.id).where(among(self._session, persons.c.id, missing)).order_by(persons.c.id)
            await self._session.execute(held.with_for_update(key_share=True))
        self.loaded |= {person: [] for person in missing}
        columns = (identities.c.person_id, identities.c.value_hash, identities.c.kind, identities.c.issuer)
        telling = or_(identities.c.kind.in_(_STRONG_OR_OPENID), identities.c.verified_at.is_not(None))
        statement = select(*columns, identities.c.verified_at).where(
            among(self._session, identities.c.person_id, missing), telling
        )
        for row in await self._session.execute(statement):
            holding = Holding(bytes(row.value_hash), _KINDS[row.kind], row.issuer, row.verified_at is not None)
            self.loaded[row.person_id].append(holding)
        if len(self.loaded) > 1:
            self.apart |= await self._kept_apart()

    async def _kept_apart(self) -> set[tuple[int, int]]:
        pair = (conflicts.c.one_person_id, conflicts.c.other_person_id)
        standing = (conflicts.c.group_id == self._group_id, conflicts.c.state != ConflictState.APPROVED.value)
        both = and_(*(among(self._session, column, sorted(self.loaded)) for column in pair))
        return {(row[0], row[1]) for row in await self._session.execute(select(*pair).where(*standing, both))}

    async def lock_merging(self, wanted: Collection[int]) -> set[int]:
        """Lock persons against everybody, and return those who are there."""
        if is_sqlite(self._session) or not wanted:
            return set(wanted)
        statement = select(persons.c.id).where(among(self._session, persons.c.id, sorted(wanted)))
        found = await self._session.execute(statement.order_by(persons.c.id).with_for_update())
        return set(found.scalars())
