"""What a fan carries is kept written in one row, whoever writes tags, in whatever order and however many at once."""

import asyncio
import os
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import create_async_engine

from domain import clock
from domain.fans.models import Fan
from domain.persons.models import Side
from domain.persons.unmerging import unmerge
from domain.tables import table_of
from domain.tags.models import FanTag, FanTagList, Tag
from domain.tenancy.models import Group
from tests.cast import EVERYTHING, at, scope_of
from tests.conftest import CLUSTER
from tests.domain.test_merging import merge, person_of
from tests.services import postgres
from tests.world import World

pytestmark = pytest.mark.postgresql

FAN, OTHER = "g1/b1/d1#1", "g1/b1/d1#2"
fans, fan_tags, lists, tags = table_of(Fan), table_of(FanTag), table_of(FanTagList), table_of(Tag)
groups = table_of(Group)


async def made(world: World, count: int) -> list[int]:
    """Make tags of a brand."""
    async with world.services.database.writing(EVERYTHING) as session:
        place = at(world, "g1/b1")
        rows = [place | {"name": f"t{number}", "kind": "FACT", "created_at": clock.now()} for number in range(count)]
        await session.execute(insert(tags), rows)
        found = await session.execute(select(tags.c.id).where(tags.c.name.in_([row["name"] for row in rows])))
        return sorted(found.scalars())


def tagged(world: World, weights: dict[tuple[str, int], float]) -> Any:
    """Return the statement that puts tags on fans."""
    place = at(world, "g1/b1") | {"source": "RULE", "first_at": clock.now(), "last_at": clock.now()}
    return insert(fan_tags).values(
        [place | {"fan_id": world.fans[fan], "tag_id": tag, "weight": w} for (fan, tag), w in weights.items()]
    )


async def check(world: World) -> dict[int, Any]:
    """Assert that every list says what its fan carries, and return the lists by their fans."""
    async with world.services.database.reading(EVERYTHING) as session:
        order = (fan_tags.c.fan_id, fan_tags.c.weight.desc(), fan_tags.c.tag_id)
        carried: dict[int, list[Any]] = {}
        for row in await session.execute(select(fan_tags).order_by(*order)):
            carried.setdefault(row.fan_id, []).append(row)
        kept = {row.fan_id: row for row in await session.execute(select(lists))}
    assert carried.keys() <= kept.keys()
    for fan_id, row in kept.items():
        mine = carried.get(fan_id, [])
        ids = [f"{'f' if place == 0 else ''}{one.tag_id}" for place, one in enumerate(mine)]
        assert row.length == len(mine)
        assert (row.tags or "") == "".join(f"\x01{one}\x01" for one in ids)
        if row.weighed is not None:
            assert row.weighed == "".join(f"\x01{key}\x01{one.weight}" for key, one in zip(ids, mine, strict=True))
        assert all((one.group_id, one.brand_id) == (row.group_id, row.brand_id) for one in mine)
    return kept


async def test_a_list_follows_what_is_put_on_weighed_anew_and_taken_off(world: World) -> None:
    one, two, three = await made(world, 3)
    mine = (fan_tags.c.fan_id == world.fans[FAN],)
    steps = (
        tagged(world, {(FAN, one): 0.5, (FAN, two): 0.75, (OTHER, three): 12.0}),
        update(fan_tags).where(*mine, fan_tags.c.tag_id == one).values(weight=3.25),
        update(fan_tags).where(*mine, fan_tags.c.tag_id == two).values(tag_id=three),
        update(fan_tags).where(*mine).values(last_at=clock.now()),
        delete(fan_tags).where(*mine, fan_tags.c.tag_id == one),
        delete(fan_tags).where(fan_tags.c.tag_id == -1),
        delete(fan_tags).where(*mine),
        tagged(world, {(FAN, two): 1.0}),
    )
    await check(world)
    lengths = []
    for step in steps:
        async with world.services.database.writing(EVERYTHING) as session:
            await session.execute(step)
        kept = await check(world)
        lengths.append(kept[world.fans[FAN]].length)
        assert all(row.weighed is not None or row.length == 0 for row in kept.values())

    assert lengths == [4, 4, 4, 4, 3, 3, 0, 1]


async def test_a_weight_that_json_writes_otherwise_is_not_in_a_text(world: World) -> None:
    (tag,) = await made(world, 1)
    for weight, there in ((1e-5, False), (1e15, False), (float("inf"), False), (-2.5, True), (0.0001, True)):
        async with world.services.database.writing(EVERYTHING) as session:
            await session.execute(delete(fan_tags).where(fan_tags.c.tag_id == tag))
            await session.execute(tagged(world, {(FAN, tag): weight}))
        kept = (await check(world))[world.fans[FAN]]
        assert (kept.weighed is not None) == there, weight
        assert f"\x01{tag}\x01" in kept.tags or f"\x01f{tag}\x01" in kept.tags


