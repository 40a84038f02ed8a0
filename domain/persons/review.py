"""What staff decide about persons: conflicts, merges by hand, values that lead to nobody."""

from typing import Any

from sqlalchemy import delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.errors import BadInput, DomainError
from domain.persons import holdings
from domain.persons.claims import IdentityRef
from domain.persons.merging import PersonMerged, Wanted, merge_persons
from domain.persons.models import BlockedIdentity, ConflictState, IdentityConflict, IdentityKind, MergeReason
from domain.persons.naming import find_hash
from domain.tables import table_of
from domain.vault import GroupVault, normalise

conflicts, blocked = table_of(IdentityConflict), table_of(BlockedIdentity)
NOTE_LENGTH, VALUE_LENGTH, ISSUER_LENGTH = 500, 255, 128


class ConflictDecided(DomainError):
    code = "CONFLICT_DECIDED"
    default = "This conflict was decided already."


class AlreadyBlocked(DomainError):
    code = "ALREADY_BLOCKED"
    default = "This value is blocked already."


def check_text(name: str, text: str | None, limit: int = NOTE_LENGTH) -> None:
    """Raise BadInput where a text is empty or too long."""
    if text is not None and not 1 <= len(text.strip()) <= len(text) <= limit:
        raise BadInput(f"{name} has 1 to {limit} characters.", field=("input", name))


async def merge_by_hand(session: AsyncSession, group_id: int, wanted: Wanted, *, principal: str) -> int:
    """Merge two persons and return the merge. Raises PersonMerged where another was sooner with one of them."""
    await holdings.merge_alone(session, group_id)
    return (await merge_persons(session, group_id, [wanted], principal=principal))[wanted.absorbed]


async def approve(session: AsyncSession, conflict: Any, *, principal: str, note: str | None) -> int:
    """Decide that the two are one person and return their merge. Raises ConflictDecided, PersonMerged."""
    await holdings.merge_alone(session, conflict.group_id)
    await _decide(session, conflict, ConflictState.APPROVED, principal, note)
    wanted = Wanted(
        conflict.one_person_id,
        conflict.other_person_id,
        MergeReason.REVIEW,
        kind=IdentityKind(conflict.kind),
        issuer=conflict.issuer,
        evidence=conflict.evidence,
        note=note,
    )
    return (await merge_persons(session, conflict.group_id, [wanted], principal=principal))[wanted.absorbed]


async def reject(session: AsyncSession, conflict: Any, *, principal: str, note: str | None) -> None:
    """Decide that the two stay apart, whatever claims say. Raises ConflictDecided."""
    await _decide(session, conflict, ConflictState.REJECTED, principal, note)


async def _decide(session: AsyncSession, conflict: Any, state: ConflictState, principal: str, note: str | None) -> None:
    said = {"state": state.value, "decided_by": principal, "decided_at": clock.now(), "note": note}
    # about the two it was shown about: a merge meanwhile may have made it another question
    pair = (
        conflicts.c.one_person_id == conflict.one_person_id,
        conflicts.c.other_person_id == conflict.other_person_id,
    )
    mine = (conflicts.c.id == conflict.id, conflicts.c.state == ConflictState.OPEN.value, *pair)
    decided = await session.execute(update(conflicts).where(*mine).values(said).returning(conflicts.c.id))
    if decided.first() is None:
        raise ConflictDecided
    deed = audit.Deed(
        conflict.group_id, None, "identity_conflict:decide", f"IdentityConflict:{conflict.id}", {"after": state.value}
    )
    await audit.record(session, principal, [deed])


async def block(session: AsyncSession, keys: GroupVault, ref: IdentityRef, *, reason: str, principal: str) -> int:
    """Make a value lead to nobody from now on. Raises AlreadyBlocked."""
    row = {
        "group_id": keys.group_id,
        "kind": ref.kind.value,
        "issuer": ref.issuer,
        "value_hash": find_hash(keys, ref),
        "value_cipher": keys.seal(normalise(ref.kind, ref.value), "blocked_identities.value"),
        "reason": reason,
        "blocked_by": principal,
        "created_at": clock.now(),
    }
    try:
        made = (await session.execute(insert(blocked).values(row).returning(blocked.c.id))).scalar_one()
    except IntegrityError as error:
        raise AlreadyBlocked(field=("input", "value")) from error
    await _note(session, keys.group_id, principal, "identity:block", int(made), ref.kind)
    return int(made)


async def unblock(session: AsyncSession, row: Any, *, principal: str) -> None:
    """Let a value lead to persons again."""
    await session.execute(delete(blocked).where(blocked.c.id == row.id))
    await _note(session, row.group_id, principal, "identity:unblock", row.id, row.kind)


async def _note(
    session: AsyncSession, group_id: int, principal: str, action: str, number: int, kind: IdentityKind | str
) -> None:
    deed = audit.Deed(group_id, None, action, f"BlockedIdentity:{number}", {"kind": str(kind)})
    await audit.record(session, principal, [deed])


__all__ = [
    "AlreadyBlocked",
    "ConflictDecided",
    "PersonMerged",
    "approve",
    "block",
    "merge_by_hand",
    "reject",
    "unblock",
]
