"""Reads of persons, of what staff decide about them, and of what was decided. All of it is the whole group's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.errors import NotFound
from domain.fans.models import Fan
from domain.inputs import said
from domain.page import Page, PageArgs, Sort, paginate
from domain.persons.models import (
    BlockedIdentity,
    ConflictState,
    Identity,
    IdentityConflict,
    Person,
    PersonAlias,
    PersonMerge,
)
from domain.scope import Scope
from domain.tables import table_of

LINK, MERGE = "person:link", "person:merge"
persons, aliases, identities, fans = table_of(Person), table_of(PersonAlias), table_of(Identity), table_of(Fan)
conflicts, merges, blocked = table_of(IdentityConflict), table_of(PersonMerge), table_of(BlockedIdentity)


async def persons_by_any_id(
    session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = LINK
) -> dict[int, Person]:
    """Return the persons by the ids asked for; the id of one who was merged away leads to who they are now."""
    wanted = set(ids)
    visible = scope.where(permission, persons)
    found = await reads.by_id(session, visible, Person, wanted)
    former = sorted(wanted - found.keys())
    if not former:
        return found
    leads = select(aliases.c.old_id, aliases.c.person_id).where(aliases.c.old_id.in_(former))
    into = {row.old_id: row.person_id for row in await session.execute(leads)}
    now = await reads.by_id(session, visible, Person, into.values())
    return found | {old: now[person_id] for old, person_id in into.items() if person_id in now}


async def get_person(session: AsyncSession, scope: Scope, person_id: int) -> Person:
    """Return the person. Raises NotFound where there is none or the caller may not see persons of their group."""
    found = (await persons_by_any_id(session, scope, [person_id])).get(person_id)
    if found is None:
        raise NotFound
    return found


async def identities_by_person(
    session: AsyncSession, scope: Scope, person_ids: Sequence[int], first: int
) -> dict[int, list[Identity]]:
    """Return the first identities of each person, in the order they became known."""
    visible = select(identities).where(scope.where(LINK, identities))
    statement = reads.first_of_each(visible, "person_id", person_ids, (identities.c.id,), first)
    return reads.grouped(await reads.rows(session, statement, Identity), lambda row: row.person_id)


async def fans_by_person(
    session: AsyncSession, scope: Scope, person_ids: Sequence[int], first: int
) -> dict[int, list[Fan]]:
    """Return the fans each person is, in the brands the caller may read."""
    visible = select(fans).where(scope.where("fan:read", fans))
    statement = reads.first_of_each(visible, "person_id", person_ids, (fans.c.id,), first)
    return reads.grouped(await reads.rows(session, statement, Fan), lambda row: row.person_id)


@dataclass(frozen=True)
class ConflictFilter:
    """Conditions on conflicts of identities."""

    state: ConflictState | None = said("Conflicts that stand so.", None)


async def list_conflicts(
    session: AsyncSession, scope: Scope, args: PageArgs, wanted: ConflictFilter | None
) -> Page[IdentityConflict]:
    statement = select(conflicts).where(scope.where(MERGE, conflicts))
    if wanted is not None and wanted.state is not None:
        statement = statement.where(conflicts.c.state == wanted.state.value)
    return await paginate(session, statement, Sort("id", (conflicts.c.id,)), args)


async def conflicts_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, IdentityConflict]:
    return await reads.by_id(session, scope.where(MERGE, conflicts), IdentityConflict, ids)


@dataclass(frozen=True)
class MergeFilter:
    """Conditions on merges of persons."""

    undone: bool | None = said("Merges that were undone, or that stand.", None)


async def list_merges(
    session: AsyncSession, scope: Scope, args: PageArgs, wanted: MergeFilter | None
) -> Page[PersonMerge]:
    statement = select(merges).where(scope.where(MERGE, merges))
    if wanted is not None and wanted.undone is not None:
        statement = statement.where(merges.c.undone_at.is_not(None) if wanted.undone else merges.c.undone_at.is_(None))
    return await paginate(session, statement, Sort("-id", (merges.c.id,), descending=True), args)


async def merges_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, PersonMerge]:
    return await reads.by_id(session, scope.where(MERGE, merges), PersonMerge, ids)


async def list_blocked(session: AsyncSession, scope: Scope, args: PageArgs) -> Page[BlockedIdentity]:
    statement = select(blocked).where(scope.where(MERGE, blocked))
    return await paginate(session, statement, Sort("id", (blocked.c.id,)), args)


async def blocked_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, BlockedIdentity]:
    return await reads.by_id(session, scope.where(MERGE, blocked), BlockedIdentity, ids)
