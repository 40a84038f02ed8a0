"""Two persons become one with all that is theirs, and come apart again as if they had never been."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from domain import clock
from domain.attributes.models import Attribute, FanAttribute
from domain.consents.models import Consent, ConsentRecord
from domain.events import follows
from domain.events.models import EventCount, FanActivity, FanEvent, Follow
from domain.fans.models import Fan
from domain.orders.models import Order
from domain.persons.claims import Claim, IdentityRef
from domain.persons.merging import PersonMerged, Wanted, merge_persons
from domain.persons.models import IdentityKind, MergeReason, PersonMerge, Side
from domain.persons.resolution import resolve
from domain.persons.unmerging import LaterMerge, MergeUndone, unmerge
from domain.referrals.models import Referral
from domain.shares.models import Cascade, Share
from domain.tables import metadata, table_of
from domain.tags.models import FanTag, Tag
from tests.cast import EVERYTHING, add, at
from tests.world import START, World, person

fans, orders, fan_tags, merges = table_of(Fan), table_of(Order), table_of(FanTag), table_of(PersonMerge)
# what a merge and its undoing leave behind on purpose
LASTING = {"audit_log", "fan_changes", "identity_conflicts", "merge_moves", "outbox", "person_merges"}


async def rows(world: World, table: Any, *conditions: Any) -> list[Any]:
    async with world.services.database.reading(EVERYTHING) as session:
        return list((await session.execute(select(table).where(*conditions))).all())


async def person_of(world: World, fan: str) -> int:
    (row,) = await rows(world, fans, fans.c.id == world.fans[fan])
    return int(row.person_id)


async def merge(world: World, into: int, gone: int) -> int:
    async with world.services.database.writing(EVERYTHING) as session:
        wanted = Wanted(into, gone, MergeReason.MANUAL)
        return (await merge_persons(session, world.nodes["g1"], [wanted], principal="staff:1"))[gone]


async def undo(world: World, merge_id: int, later: Side = Side.SURVIVOR) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merge_id, later=later, principal="staff:1")


async def put(world: World, model: Any, *values: dict[str, Any], brand: str = "g1/b1") -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        tenant = at(world, brand)
        await session.execute(insert(table_of(model)), [tenant | value for value in values])


async def fill(world: World, one: str, other: str) -> None:
    """Give two fans of one brand something of everything."""
    a, b = world.fans[one], world.fans[other]
    tag = table_of(Tag)
    async with world.services.database.writing(EVERYTHING) as session:
        row = {**at(world, "g1/b1"), "name": "only one carries it"}
        only = (await session.execute(insert(tag).values(row).returning(tag.c.id))).scalar_one()
    await put(world, FanTag, {"fan_id": b, "tag_id": only, "count": 3, "weight": 2.5})
    stamp = {"received_at": START}
    for fan, name, day in ((a, "scan", 1), (b, "scan", 1), (b, "like", 2)):
        when = START + timedelta(days=day)
        await put(world, FanEvent, {"fan_id": fan, "name": name, "occurred_at": when, **stamp})
        await put(world, EventCount, {"fan_id": fan, "name": name, "day": when.date(), "count": 1})
        await put(world, Follow, {"fan_id": fan, "kind": "FOLLOW", "at": when})
    for fan, day in ((a, 1), (b, 2)):
        await put(world, FanActivity, {"fan_id": fan, "last_active_at": START + timedelta(days=day)})
    for fan, purpose, granted, day in ((a, "MARKETING", True, 1), (b, "MARKETING", False, 2)):
        said = {
            "fan_id": fan,
            "purpose": purpose,
            "granted": granted,
            "policy": "v1",
            "at": START + timedelta(days=day),
        }
        await put(world, Consent, said)
        await put(world, ConsentRecord, {**said, "principal": "test"})

    async with world.services.database.writing(EVERYTHING) as session:
        await follows.recompute_known(session, [a, b])


async def test_the_survivor_has_the_union_and_the_old_row_is_gone(world: World) -> None:
    one, other = "g1/b1/d1#1", "g1/b1/d1#2"
    await fill(world, one, other)
    a, b = world.fans[one], world.fans[other]
    before = {row.id: row for row in await rows(world, fans)}

    await merge(world, await person_of(world, one), await person_of(world, other))

    assert [row.id for row in await rows(world, fans, fans.c.id.in_([a, b]))] == [a]
    (after,) = await rows(world, fans, fans.c.id == a)
    assert after.spend == before[a].spend + before[b].spend
    assert after.order_count == 2
    assert after.version == before[a].version + 1
    carried = {row.tag_id: (row.count, row.weight) for row in await rows(world, fan_tags, fan_tags.c.fan_id == a)}
    assert carried == {
        world.tags["g1"]: (2, 2.0),
        world.tags["g1/b1"]: (2, 2.0),
        max(carried): (3, 2.5),
    }
    counts, consents = table_of(EventCount), table_of(Consent)
    found = {(row.name, row.day.day): row.count for row in await rows(world, counts, counts.c.fan_id == a)}
    assert found == {("scan", 2): 2, ("like", 3): 1}
    assert [row.granted for row in await rows(world, consents, consents.c.fan_id == a)] == [False]
    for table in metadata.sorted_tables:
        for name in ("fan_id", "from_fan_id", "to_fan_id", "seed_fan_id", "referrer_fan_id", "invitee_fan_id"):
            if name in table.c:
                assert not await rows(world, table, table.c[name] == b), (table.name, name)


async def test_cascades_stay_trees_and_referrals_a_forest(world: World) -> None:
    """The world's fans hand on a content in a chain, and bring each other to the brand in one."""
    names = [f"g1/b1/d1#{n}" for n in (1, 2, 3, 4)]
    ids = [world.fans[name] for name in names]
    shares, cascades, referrals = table_of(Share), table_of(Cascade), table_of(Referral)
    cascade = world.cascades["g1/b1/d1"]

    await merge(world, await person_of(world, names[0]), await person_of(world, names[2]))

    found = {(row.from_fan_id, row.to_fan_id) for row in await rows(world, shares, shares.c.cascade_id == cascade)}
    assert found == {(ids[0], ids[1]), (ids[0], ids[3])}
    assert [row.size for row in await rows(world, cascades, cascades.c.id == cascade)] == [3]
    brought = {row.invitee_fan_id: row.referrer_fan_id for row in await rows(world, referrals)}
    assert {fan: brought.get(fan) for fan in (ids[0], ids[1], ids[3])} == {ids[0]: None, ids[1]: ids[0], ids[3]: ids[0]}


