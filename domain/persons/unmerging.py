"""Unmerging: two persons who were made one come apart again, each with what was theirs."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.database import acting_as
from domain.errors import DomainError, NotFound
from domain.events import follows
from domain.fans.models import Fan
from domain.fans.sums import recompute_spend
from domain.persons import holdings, keeping_apart
from domain.persons.holdings import among
from domain.persons.models import Identity, MergeMove, Person, PersonAlias, PersonMerge, Side
from domain.persons.movers import MOVERS
from domain.persons.moving import FanPair, Undoing, pieces
from domain.reads import grouped
from domain.scope import system_scope
from domain.tables import table_of
from domain.timeline import changes
from domain.timeline.models import ChangeAct, ChangeKind

persons, identities, fans, aliases = table_of(Person), table_of(Identity), table_of(Fan), table_of(PersonAlias)
merges, merge_moves = table_of(PersonMerge), table_of(MergeMove)


class MergeUndone(DomainError):
    code = "MERGE_UNDONE"
    default = "This merge was undone already."


class LaterMerge(DomainError):
    code = "LATER_MERGE"
    default = "A later merge stands on this one; undo that first."


async def unmerge(
    session: AsyncSession, group_id: int, merge_id: int, *, later: Side, principal: str, note: str | None = None
) -> None:
    """Undo a merge. What came since, of whom nobody can tell, goes to the side `later`.

    Both persons are kept apart from then on. Raises NotFound, MergeUndone, and LaterMerge where the survivor was merged
    away, or one of their fans took in another, after it.
    """
    await holdings.undo_alone(session, group_id)
    await holdings.merge_alone(session, group_id)
    async with acting_as(session, system_scope("unmerge", group_id=group_id)):
        merge = await _locked(session, group_id, merge_id)
        notes = await _notes(session, merge_id)
        await _check(session, merge, notes)
        undoings = await _undoings(session, merge, notes, later)
        await _bring_back(session, merge)
        for mover in reversed(MOVERS):
            for undoing in undoings.get(mover.what, ()):
                await mover.restore(session, undoing)
        await _part(session, merge, notes, later)
        pairs = [undoing.pair for undoing in undoings.get("fans", ())]
        await _sum_up(session, pairs)
        await _finish(session, merge, later=later, principal=principal, note=note)
        await _tell(session, merge, pairs, principal)


async def _locked(session: AsyncSession, group_id: int, merge_id: int) -> Any:
    statement = select(merges).where(merges.c.id == merge_id, merges.c.group_id == group_id)
    merge = (await session.execute(statement.with_for_update())).one_or_none()
    if merge is None:
        raise NotFound("No such merge.")
    if merge.undone_at is not None:
        raise MergeUndone
    survivor = select(persons.c.id).where(persons.c.id == merge.survivor_person_id).with_for_update()
    if (await session.execute(survivor)).first() is None:
        raise LaterMerge
    return merge


async def _notes(session: AsyncSession, merge_id: int) -> list[Any]:
    statement = select(merge_moves).where(merge_moves.c.merge_id == merge_id).order_by(merge_moves.c.id)
    return list((await session.execute(statement)).all())


async def _check(session: AsyncSession, merge: Any, notes: Sequence[Any]) -> None:
    """Raise LaterMerge where a fan who would go back alone has taken in another since."""
    going = [fan for note in notes if note.what == "persons" for fan in note.before.get("fans", ())]
    if going and await _later(session, merge, going):
        raise LaterMerge
    into = sorted({note.into_fan_id for note in notes if note.into_fan_id is not None})
    there = (await session.execute(select(fans.c.id).where(among(session, fans.c.id, into)))).scalars()
    if set(into) - set(there):
        raise LaterMerge


async def _later(session: AsyncSession, merge: Any, into: Iterable[int]) -> list[Any]:
    """Return what later merges, which stand, moved into the fans."""
    statement = (
        select(merge_moves)
        .join(merges, merges.c.id == merge_moves.c.merge_id)
        .where(
            among(session, merge_moves.c.into_fan_id, sorted(set(into))),
            merge_moves.c.merge_id > merge.id,
            merges.c.undone_at.is_(None),
        )
    )
    return list((await session.execute(statement)).all())


async def _undoings(session: AsyncSession, merge: Any, notes: Sequence[Any], later: Side) -> dict[str, list[Undoing]]:
    """Return what each mover is to put back, for every pair of fans."""
    of_fans = [note for note in notes if note.gone_fan_id is not None]
    pairs = {
        FanPair(merge.id, merge.group_id, note.brand_id, note.into_fan_id, note.gone_fan_id): None for note in of_fans
    }
    written = grouped(of_fans, lambda note: (note.what, note.gone_fan_id))
    others = grouped(await _later(session, merge, [pair.into for pair in pairs]), lambda note: note.into_fan_id)
    found: dict[str, list[Undoing]] = {}
    for pair in pairs:
        for mover in MOVERS:
            moves = [note.before for note in written.get((mover.what, pair.gone), ())]
            also = [
                note.before
                for note in others.get(pair.into, ())
                if note.what in (mover.what, *_LOOKS_AT.get(mover.what, ()))
            ]
            found.setdefault(mover.what, []).append(Undoing(pair, merge.created_at, later, moves, also))
    return found


# daily counts tell by the events what came since
_LOOKS_AT = {"event_counts": ("events",)}


async def _bring_back(session: AsyncSession, merge: Any) -> None:
    row = {
        "id": merge.absorbed_person_id,
        "group_id": merge.group_id,
        "uid": merge.absorbed_uid,
        "created_at": merge.absorbed_created_at,
    }
    await session.execute(delete(aliases).where(aliases.c.old_id == merge.absorbed_person_id))
    await session.execute(insert(persons), [row])


async def _part(session: AsyncSession, merge: Any, notes: Sequence[Any], later: Side) -> None:
    """Give the person who comes back their identities, fans and old ids, and what came since where they get that."""
    own = [note.before for note in notes if note.what == "persons"]
    # they took the others in, so they were there before, whatever the clocks of two servers say
    into = {note.into_fan_id for note in notes}
    for table in (fans, identities, aliases):
        key = next(iter(table.primary_key.columns))
        ids = [one for before in own for one in before.get(table.name, ())]
        if later is Side.ABSORBED and table is not aliases:
            since = await _since(session, merge, table, key)
            ids += [one for one in since if table is not fans or one not in into]
        for piece in pieces(ids):
            mine = (table.c.person_id == merge.survivor_person_id, among(session, key, piece))
            await session.execute(update(table).where(*mine).values(person_id=merge.absorbed_person_id))
    await keeping_apart.part(session, [note.before["row"] for note in notes if note.what == "conflicts"])


async def _since(session: AsyncSession, merge: Any, table: Table, key: Any) -> list[int]:
    """Return what the survivor got since, but what later merges brought."""
    came = select(key).where(table.c.person_id == merge.survivor_person_id, table.c.created_at >= merge.created_at)
    standing = (merges.c.survivor_person_id == merge.survivor_person_id, merges.c.undone_at.is_(None))
    brought = (
        select(merge_moves.c.before)
        .join(merges, merges.c.id == merge_moves.c.merge_id)
        .where(*standing, merge_moves.c.what == "persons", merges.c.id != merge.id)
    )
    others = {one for before in (await session.execute(brought)).scalars() for one in before.get(table.name, ())}
    return sorted(set((await session.execute(came)).scalars()) - others)


async def _sum_up(session: AsyncSession, pairs: Sequence[FanPair]) -> None:
    both = [fan for pair in pairs for fan in (pair.into, pair.gone)]
    if both:
        await recompute_spend(session, both)
        await follows.recompute_known(session, both)


async def _finish(session: AsyncSession, merge: Any, *, later: Side, principal: str, note: str | None) -> None:
    undone = {"undone_at": clock.now(), "undone_by": principal, "undone_note": note, "later_went_to": later.value}
    await session.execute(update(merges).where(merges.c.id == merge.id).values(undone))
    await keeping_apart.keep_apart(session, merge.group_id, principal, merge, note)


async def _tell(session: AsyncSession, merge: Any, pairs: Sequence[FanPair], principal: str) -> None:
    detail = {"merge": merge.id, "absorbed": merge.absorbed_person_id}
    deed = audit.Deed(merge.group_id, None, "person:unmerge", f"Person:{merge.survivor_person_id}", detail)
    await audit.record(session, principal, [deed])
    await changes.record(
        session,
        [
            changes.Change(
                *(pair.group_id, pair.brand_id, fan, ChangeKind.IDENTITY, ChangeAct.UNMERGED, principal),
                detail={"merge": merge.id, "fan": other},
            )
            for pair in pairs
            for fan, other in ((pair.into, pair.gone), (pair.gone, pair.into))
        ],
    )