async def test_those_who_tag_one_fan_at_the_same_time_lose_nothing(world: World) -> None:
    """The second cannot see what the first put on before it is committed, and waits for it."""
    database, made_tags = world.services.database, await made(world, 6)
    async with database.writing(EVERYTHING) as session:
        # one of them has no list yet
        await session.execute(delete(fan_tags).where(fan_tags.c.fan_id == world.fans[OTHER]))
        await session.execute(delete(lists).where(lists.c.fan_id == world.fans[OTHER]))
    for fan in (FAN, OTHER):
        first, second = made_tags[:2]
        async with database.writing(EVERYTHING) as session:
            await session.execute(tagged(world, {(fan, first): 1.0}))

            async def put(fan: str, tag: int) -> None:
                async with database.writing(EVERYTHING) as other:
                    await other.execute(tagged(world, {(fan, tag): 2.0}))

            waiting = asyncio.create_task(put(fan, second))
            await asyncio.sleep(0.2)
            assert not waiting.done()
        await waiting
        kept = (await check(world))[world.fans[fan]]
        assert f"{first}\x01" in kept.tags
        assert f"{second}\x01" in kept.tags


async def test_the_last_tag_goes_while_another_comes(world: World) -> None:
    database, (old, new) = world.services.database, await made(world, 2)
    own = fan_tags.c.fan_id == world.fans[FAN]
    async with database.writing(EVERYTHING) as session:
        await session.execute(delete(fan_tags).where(own))
        await session.execute(tagged(world, {(FAN, old): 1.0}))

    async def put() -> None:
        async with database.writing(EVERYTHING) as session:
            await session.execute(tagged(world, {(FAN, new): 1.0}))

    async with database.writing(EVERYTHING) as session:
        await session.execute(delete(fan_tags).where(own))
        coming = asyncio.create_task(put())
        await asyncio.sleep(0.2)
        assert not coming.done()
    await coming

    assert (await check(world))[world.fans[FAN]].tags == f"\x01f{new}\x01"


async def test_one_puts_a_tag_on_while_another_takes_one_off(world: World) -> None:
    database, (old, new) = world.services.database, await made(world, 2)
    async with database.writing(EVERYTHING) as session:
        await session.execute(tagged(world, {(FAN, old): 1.0}))

    async def take() -> None:
        async with database.writing(EVERYTHING) as session:
            mine = (fan_tags.c.fan_id == world.fans[FAN], fan_tags.c.tag_id == old)
            await session.execute(delete(fan_tags).where(*mine))

    async with database.writing(EVERYTHING) as session:
        await session.execute(tagged(world, {(FAN, new): 1.0}))
        taking = asyncio.create_task(take())
        await asyncio.sleep(0.2)
        assert not taking.done()
    await taking

    assert (await check(world))[world.fans[FAN]].length == 3


async def test_many_at_once_end_as_one_after_the_other(world: World) -> None:
    database, all_tags = world.services.database, await made(world, 8)

    async def put(number: int, tag: int) -> None:
        async with database.writing(EVERYTHING) as session:
            await session.execute(tagged(world, {(fan, tag): float(number) for fan in (FAN, OTHER)}))
        async with database.writing(EVERYTHING) as session:
            await session.execute(update(fan_tags).where(fan_tags.c.tag_id == tag).values(weight=0.5 + number))
        if number % 2:
            async with database.writing(EVERYTHING) as session:
                await session.execute(delete(fan_tags).where(fan_tags.c.tag_id == tag))

    await asyncio.gather(*(put(number, tag) for number, tag in enumerate(all_tags)))

    kept = await check(world)
    assert {kept[world.fans[fan]].length for fan in (FAN, OTHER)} == {2 + 4}


async def test_lists_go_with_a_merge_and_come_back_with_its_undoing(world: World) -> None:
    one, two = await made(world, 2)
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(tagged(world, {(FAN, one): 1.0, (OTHER, one): 2.0, (OTHER, two): 0.5}))
    before = await check(world)

    merged = await merge(world, await person_of(world, FAN), await person_of(world, OTHER))
    together = await check(world)
    async with world.services.database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merged, later=Side.SURVIVOR, principal="staff:1")

    assert world.fans[OTHER] not in together
    assert together[world.fans[FAN]].length == 4
    assert await check(world) == before


async def test_lists_go_where_all_tags_go_at_once(world: World) -> None:
    owner = postgres.Cluster(os.environ[CLUSTER]).owner_url(str(world.services.database.url.database))
    engine = create_async_engine(owner)
    assert await check(world)
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE fan_tags"))
    await engine.dispose()

    assert await check(world) == {}


async def test_a_version_of_a_groups_tags_grows_with_every_change_of_one(world: World) -> None:
    async def version(group: str) -> int:
        async with world.services.database.reading(EVERYTHING) as session:
            own = select(groups.c.tags_version).where(groups.c.id == world.nodes[group])
            return int((await session.execute(own)).scalar_one())

    seen, foreign = [await version("g1")], await version("g2")
    (tag,) = await made(world, 1)
    seen.append(await version("g1"))
    # by staff of the brand too, who may not change its group
    async with world.services.database.writing(await scope_of(world, "B1")) as session:
        await session.execute(update(tags).where(tags.c.id == tag).values(name="another"))
    seen.append(await version("g1"))
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(delete(tags).where(tags.c.id == tag))
    seen.append(await version("g1"))

    assert seen == sorted(set(seen))
    assert await version("g2") == foreign