@pytest.mark.parametrize("pair", [(1, 2), (2, 1), (1, 3), (3, 1), (2, 4), (4, 2)])
@pytest.mark.parametrize("later", list(Side))
async def test_undone_at_once_it_never_was(world: World, pair: tuple[int, int], later: Side) -> None:
    one, other = (f"g1/b1/d1#{n}" for n in pair)
    await fill(world, one, other)
    into, gone = await person_of(world, one), await person_of(world, other)
    before = await essence(world)

    await undo(world, await merge(world, into, gone), later)

    assert await essence(world) == before


@pytest.mark.parametrize("pair", [(1, 2), (2, 1), (1, 3), (3, 1), (2, 4), (4, 2)])
@pytest.mark.parametrize("later", list(Side))
async def test_shares_that_look_later_than_they_are_come_apart_too(
    world: World, pair: tuple[int, int], later: Side
) -> None:
    """The clock of who recorded them was ahead: by their stamps they came after the merge."""
    one, other = (f"g1/b1/d1#{n}" for n in pair)
    shares = table_of(Share)
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(shares.update().values(created_at=clock.now() + timedelta(hours=1)))
    before = await essence(world)

    await undo(world, await merge(world, await person_of(world, one), await person_of(world, other)), later)

    found = [row for row in await rows(world, shares) if row.cascade_id == world.cascades["g1/b1/d1"]]
    assert len({row.to_fan_id for row in found}) == len(found) == 3
    if later is Side.SURVIVOR:
        assert await essence(world) == before


