"""Persons: who somebody is in all brands of the group, and what staff decide about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain import audit
from domain.access.rules import Node
from domain.errors import BadInput, Forbidden, NotFound
from domain.fans.models import Fan
from domain.ids import BlockedIdentityId, IdentityConflictId, PersonId, PersonMergeId
from domain.inputs import said
from domain.page import Page, PageArgs
from domain.persons import queries, review, unmerging
from domain.persons.claims import IdentityRef
from domain.persons.merging import PersonMerged, Wanted
from domain.persons.models import (
    BlockedIdentity,
    Identity,
    IdentityConflict,
    IdentityKind,
    MergeReason,
    Person,
    PersonMerge,
    Side,
)
from domain.persons.queries import ConflictFilter, MergeFilter
from domain.vault import mask_phone
from resolvers.context import Context

PERSONAL = "fan:read_personal"


async def get_person(context: Context, *, id: PersonId) -> Person:
    """Return a person of the group."""
    async with context.reading() as session:
        return await queries.get_person(session, context.scope, id)


async def persons_of(context: Context, fans: Sequence[Fan]) -> Sequence[Person | None]:
    """Who the fan is in the whole group; for those who may link brands."""
    async with context.reading() as session:
        found = await queries.persons_by_any_id(session, context.scope, {fan.person_id for fan in fans})
    return [found.get(fan.person_id) for fan in fans]


async def fans_of(context: Context, persons: Sequence[Person], *, first: int = 20) -> Sequence[list[Fan]]:
    """The fans the person is, in the brands the caller may see."""
    async with context.reading() as session:
        found = await queries.fans_by_person(session, context.scope, [person.id for person in persons], first)
    return [found.get(person.id, []) for person in persons]


@dataclass(frozen=True)
class ShownIdentity:
    """An identity with its value as the caller may see it."""

    row: Identity
    value: str


async def identities_of(
    context: Context, persons: Sequence[Person], *, first: int = 20
) -> Sequence[list[ShownIdentity]]:
    """What the person is known by. Values are whole for a caller who may read personal data, and that is recorded."""
    async with context.reading() as session:
        found = await queries.identities_by_person(session, context.scope, [person.id for person in persons], first)
        keys = {
            group_id: await context.services.vault.of_group(session, group_id)
            for group_id in {person.group_id for person in persons}
        }
    whole = {group_id for group_id in keys if context.scope.holds(PERSONAL, Node(group_id))}
    await _record_reading(context, [person for person in persons if person.group_id in whole and person.id in found])

    def shown(row: Identity) -> ShownIdentity:
        value = keys[row.group_id].open(row.value_cipher, "identities.value")
        return ShownIdentity(row, value if row.group_id in whole else masked(IdentityKind(row.kind), value))

    return [[shown(row) for row in found.get(person.id, [])] for person in persons]


def masked(kind: IdentityKind, value: str) -> str:
    """Hide a value: of a phone the ends show, of an email its domain, of anything else nothing."""
    if kind is IdentityKind.PHONE:
        return mask_phone(value)
    if kind is IdentityKind.EMAIL and "@" in value:
        return f"****@{value.rpartition('@')[2]}"
    return "****"


async def _record_reading(context: Context, persons: Sequence[Person]) -> None:
    by_group: dict[int, list[int]] = {}
    for person in persons:
        by_group.setdefault(person.group_id, []).append(person.id)
    if not by_group:
        return
    deeds = [
        audit.Deed(group_id, None, PERSONAL, f"Group:{group_id}", {"persons": ids, "field": "identities"})
        for group_id, ids in by_group.items()
    ]
    async with context.transaction() as session:
        await audit.record(session, context.viewer.principal, deeds)


async def list_identity_conflicts(
    context: Context, *, page: PageArgs, filter: ConflictFilter | None = None
) -> Page[IdentityConflict]:
    """List the conflicts of identities that are to be decided or were."""
    async with context.reading() as session:
        return await queries.list_conflicts(session, context.scope, page, filter)


async def list_person_merges(
    context: Context, *, page: PageArgs, filter: MergeFilter | None = None
) -> Page[PersonMerge]:
    """List the merges of persons, newest first."""
    async with context.reading() as session:
        return await queries.list_merges(session, context.scope, page, filter)


async def list_blocked_identities(context: Context, *, page: PageArgs) -> Page[BlockedIdentity]:
    """List the values the group blocked itself."""
    async with context.reading() as session:
        return await queries.list_blocked(session, context.scope, page)


async def blocked_values_of(context: Context, rows: Sequence[BlockedIdentity]) -> Sequence[str]:
    """The value, hidden as identities are."""
    async with context.reading() as session:
        keys = {
            group_id: await context.services.vault.of_group(session, group_id)
            for group_id in {row.group_id for row in rows}
        }
    opened = [keys[row.group_id].open(row.value_cipher, "blocked_identities.value") for row in rows]
    return [masked(IdentityKind(row.kind), value) for row, value in zip(rows, opened, strict=True)]


async def one_persons_of(context: Context, rows: Sequence[IdentityConflict]) -> Sequence[Person | None]:
    """The one person, or whom they were merged into since."""
    return await _named(context, [row.one_person_id for row in rows])


async def other_persons_of(context: Context, rows: Sequence[IdentityConflict]) -> Sequence[Person | None]:
    """The other person, or whom they were merged into since."""
    return await _named(context, [row.other_person_id for row in rows])


async def survivors_of(context: Context, rows: Sequence[PersonMerge]) -> Sequence[Person | None]:
    """The person who stayed, or whom they were merged into since."""
    return await _named(context, [row.survivor_person_id for row in rows])


async def _named(context: Context, ids: Sequence[int]) -> Sequence[Person | None]:
    async with context.reading() as session:
        found = await queries.persons_by_any_id(session, context.scope, ids)
    return [found.get(person_id) for person_id in ids]


@dataclass(frozen=True)
class PersonsMerge:
    """Two persons who are one human."""

    survivor_id: PersonId = said("The person who stays.")
    absorbed_id: PersonId = said("The person whose fans and identities go to the other.")
    note: str | None = said("Why, 1 to 500 characters.", None)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def merge_persons(context: Context, input: PersonsMerge) -> dict[str, Any]:
    """Make two persons one, with everything their fans have. It can be undone."""
    group_id = _group(context)
    review.check_text("note", input.note)
    if input.survivor_id == input.absorbed_id:
        raise BadInput("A person cannot be merged with themselves.", field=("input", "absorbedId"))
    async with context.transaction(dry_run=input.dry_run) as session:
        for name in ("survivor_id", "absorbed_id"):
            await _check_person(context, session, getattr(input, name), name)
        wanted = Wanted(input.survivor_id, input.absorbed_id, MergeReason.MANUAL, note=input.note)
        merge_id = await review.merge_by_hand(session, group_id, wanted, principal=context.viewer.principal)
        return {"merge": (await queries.merges_by_id(session, context.scope, [merge_id])).get(merge_id)}


async def _check_person(context: Context, session: Any, person_id: int, name: str) -> None:
    field = ("input", {"survivor_id": "survivorId", "absorbed_id": "absorbedId"}[name])
    found = (await queries.persons_by_any_id(session, context.scope, [person_id], queries.MERGE)).get(person_id)
    if found is None:
        raise NotFound("No such person.", field=field)
    if found.id != person_id:
        raise PersonMerged(field=field)


@dataclass(frozen=True)
class PersonsUnmerge:
    """A merge to be undone."""

    merge_id: PersonMergeId = said("The merge.")
    later: Side = said("Who gets what came since the merge and is nobody's by its record.", Side.SURVIVOR)
    note: str | None = said("Why, 1 to 500 characters.", None)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def unmerge_persons(context: Context, input: PersonsUnmerge) -> dict[str, Any]:
    """Undo a merge: both persons have again what was theirs, and no identity makes them one any more."""
    group_id = _group(context)
    review.check_text("note", input.note)
    async with context.transaction(dry_run=input.dry_run) as session:
        if input.merge_id not in await queries.merges_by_id(session, context.scope, [input.merge_id]):
            raise NotFound("No such merge.", field=("input", "mergeId"))
        await unmerging.unmerge(
            session,
            group_id,
            input.merge_id,
            later=input.later,
            principal=context.viewer.principal,
            note=input.note,
        )
        return {"merge": (await queries.merges_by_id(session, context.scope, [input.merge_id])).get(input.merge_id)}


@dataclass(frozen=True)
class ConflictDecision:
    """A conflict of identities to be decided."""

    conflict_id: IdentityConflictId = said("The conflict.")
    note: str | None = said("Why, 1 to 500 characters.", None)


async def approve_identity_conflict(context: Context, input: ConflictDecision) -> dict[str, Any]:
    """Decide that the two persons of a conflict are one, and merge them."""
    review.check_text("note", input.note)
    async with context.transaction() as session:
        conflict = await _conflict(context, session, input.conflict_id)
        merge_id = await review.approve(session, conflict, principal=context.viewer.principal, note=input.note)
        merge = (await queries.merges_by_id(session, context.scope, [merge_id])).get(merge_id)
        return {"conflict": await _conflict(context, session, input.conflict_id), "merge": merge}


async def reject_identity_conflict(context: Context, input: ConflictDecision) -> dict[str, Any]:
    """Decide that the two persons of a conflict stay apart, whatever identities say."""
    review.check_text("note", input.note)
    async with context.transaction() as session:
        conflict = await _conflict(context, session, input.conflict_id)
        await review.reject(session, conflict, principal=context.viewer.principal, note=input.note)
        return {"conflict": await _conflict(context, session, input.conflict_id)}


async def _conflict(context: Context, session: Any, conflict_id: int) -> IdentityConflict:
    _group(context)
    found = (await queries.conflicts_by_id(session, context.scope, [conflict_id])).get(conflict_id)
    if found is None:
        raise NotFound("No such conflict.", field=("input", "conflictId"))
    return found


@dataclass(frozen=True)
class IdentityBlock:
    """A value that many people share."""

    kind: IdentityKind = said("What kind of identity it is.")
    value: str = said("The value, however it is written, 1 to 255 characters.")
    reason: str = said("Why it leads to nobody, 1 to 500 characters.")
    issuer: str = said("Whose: the account of an openid, the system of an external id.", "")


async def block_identity(context: Context, input: IdentityBlock) -> dict[str, Any]:
    """Make a value lead to nobody from now on."""
    group_id = _group(context)
    review.check_text("value", input.value, review.VALUE_LENGTH)
    review.check_text("reason", input.reason)
    review.check_text("issuer", input.issuer or None, review.ISSUER_LENGTH)
    ref = IdentityRef(input.kind, input.value, input.issuer)
    async with context.transaction() as session:
        keys = await context.services.vault.of_group(session, group_id)
        made = await review.block(session, keys, ref, reason=input.reason, principal=context.viewer.principal)
        return {"blocked": (await queries.blocked_by_id(session, context.scope, [made])).get(made)}


@dataclass(frozen=True)
class BlockedRef:
    """A blocked value."""

    blocked_id: BlockedIdentityId = said("The blocked value.")


async def unblock_identity(context: Context, input: BlockedRef) -> dict[str, Any]:
    """Let a value the group blocked lead to persons again."""
    _group(context)
    async with context.transaction() as session:
        found = (await queries.blocked_by_id(session, context.scope, [input.blocked_id])).get(input.blocked_id)
        if found is None:
            raise NotFound("No such blocked value.", field=("input", "blockedId"))
        await review.unblock(session, found, principal=context.viewer.principal)
        return {"unblocked_id": found.id}


def _group(context: Context) -> int:
    """Return the caller's group. Raises Forbidden where they may not decide for the whole of it."""
    group_id = context.scope.group_id
    if group_id is None or not context.scope.holds(queries.MERGE, Node(group_id)):
        raise Forbidden("Persons are the group's: only who may merge in the whole of it decides about them.")
    return group_id
