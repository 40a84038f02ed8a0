"""Merging: two persons of a group become one, with all that is theirs, and every step is written down to be undone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.database import acting_as
from domain.errors import DomainError
from domain.events import follows
from domain.fans.models import Fan
from domain.persons import keeping_apart
from domain.persons.holdings import among
from domain.persons.models import (
    Identity,
    IdentityKind,
    MergeMove,
    MergeReason,
    Person,
    PersonAlias,
    PersonMerge,
)
from domain.persons.movers import MOVERS
from domain.persons.moving import FanPair, Move, pieces
from domain.reads import grouped
from domain.scope import system_scope
from domain.tables import table_of
from domain.timeline import changes
from domain.timeline.models import ChangeAct, ChangeKind

persons, identities, fans, aliases = table_of(Person), table_of(Identity), table_of(Fan), table_of(PersonAlias)
merges, merge_moves = table_of(PersonMerge), table_of(MergeMove)


class PersonMerged(DomainError):
    code = "PERSON_MERGED"
    default = "One of the persons was merged away already."


@dataclass(frozen=True)
class Wanted:
    """Two persons to make one of, and why."""

    survivor: int
    absorbed: int
    reason: MergeReason
    kind: IdentityKind | None = None
    issuer: str | None = None
    evidence: str = ""
    note: str | None = None


async def merge_persons(
    session: AsyncSession, group_id: int, wanted: Sequence[Wanted], *, principal: str
) -> dict[int, int]:
    """Merge each absorbed person into its survivor and return the merges by absorbed person.

    It is done with the rights of the product, whoever caused it: a person has fans in brands the caller may not see.
    The persons must be locked. Raises PersonMerged where one is not there any more.
    """
    ids: dict[int, int] = {}
    async with acting_as(session, system_scope("merge", group_id=group_id)):
        for turn in _turns(wanted):
            ids |= await _merge(session, group_id, turn, principal)
    return ids


def _turns(wanted: Sequence[Wanted]) -> Iterable[list[Wanted]]:
    """Cut the merges into turns in which each survivor stands once."""
    waiting = list(wanted)
    while waiting:
        turn = {merge.survivor: merge for merge in reversed(waiting)}
        yield list(turn.values())
        waiting = [merge for merge in waiting if turn[merge.survivor] is not merge]


async def _merge(session: AsyncSession, group_id: int, wanted: Sequence[Wanted], principal: str) -> dict[int, int]:
    into = {merge.absorbed: merge.survivor for merge in wanted}
    people = await _locked(session, {*into, *into.values()})
    ids = await _record(session, group_id, wanted, people, principal)
    pairs, moved = await _pairs(session, into, ids)
    notes = [_note(group_id, ids[absorbed], "persons", {"fans": piece}) for absorbed, piece in moved]
    for mover in MOVERS if pairs else ():
        notes += [_fan_note(mover.what, move) for move in await mover.move(session, pairs)]
    await follows.recompute_known(session, [pair.into for pair in pairs])
    for table in (identities, aliases):
        notes += await _rename(session, table, group_id, into, ids)
    notes += [
        _note(group_id, ids[absorbed], "conflicts", before)
        for absorbed, before in await keeping_apart.follow(session, group_id, into)
    ]
    await session.execute(delete(persons).where(among(session, persons.c.id, list(into))))
    rows = [{"old_id": old, "group_id": group_id, "person_id": person} for old, person in into.items()]
    await session.execute(insert(aliases), rows)
    if notes:
        await session.execute(insert(merge_moves), notes)
    await _tell(session, group_id, wanted, ids, pairs, principal)
    return ids


async def _locked(session: AsyncSession, ids: Iterable[int]) -> dict[int, Any]:
    wanted = sorted(set(ids))
    statement = select(persons).where(among(session, persons.c.id, wanted)).order_by(persons.c.id).with_for_update()
    found = {row.id: row for row in await session.execute(statement)}
    if len(found) < len(wanted):
        raise PersonMerged
    return found


async def _record(
    session: AsyncSession, group_id: int, wanted: Sequence[Wanted], people: Mapping[int, Any], principal: str
) -> dict[int, int]:
    now = clock.now()
    rows = [
        {
            "group_id": group_id,
            "survivor_person_id": merge.survivor,
            "absorbed_person_id": merge.absorbed,
            "absorbed_uid": people[merge.absorbed].uid,
            "absorbed_created_at": people[merge.absorbed].created_at,
            "reason": merge.reason.value,
            "merged_by": principal,
            "kind": merge.kind and merge.kind.value,
            "issuer": merge.issuer,
            "evidence": merge.evidence,
            "note": merge.note,
            "created_at": now,
        }
        for merge in wanted
    ]
    statement = insert(merges).returning(merges.c.absorbed_person_id, merges.c.id)
    return {row.absorbed_person_id: row.id for row in await session.execute(statement, rows)}


async def _pairs(
    session: AsyncSession, into: Mapping[int, int], ids: Mapping[int, int]
) -> tuple[list[FanPair], list[tuple[int, list[int]]]]:
    """Return the fans who become one, brand by brand, after having given the survivors the fans that are alone."""
    everybody = among(session, fans.c.person_id, sorted({*into, *into.values()}))
    columns = (fans.c.id, fans.c.group_id, fans.c.brand_id, fans.c.person_id)
    rows = (await session.execute(select(*columns).where(everybody).order_by(fans.c.id).with_for_update())).all()
    held = {(row.person_id, row.brand_id): row for row in rows}
    pairs, alone = [], []
    for row in rows:
        other = held.get((into.get(row.person_id, 0), row.brand_id))
        if other is not None:
            pairs.append(FanPair(ids[row.person_id], row.group_id, row.brand_id, other.id, row.id))
        elif row.person_id in into:
            alone.append(row)
    if alone:
        to = case(into, value=fans.c.person_id)
        await session.execute(
            update(fans).where(among(session, fans.c.id, [row.id for row in alone])).values(person_id=to)
        )
    owners = grouped(alone, lambda row: row.person_id)
    return pairs, [(person, piece) for person, of in owners.items() for piece in pieces([row.id for row in of])]


async def _rename(
    session: AsyncSession, table: Table, group_id: int, into: Mapping[int, int], ids: Mapping[int, int]
) -> list[dict[str, Any]]:
    """Give the survivors what names an absorbed person, and note it by its keys."""
    own = next(iter(table.primary_key.columns))
    mine = among(session, table.c.person_id, list(into))
    rows = (await session.execute(select(own.label("key"), table.c.person_id).where(mine).order_by(own))).all()
    if rows:
        to = case(dict(into), value=table.c.person_id)
        await session.execute(update(table).where(mine).values(person_id=to))
    owners = grouped(rows, lambda row: row.person_id)
    return [
        _note(group_id, ids[person], "persons", {str(table.name): piece})
        for person, of in owners.items()
        for piece in pieces([row.key for row in of])
    ]


def _note(group_id: int, merge_id: int, what: str, before: dict[str, Any]) -> dict[str, Any]:
    ends = dict.fromkeys(("brand_id", "gone_fan_id", "into_fan_id"))
    return {"group_id": group_id, "merge_id": merge_id, "what": what, "before": before, **ends}


def _fan_note(what: str, move: Move) -> dict[str, Any]:
    ends = {"brand_id": move.pair.brand_id, "gone_fan_id": move.pair.gone, "into_fan_id": move.pair.into}
    return _note(move.pair.group_id, move.pair.merge_id, what, move.before) | ends


async def _tell(
    session: AsyncSession,
    group_id: int,
    wanted: Sequence[Wanted],
    ids: Mapping[int, int],
    pairs: Sequence[FanPair],
    principal: str,
) -> None:
    deeds = [
        audit.Deed(
            group_id,
            None,
            "person:merge",
            f"Person:{merge.survivor}",
            {"merge": ids[merge.absorbed], "absorbed": merge.absorbed, "reason": merge.reason.value},
        )
        for merge in wanted
    ]
    await audit.record(session, principal, deeds)
    await changes.record(
        session,
        [
            changes.Change(
                pair.group_id,
                pair.brand_id,
                pair.into,
                ChangeKind.IDENTITY,
                ChangeAct.MERGED,
                principal,
                detail={"merge": pair.merge_id, "fan": pair.gone},
            )
            for pair in pairs
        ],
    )