@pytest.mark.parametrize("later", list(Side))
async def test_attributes_changed_since_are_so_for_the_side_that_is_named(world: World, later: Side) -> None:
    a, b = (world.fans[f"g1/b1/d1#{n}"] for n in (1, 2))
    both = world.attributes["g1/b1"]
    place = {**at(world, "g1/b1"), "type": "NUMBER"}
    names = ("mine", "theirs", "emptied", "new", "same")
    ids = {name: await add(world, Attribute, **place, key=name, name=name) for name in names}
    ids["both"] = both
    start = {(a, "mine"): 1, (b, "theirs"): 2, (b, "emptied"): 3, (b, "same"): 4}
    await give_values(world, {(fan, ids[name]): number for (fan, name), number in start.items()})
    had = {(fan, "both"): (await value_of(world, fan, both)) for fan in (a, b)}
    done = await merge(world, await person_of(world, "g1/b1/d1#1"), await person_of(world, "g1/b1/d1#2"))

    since = {"mine": 11, "theirs": 12, "emptied": None, "new": 14, "both": 15}
    await give_values(world, {(a, ids[name]): number for name, number in since.items()})
    await undo(world, done, later)

    changed = {name: number for name, number in since.items() if number is not None}
    heir, other = (a, b) if later is Side.SURVIVOR else (b, a)
    before = {**start, **had}
    expected = {(heir, name): number for name, number in changed.items()}
    expected |= {(fan, name): number for (fan, name), number in before.items() if fan == other or name == "same"}
    if later is Side.SURVIVOR:
        # who comes back has what they had
        assert expected[b, "emptied"] == 3
    table = {number: name for name, number in ids.items()}
    values = table_of(FanAttribute)
    found = await rows(world, values, values.c.fan_id.in_([a, b]))
    assert {(row.fan_id, table[row.attribute_id]): row.number for row in found} == expected


async def give_values(world: World, wanted: dict[tuple[int, int], int | None]) -> None:
    """Make numbers the values of fans' attributes, or take them away."""
    values = table_of(FanAttribute)
    async with world.services.database.writing(EVERYTHING) as session:
        for (fan, attribute), number in wanted.items():
            mine = (values.c.fan_id == fan, values.c.attribute_id == attribute)
            await session.execute(values.delete().where(*mine))
            row = {**at(world, "g1/b1"), "fan_id": fan, "attribute_id": attribute, "number": number}
            if number is not None:
                await session.execute(insert(values), [row])


async def value_of(world: World, fan: int, attribute: int) -> int:
    values = table_of(FanAttribute)
    (row,) = await rows(world, values, values.c.fan_id == fan, values.c.attribute_id == attribute)
    return int(row.number)


async def essence(world: World) -> dict[str, Any]:
    """Return every row of the tables a merge touches, without stamps and versions."""
    found: dict[str, Any] = {}
    async with world.services.database.reading(EVERYTHING) as session:
        for table in metadata.sorted_tables:
            if table.name not in LASTING:
                columns = [c for c in table.c if c.name not in ("updated_at", "version")]
                found[table.name] = sorted(map(repr, await session.execute(select(*columns))))
    return found


async def test_what_came_since_goes_to_the_side_that_is_named(world: World) -> None:
    one, other = "g1/b1/d1#1", "g1/b1/d1#2"
    a, b, tag = world.fans[one], world.fans[other], world.tags["g1/b1"]
    events, counts = table_of(FanEvent), table_of(EventCount)
    for later, heir in ((Side.SURVIVOR, a), (Side.ABSORBED, b)):
        done = await merge(world, await person_of(world, one), await person_of(world, other))
        now = clock.now() + timedelta(seconds=1)
        await put(world, FanEvent, {"fan_id": a, "name": later, "occurred_at": now, "received_at": now})
        day = (now + timedelta(hours=8)).date()
        await put(world, EventCount, {"fan_id": a, "name": later, "day": day, "count": 1})
        await put(world, Order, order_of(a, later, now))
        # a follow may come in long after it was
        late = {"fan_id": a, "kind": "FOLLOW", "at": START, "scene": later, "received_at": now}
        await put(world, Follow, late)
        async with world.services.database.writing(EVERYTHING) as session:
            mine = (fan_tags.c.fan_id == a, fan_tags.c.tag_id == tag)
            await session.execute(fan_tags.update().where(*mine).values(count=fan_tags.c.count + 1))
        new = IdentityRef(IdentityKind.DEVICE, f"phone of {later}")
        await resolved(world, Claim((person(one), new)))
        tagged = {row.fan_id: row.count for row in await rows(world, fan_tags, fan_tags.c.tag_id == tag)}

        await undo(world, done, later)

        scene = table_of(Follow).c.scene
        assert [row.fan_id for row in await rows(world, table_of(Follow), scene == later)] == [heir]
        for table in (events, counts):
            assert [row.fan_id for row in await rows(world, table, table.c.name == later)] == [heir]
        assert [row.fan_id for row in await rows(world, orders, orders.c.number == later)] == [heir]
        (found,) = await resolved(world, Claim((new,)))
        assert found == await person_of(world, one if heir == a else other)
        after = {row.fan_id: row.count for row in await rows(world, fan_tags, fan_tags.c.tag_id == tag)}
        assert after[a] + after[b] == tagged[a]
        assert after[b] == (2 if heir == b else 1)


