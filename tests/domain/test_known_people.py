"""Events of people who are known as they are take the short way, and end as on the long one."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select, update

from domain.errors import Conflict
from domain.events.ingest import EventOutcome, EventResult, Sender, finding, track
from domain.events.models import EventCount, FanEvent
from domain.events.rules import EventIdentity, EventInput
from domain.fans.models import Fan
from domain.persons.claims import Claim, IdentityRef
from domain.persons.merging import Wanted, merge_persons
from domain.persons.models import Identity, IdentityKind, MergeReason, Side
from domain.persons.resolution import Reshapes, resolve
from domain.persons.review import block
from domain.persons.standing import people_as_known
from domain.persons.unmerging import unmerge
from domain.tables import table_of
from domain.tenancy.models import Brand
from tests.cast import EVERYTHING
from tests.statements import statements_of
from tests.world import World

events, fans, counts, identities = table_of(FanEvent), table_of(Fan), table_of(EventCount), table_of(Identity)
OPENID, UNIONID, PHONE = IdentityKind.OPENID, IdentityKind.UNIONID, IdentityKind.PHONE


def openid(name: str) -> EventIdentity:
    return EventIdentity(OPENID, name, "wx1")


def unionid(name: str) -> EventIdentity:
    return EventIdentity(UNIONID, name, "open")


def seen(*who: EventIdentity, event_id: str | None = None) -> EventInput:
    return EventInput("h5_view", event_id=event_id, identities=list(who))


async def send(world: World, *batch: EventInput, path: str = "g1/b1") -> list[EventResult]:
    brands = table_of(Brand)
    async with world.services.database.writing(EVERYTHING) as session:
        brand: Any = (await session.execute(select(brands).where(brands.c.id == world.nodes[path]))).one()
        return await track(session, world.services.vault, brand, batch, Sender("api_key:1"))


async def fans_of(world: World, results: Sequence[EventResult]) -> list[int]:
    """Return whose the events are, in their order."""
    ids = [result.id for result in results]
    async with world.services.database.reading(EVERYTHING) as session:
        found = await session.execute(select(events.c.id, events.c.fan_id).where(events.c.id.in_(ids)))
        by_id = {row.id: row.fan_id for row in found}
    return [by_id[id_] for id_ in ids if id_ is not None]


async def known(world: World, *claims: Sequence[EventIdentity], path: str = "g1/b1") -> list[int | None]:
    async with world.services.database.reading(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes["g1"])
        return await people_as_known(session, keys, world.nodes[path], claims)


async def merge(world: World, into: int, gone: int) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        wanted = Wanted(into, gone, MergeReason.MANUAL)
        await merge_persons(session, world.nodes["g1"], [wanted], principal="staff:1")


async def test_who_is_known_is_neither_planned_nor_locked_again(world: World) -> None:
    batch = [seen(openid(f"o{n}"), unionid(f"u{n}")) for n in range(20)]
    first = await send(world, *batch)

    with statements_of(world.services.database) as asked:
        again = await send(world, *batch)

    assert await fans_of(world, again) == await fans_of(world, first)
    assert not [text for text in asked if "SAVEPOINT" in text]
    assert len(asked) <= 13, asked


async def test_who_is_new_comes_beside_who_is_known(world: World) -> None:
    (before,) = await fans_of(world, await send(world, seen(openid("o1"), unionid("u1"))))

    results = await send(
        world,
        seen(openid("o1"), unionid("u1")),
        seen(openid("o2"), unionid("u2")),
        seen(openid("o3"), unionid("u1")),
        seen(openid("0")),
        seen(openid("o3")),
    )

    assert results[3].outcome is EventOutcome.REJECTED
    stored = await fans_of(world, [result for result in results if result.id is not None])
    assert [stored[0], stored[2], stored[3]] == [before] * 3 != [stored[1]] * 3


async def test_a_claim_that_merges_has_its_say_over_the_whole_batch(world: World) -> None:
    one, other = await fans_of(world, await send(world, seen(unionid("u1")), seen(openid("o2"))))

    results = await send(world, seen(openid("o2")), seen(unionid("u1"), openid("o2")), seen(unionid("u1")))

    assert one != other
    assert await fans_of(world, results) == [one] * 3
    async with world.services.database.reading(EVERYTHING) as session:
        assert set((await session.execute(select(events.c.fan_id))).scalars()) == {one}
        assert sum((await session.execute(select(counts.c.count).where(counts.c.fan_id == one))).scalars()) == 5


async def test_to_resolve_without_merging_does_nothing_where_it_would_merge(world: World) -> None:
    await send(world, seen(unionid("u1")), seen(openid("o2")))
    both = Claim((IdentityRef(UNIONID, "u1", "open"), IdentityRef(OPENID, "o2", "wx1")))

    async with world.services.database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes["g1"])
        with pytest.raises(Reshapes):
            await resolve(session, keys, [both], principal="test", merging=False)

    one, other = await known(world, [unionid("u1")], [openid("o2")])
    assert one != other


async def test_only_what_says_nothing_new_is_known(world: World) -> None:
    phone, proved = (EventIdentity(PHONE, "13912345678", verified=verified) for verified in (False, True))
    await send(world, seen(openid("o1"), unionid("u1"), phone), seen(unionid("u2")))

    said = ([openid("o1")], [unionid("u1"), phone], [openid("o1"), openid("0")])
    new = ([proved], [openid("o1"), openid("o9")], [openid("o1"), unionid("u2")], [openid("0")])

    of_it = await known(world, *said)
    assert of_it == [of_it[0]] * 3
    assert of_it[0] is not None
    assert await known(world, *new) == [None] * 4
    await send(world, seen(unionid("u1"), proved))
    assert await known(world, [proved]) == [of_it[0]]


async def test_a_brand_that_was_not_told_is_told_first(world: World) -> None:
    who = [openid("o1"), unionid("u1")]
    await send(world, seen(*who))
    assert await known(world, who, path="g1/b2") == [None]

    await send(world, seen(*who), path="g1/b2")

    assert await known(world, who, path="g1/b2") == await known(world, who) != [None]


async def test_what_the_group_blocks_leads_to_nobody_any_more(world: World) -> None:
    await send(world, seen(openid("o1"), unionid("u1")))
    async with world.services.database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes["g1"])
        await block(session, keys, IdentityRef(OPENID, "o1", "wx1"), reason="shared", principal="staff:1")

    (alone, beside) = await send(world, seen(openid("o1")), seen(openid("o1"), unionid("u1")))

    assert alone.outcome is EventOutcome.REJECTED
    assert beside.outcome is EventOutcome.STORED


async def test_who_was_merged_away_after_they_were_read_is_who_they_are_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await fans_of(world, await send(world, seen(unionid("u1")), seen(unionid("u2"))))
    stale = await known(world, [unionid("u2")], [unionid("u1")])
    await merge(world, into=stale[1] or 0, gone=stale[0] or 0)

    async def read_before(*_: object) -> list[int | None]:
        return stale

    monkeypatch.setattr(finding, "people_as_known", read_before)
    results = await send(world, seen(unionid("u2")), seen(unionid("u1")))

    assert one != other
    assert await fans_of(world, results) == [one, one]


async def test_who_lost_their_fan_after_they_were_read_gets_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = await fans_of(world, await send(world, seen(unionid("u1"))))
    stale = await known(world, [unionid("u1")])
    (other,) = await known(world, [EventIdentity(IdentityKind.EXTERNAL_ID, "g1/b2/d1#1", "test")], path="g1/b2")
    async with world.services.database.writing(EVERYTHING) as session:
        # an erasure leaves nothing under the person; here the fan is another's
        await session.execute(update(fans).where(fans.c.id == before).values(person_id=other))

    async def read_before(*_: object) -> list[int | None]:
        return stale

    monkeypatch.setattr(finding, "people_as_known", read_before)
    (now,) = await fans_of(world, await send(world, seen(unionid("u1"))))

    assert now != before


async def test_events_and_merges_at_once_lose_nothing(world: World) -> None:
    names = [f"u{n}" for n in range(8)]
    await send(world, *(seen(unionid(name)) for name in names), *(seen(openid(name)) for name in names))

    async def patiently(*batch: EventInput) -> None:
        for attempt in range(20):
            try:
                await send(world, *batch)
            except Conflict:
                await asyncio.sleep(0.02 * attempt)
            else:
                return
        raise AssertionError("never stored")

    watching = (
        patiently(
            *(seen(who(name), event_id=f"{turn}/{name}/{who.__name__}") for name in names for who in (openid, unionid))
        )
        for turn in range(6)
    )
    joining = (patiently(seen(openid(name), unionid(name), event_id=name)) for name in names)
    await asyncio.gather(*watching, *joining)

    one_by_one = await known(world, *([openid(name)] for name in names))
    assert await known(world, *([unionid(name)] for name in names)) == one_by_one
    async with world.services.database.reading(EVERYTHING) as session:
        total = (await session.execute(select(events.c.fan_id))).scalars().all()
        there = set((await session.execute(select(fans.c.id))).scalars())
        counted = sum((await session.execute(select(counts.c.count))).scalars())
    assert len(total) == counted == 16 + 6 * 16 + 8
    assert set(total) <= there
    assert len(set(total)) == 8


@pytest.mark.parametrize("later", list(Side))
async def test_an_event_that_waits_for_an_unmerge_is_of_who_came_back(world: World, later: Side) -> None:
    database = world.services.database
    if database.dialect != "postgresql":
        pytest.skip("SQLite has one writer: nobody waits with what they read before")
    (stays, goes), merged = await two_made_one(world)

    async with database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merged, later=later, principal="staff:1")
        sending = asyncio.create_task(send(world, seen(unionid("u2")), seen(unionid("u1"))))
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done, "it waits before it reads whose u2 is"

    assert await fans_of(world, await sending) == [goes, stays]


@pytest.mark.parametrize("later", list(Side))
async def test_an_unmerge_waits_for_the_events_that_read_whose_they_are(world: World, later: Side) -> None:
    database = world.services.database
    if database.dialect != "postgresql":
        pytest.skip("SQLite has one writer: an unmerge waits for whoever writes")
    (stays, goes), merged = await two_made_one(world)

    async def undo() -> None:
        async with database.writing(EVERYTHING) as session:
            await unmerge(session, world.nodes["g1"], merged, later=later, principal="staff:1")

    async with database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes["g1"])
        await people_as_known(session, keys, world.nodes["g1/b1"], [[unionid("u2")]])
        undoing = asyncio.create_task(undo())
        done, _ = await asyncio.wait([undoing], timeout=0.5)
        assert not done
    await undoing

    results = await send(world, seen(unionid("u2")), seen(unionid("u1")))
    assert await fans_of(world, results) == [goes, stays]


async def two_made_one(world: World) -> tuple[tuple[int, int], int]:
    """Return the fan who stays and the one who goes, and the merge that made them one."""
    stays, goes = await fans_of(world, await send(world, seen(unionid("u1")), seen(unionid("u2"))))
    async with world.services.database.writing(EVERYTHING) as session:
        rows = (await session.execute(select(fans.c.id, fans.c.person_id).where(fans.c.id.in_((stays, goes))))).all()
        person = {row.id: row.person_id for row in rows}
        wanted = Wanted(person[stays], person[goes], MergeReason.MANUAL)
        made = await merge_persons(session, world.nodes["g1"], [wanted], principal="staff:1")
    return (stays, goes), made[wanted.absorbed]
