"""What a plan does to the tables: new persons, attached and proved identities, conflicts, merges."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import case, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.database import dialect_insert
from domain.fans.models import Fan
from domain.persons import merging
from domain.persons.holdings import among
from domain.persons.models import ConflictState, Identity, IdentityConflict, MergeReason, Person
from domain.persons.naming import Batch
from domain.persons.rules import Conflict, Merge, Named, Plan
from domain.tables import table_of
from domain.timeline import changes
from domain.timeline.models import ChangeAct, ChangeKind
from domain.vault import GroupVault, normalise

persons, identities, conflicts = table_of(Person), table_of(Identity), table_of(IdentityConflict)
fans = table_of(Fan)


async def carry_out(
    session: AsyncSession, keys: GroupVault, plan: Plan, batch: Batch, *, principal: str, brand_id: int | None
) -> list[int | None] | None:
    """Do what the plan says and return the person of each claim; None where another was faster with an identity."""
    ids = await _make_persons(session, keys.group_id, plan.made)
    attached = [(named, ids.get(to, to)) for named, to in plan.attach]
    if not await _attach(session, keys, batch, attached, brand_id):
        return None
    known = [(named, to) for named, to in plan.attach if to not in ids]
    await _tell(session, known, principal=principal, brand_id=brand_id)
    await _prove(session, plan.prove)
    await _hand_over(session, keys.group_id, principal, [(i, was, ids.get(to, to)) for i, was, to in plan.hand_over])
    await _open_conflicts(session, keys.group_id, batch, plan.conflicts, ids)
    if plan.merges:
        wanted = [_wanted(merge, batch) for merge in plan.merges]
        await merging.merge_persons(session, keys.group_id, wanted, principal=principal)
    return [None if person is None else ids.get(person, person) for person in plan.people]


def _wanted(merge: Merge, batch: Batch) -> merging.Wanted:
    return merging.Wanted(
        merge.survivor,
        merge.absorbed,
        MergeReason.IDENTITIES,
        kind=merge.by.kind,
        issuer=merge.by.issuer,
        evidence=batch.evidence[merge.claim],
    )


async def _make_persons(session: AsyncSession, group_id: int, made: Sequence[int]) -> dict[int, int]:
    """Make the new persons and return their ids by the numbers the plan gave them."""
    if not made:
        return {}
    now = clock.now()
    rows = [{"group_id": group_id, "uid": uuid4(), "created_at": now} for _ in made]
    return dict(
        zip(made, (await session.execute(insert(persons).returning(persons.c.id), rows)).scalars(), strict=True)
    )


async def _attach(
    session: AsyncSession,
    keys: GroupVault,
    batch: Batch,
    attached: Sequence[tuple[Named, int]],
    brand_id: int | None,
) -> bool:
    """Write the identities nobody held; False where somebody holds one of them by now."""
    if not attached:
        return True
    now = clock.now()
    rows = [
        {
            "group_id": keys.group_id,
            "person_id": person_id,
            "kind": named.kind.value,
            "issuer": named.issuer,
            "value_hash": named.key,
            "value_cipher": keys.seal(_value(batch, named), "identities.value"),
            "verified_at": now if named.verified else None,
            "first_brand_id": brand_id,
            "created_at": now,
        }
        # in one order for all, so that two transactions wait for each other and do not deadlock
        for named, person_id in sorted(attached, key=lambda pair: pair[0].key)
    ]
    statement = dialect_insert(session, identities).on_conflict_do_nothing().returning(identities.c.id)
    return len((await session.execute(statement, rows)).all()) == len(rows)


async def _tell(
    session: AsyncSession, attached: Sequence[tuple[Named, int]], *, principal: str, brand_id: int | None
) -> None:
    """Write on the timeline of whom the brand knows already that another identity is theirs; no other brand is told."""
    if not attached or brand_id is None:
        return
    of = (fans.c.brand_id == brand_id, among(session, fans.c.person_id, sorted({person for _, person in attached})))
    columns = (fans.c.id, fans.c.group_id, fans.c.person_id)
    there = {row.person_id: row for row in await session.execute(select(*columns).where(*of))}
    told = [(named, there[person]) for named, person in attached if person in there]
    await changes.record(
        session,
        [
            changes.Change(
                *(fan.group_id, brand_id, fan.id, ChangeKind.IDENTITY, ChangeAct.ADDED, principal),
                detail={"identity": named.kind.value},
            )
            for named, fan in told
        ],
    )


def _value(batch: Batch, named: Named) -> str:
    ref = batch.values[named.key]
    return normalise(ref.kind, ref.value)


async def _prove(session: AsyncSession, proved: Sequence[int]) -> None:
    if proved:
        now = clock.now()
        mine = among(session, identities.c.id, proved)
        await session.execute(update(identities).where(mine).values(verified_at=now))


async def _hand_over(
    session: AsyncSession, group_id: int, principal: str, handed: Sequence[tuple[int, int, int]]
) -> None:
    """Give identities that somebody had merely typed to who proved them."""
    if not handed:
        return
    to = case({identity: person for identity, _, person in handed}, value=identities.c.id)
    mine = among(session, identities.c.id, [identity for identity, *_ in handed])
    await session.execute(update(identities).where(mine).values(person_id=to))
    deeds = [
        audit.Deed(
            group_id, None, "identity:move", f"Person:{now}", {"identity": identity, "before": was, "after": now}
        )
        for identity, was, now in handed
    ]
    await audit.record(session, principal, deeds)


async def _open_conflicts(
    session: AsyncSession, group_id: int, batch: Batch, found: Sequence[Conflict], ids: Mapping[int, int]
) -> None:
    """Put the conflicts on the list for staff; one that is there counts once more, unless it is decided."""
    if not found:
        return
    now = clock.now()
    rows: list[dict[str, Any]] = []
    for conflict in found:
        one, other = sorted(ids.get(person, person) for person in (conflict.one, conflict.other))
        rows.append(
            {
                "group_id": group_id,
                "one_person_id": one,
                "other_person_id": other,
                "state": ConflictState.OPEN.value,
                "kind": conflict.by.kind.value,
                "issuer": conflict.by.issuer,
                "evidence": batch.evidence[conflict.claim],
                "times": 1,
                "last_at": now,
                "created_at": now,
            }
        )
    statement = dialect_insert(session, conflicts).on_conflict_do_update(
        index_elements=["group_id", "one_person_id", "other_person_id"],
        set_={"times": conflicts.c.times + 1, "last_at": now},
        where=conflicts.c.state == ConflictState.OPEN.value,
    )
    await session.execute(statement, sorted(rows, key=lambda row: (row["one_person_id"], row["other_person_id"])))