def order_of(fan: int, number: str, now: datetime) -> dict[str, Any]:
    money = {"amount": 100, "currency": "CNY", "item_count": 1}
    stamps = {"placed_at": now, "created_at": now, "updated_at": now, "version": 1}
    return {"fan_id": fan, "source": "x", "number": number, "state": "PAID", **money, **stamps}


async def resolved(world: World, *claims: Claim) -> list[int | None]:
    async with world.services.database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes["g1"])
        return await resolve(session, keys, claims, principal="test")


async def test_a_fan_whose_clock_was_ahead_is_still_the_one_who_took_the_other_in(world: World) -> None:
    one, other = await person_of(world, "g1/b1/d1#1"), await person_of(world, "g1/b1/d1#2")
    with clock.at(START):
        merged = await merge(world, one, other)

    await undo(world, merged, Side.ABSORBED)

    assert [await person_of(world, f"g1/b1/d1#{number}") for number in (1, 2)] == [one, other]


async def test_persons_who_were_parted_are_not_made_one_again(world: World) -> None:
    union = IdentityRef(IdentityKind.UNIONID, "u", "open")
    openids = [IdentityRef(IdentityKind.OPENID, name, "wx") for name in ("a", "b")]
    (first,) = await resolved(world, Claim((openids[0], union)))
    (second,) = await resolved(world, Claim((openids[1],)))
    assert await resolved(world, Claim((openids[1], union))) == [first]
    (done,) = await rows(world, merges)

    await undo(world, done.id)

    assert await resolved(world, Claim((openids[1], union)), Claim((openids[1],))) == [first, second]
    assert len(await rows(world, merges)) == 1


async def test_old_ids_lead_on_through_merges_of_merged(world: World) -> None:
    aliases = metadata.tables["fan_aliases"]
    names = [f"g1/b1/d1#{n}" for n in (1, 2, 3)]
    people = [await person_of(world, name) for name in names]
    ids = [world.fans[name] for name in names]

    first = await merge(world, people[1], people[2])
    second = await merge(world, people[0], people[1])

    found = {row.old_id: row.fan_id for row in await rows(world, aliases)}
    assert found == {ids[1]: ids[0], ids[2]: ids[0]}
    with pytest.raises(LaterMerge):
        await undo(world, first)
    with pytest.raises(PersonMerged):
        await merge(world, people[1], people[0])

    await undo(world, second)
    assert {row.old_id: row.fan_id for row in await rows(world, aliases)} == {ids[2]: ids[1]}
    await undo(world, first)
    assert await rows(world, aliases) == []
    with pytest.raises(MergeUndone):
        await undo(world, first)


async def test_a_later_merge_into_the_same_fan_stays_when_an_earlier_is_undone(world: World) -> None:
    names = [f"g1/b1/d1#{n}" for n in (1, 2, 3)]
    people = [await person_of(world, name) for name in names]
    ids = [world.fans[name] for name in names]
    first = await merge(world, people[0], people[1])
    await merge(world, people[0], people[2])

    await undo(world, first, Side.ABSORBED)

    spent = {row.id: row.order_count for row in await rows(world, fans, fans.c.id.in_(ids))}
    assert spent == {ids[0]: 2, ids[1]: 1}
    tag = world.tags["g1"]
    carried = {row.fan_id: row.count for row in await rows(world, fan_tags, fan_tags.c.tag_id == tag)}
    assert (carried[ids[0]], carried[ids[1]]) == (2, 1)


async def test_an_id_is_never_given_twice(world: World) -> None:
    """SQLite would give the highest id again once its row has left."""
    newest = max(world.fans, key=lambda name: world.fans[name])
    place = newest.partition("#")[0]
    assert place == "g2/b1/d1"
    async with world.services.database.writing(EVERYTHING) as session:
        wanted = Wanted(await person_of(world, "g2/b1/d1#1"), await person_of(world, newest), MergeReason.MANUAL)
        await merge_persons(session, world.nodes["g2"], [wanted], principal="staff:1")
        made = {**at(world, place), "person_id": wanted.survivor, "currency": "CNY"}
    made["brand_id"], made["group_id"] = world.nodes["g2/b1"], world.nodes["g2"]
    async with world.services.database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes["g2"])
        (new,) = await resolve(session, keys, [Claim((IdentityRef(IdentityKind.DEVICE, "d"),))], principal="test")
        row = {**made, "person_id": new}
        fan_id = (await session.execute(insert(fans).values(row).returning(fans.c.id))).scalar_one()
    assert fan_id > world.fans[newest]
