"""Conflicts of identities when the persons they are about become one, or come apart again."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import dialect_insert
from domain.persons.holdings import among
from domain.persons.models import ConflictState, IdentityConflict, IdentityKind
from domain.persons.written import read_row, write_row
from domain.reads import grouped
from domain.tables import table_of

conflicts = table_of(IdentityConflict)
_SAID = tuple(column.name for column in conflicts.c)
_STRENGTH = {ConflictState.REJECTED.value: 0, ConflictState.OPEN.value: 1}


async def follow(session: AsyncSession, group_id: int, into: Mapping[int, int]) -> list[tuple[int, dict[str, Any]]]:
    """Make what keeps absorbed persons apart from others keep their survivors; return the rows as they were.

    Each row comes with the absorbed person it changed for. Of several about one pair the decided one stays; one about
    two who merge is decided by that.
    """
    ends = (conflicts.c.one_person_id, conflicts.c.other_person_id)
    about = or_(*(among(session, end, sorted({*into, *into.values()})) for end in ends))
    standing = (conflicts.c.group_id == group_id, conflicts.c.state != ConflictState.APPROVED.value)
    statement = select(conflicts).where(*standing, about).order_by(conflicts.c.id).with_for_update()
    rows = (await session.execute(statement)).all()
    groups = grouped(rows, lambda row: _pair(*(into.get(end, end) for end in (row.one_person_id, row.other_person_id))))
    notes: list[tuple[int, dict[str, Any]]] = []
    for pair, about_pair in groups.items():
        absorbed = [end for row in about_pair for end in (row.one_person_id, row.other_person_id) if end in into]
        if absorbed:
            changed = await _settle(session, pair, sorted(about_pair, key=lambda row: (_STRENGTH[row.state], row.id)))
            notes += [(absorbed[0], {"row": write_row(row, _SAID)}) for row in changed]
    return notes


async def _settle(session: AsyncSession, pair: tuple[int, int], rows: Sequence[Any]) -> list[Any]:
    """Leave one row for the pair, the first; return those that changed."""
    if pair[0] == pair[1]:
        decided = {"state": ConflictState.APPROVED.value, "decided_at": clock.now()}
        mine = among(session, conflicts.c.id, [row.id for row in rows])
        await session.execute(update(conflicts).where(mine).values(decided))
        return list(rows)
    kept, *others = rows
    await session.execute(delete(conflicts).where(among(session, conflicts.c.id, [row.id for row in others])))
    named = {"one_person_id": pair[0], "other_person_id": pair[1]}
    await session.execute(update(conflicts).where(conflicts.c.id == kept.id).values(named))
    return list(rows)


def _pair(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)


async def part(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Let the rows be about whom they were about before. What was decided since stays decided."""
    for written in rows:
        row = read_row(conflicts, written)
        pair = {name: row[name] for name in ("one_person_id", "other_person_id")}
        mine = conflicts.c.id == row["id"]
        taken = select(conflicts.c.id).where(
            *(conflicts.c[name] == end for name, end in pair.items()), conflicts.c.id != row["id"]
        )
        if (await session.execute(taken)).first() is not None:
            await session.execute(delete(conflicts).where(mine))
            continue
        there = (await session.execute(update(conflicts).where(mine).values(pair).returning(conflicts.c.id))).first()
        if there is None:
            await session.execute(insert(conflicts), [row])


async def keep_apart(session: AsyncSession, group_id: int, principal: str, merge: Any, note: str | None) -> None:
    """Write down that the two of a merge are two persons, so that no claim makes them one again."""
    now = clock.now()
    one, other = _pair(merge.survivor_person_id, merge.absorbed_person_id)
    decided = {"state": ConflictState.REJECTED.value, "decided_by": principal, "decided_at": now, "note": note}
    row = {
        "group_id": group_id,
        "one_person_id": one,
        "other_person_id": other,
        "kind": merge.kind or IdentityKind.EXTERNAL_ID.value,
        "issuer": merge.issuer or "",
        "evidence": merge.evidence,
        "times": 1,
        "last_at": now,
        "created_at": now,
        **decided,
    }
    statement = (
        dialect_insert(session, conflicts)
        .values(row)
        .on_conflict_do_update(index_elements=["group_id", "one_person_id", "other_person_id"], set_=decided)
    )
    await session.execute(statement)
