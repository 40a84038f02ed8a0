"""Persons across brands, and what staff decide about who is who."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.persons.models import ConflictState, IdentityKind, MergeReason, Side
from resolvers import persons
from schema.arguments import enum_type
from schema.bind import Node, Payload, column, entity, mutation, query, relation, value
from schema.ids import encode
from schema.page import Connection

if TYPE_CHECKING:
    from schema.fans import Fan

for kind in (ConflictState, IdentityKind, MergeReason, Side):
    enum_type(kind)
Fans = list[Annotated["Fan", strawberry.lazy("schema.fans")]]


@strawberry.type(description="A key a person is known by.")
class Identity:
    kind = value(lambda shown: shown.row.kind, IdentityKind, "What it is.")
    issuer = value(lambda shown: shown.row.issuer, str, "Whose: an account, a system; empty where it needs none.")
    verified_at = value(
        lambda shown: shown.row.verified_at, datetime | None, "When it was proved first; null where it never was."
    )
    created_at = value(lambda shown: shown.row.created_at, datetime, "When it became known.")
    value: str = column("Its value: whole for who may read personal data, else 138****3534, ****@example.com or ****.")


@entity("A natural person (OneID, 自然人), once in a group.")
class Person(Node):
    created_at: datetime = column("When the group first knew of them.")
    identities = relation(persons.identities_of, list[Identity])
    fans = relation(persons.fans_of, Fans | None, permission="fan:read")


@entity("Two persons whom identities name as one although their strong identities differ.")
class IdentityConflict(Node):
    state: ConflictState = column("Where it stands.")
    kind: IdentityKind = column("The kind of identity that named both.")
    issuer: str = column("Whose identity it is.")
    evidence: str = column("Where it was named first, by kind and number.")
    times: int = column("How often it was named so before it was decided.")
    last_at: datetime = column("When it was named so last.")
    created_at: datetime = column("When it was named so first.")
    decided_by: str | None = column("Who decided it.")
    decided_at: datetime | None = column("When it was decided.")
    note: str | None = column("Why it was decided so.")
    one = relation(persons.one_persons_of, Person | None, permission="person:link")
    other = relation(persons.other_persons_of, Person | None, permission="person:link")


@entity("That one person was absorbed by another.")
class PersonMerge(Node):
    reason: MergeReason = column("Why.")
    kind: IdentityKind | None = column("The kind of identity that proved it.")
    issuer: str | None = column("Whose identity it is.")
    evidence: str = column("Where it was named, by kind and number.")
    merged_by: str = column("Who did it, or caused it.")
    note: str | None = column("What they said of it.")
    created_at: datetime = column("When.")
    undone_at: datetime | None = column("When it was undone; null where it stands.")
    undone_by: str | None = column("Who undid it.")
    undone_note: str | None = column("Why it was undone.")
    later_went_to: Side | None = column("Who got what had come since, when it was undone.")
    absorbed_id = value(
        lambda row: encode("Person", row.absorbed_person_id),
        strawberry.ID,
        "The id of the person who was absorbed. It leads to who they are now.",
    )
    survivor = relation(persons.survivors_of, Person | None, permission="person:link")


@strawberry.type(description="A value that leads to nobody in the group.")
class BlockedIdentity:
    id = value(lambda row: encode("BlockedIdentity", row.id), strawberry.ID, "The blocked value's id.")
    kind: IdentityKind = column("What kind of identity it is.")
    issuer: str = column("Whose.")
    reason: str = column("Why it is blocked.")
    blocked_by: str = column("Who blocked it.")
    created_at: datetime = column("When.")
    value = relation(persons.blocked_values_of, str)


@strawberry.type(description="What mergePersons answers.")
class MergePersonsPayload(Payload):
    merge: PersonMerge | None = column("The merge that was made.")


@strawberry.type(description="What unmergePersons answers.")
class UnmergePersonsPayload(Payload):
    merge: PersonMerge | None = column("The merge that was undone.")


@strawberry.type(description="What approveIdentityConflict answers.")
class ApproveIdentityConflictPayload(Payload):
    conflict: IdentityConflict | None = column("The conflict as it is now.")
    merge: PersonMerge | None = column("The merge that was made.")


@strawberry.type(description="What rejectIdentityConflict answers.")
class RejectIdentityConflictPayload(Payload):
    conflict: IdentityConflict | None = column("The conflict as it is now.")


@strawberry.type(description="What blockIdentity answers.")
class BlockIdentityPayload(Payload):
    blocked: BlockedIdentity | None = column("The value that is blocked.")


@strawberry.type(description="What unblockIdentity answers.")
class UnblockIdentityPayload(Payload):
    unblocked_id = value(
        lambda root: None if root.unblocked_id is None else encode("BlockedIdentity", root.unblocked_id),
        strawberry.ID | None,
        "The id of the value that is blocked no more.",
    )


@strawberry.type
class PersonsQuery:
    person = query(persons.get_person, Person, permission="person:link")
    identity_conflicts = query(persons.list_identity_conflicts, Connection[IdentityConflict], permission="person:merge")
    person_merges = query(persons.list_person_merges, Connection[PersonMerge], permission="person:merge")
    blocked_identities = query(persons.list_blocked_identities, Connection[BlockedIdentity], permission="person:merge")


@strawberry.type
class PersonsMutation:
    merge_persons = mutation(persons.merge_persons, MergePersonsPayload, permission="person:merge")
    unmerge_persons = mutation(persons.unmerge_persons, UnmergePersonsPayload, permission="person:merge")
    approve_identity_conflict = mutation(
        persons.approve_identity_conflict, ApproveIdentityConflictPayload, permission="person:merge"
    )
    reject_identity_conflict = mutation(
        persons.reject_identity_conflict, RejectIdentityConflictPayload, permission="person:merge"
    )
    block_identity = mutation(persons.block_identity, BlockIdentityPayload, permission="person:merge")
    unblock_identity = mutation(persons.unblock_identity, UnblockIdentityPayload, permission="person:merge")
