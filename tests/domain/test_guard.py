"""The write guard (T15): a mutant that forgets scopes is held, with row-level security behind it and without."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import bindparam, delete, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import dialect_insert
from domain.errors import ScopeViolation
from domain.fans.models import Fan
from domain.orders.models import Order
from domain.persons.models import Person
from domain.scope import system_scope
from domain.tables import table_of
from domain.tags.models import FanTag, Tag
from tests.cast import at, scope_of, snapshot
from tests.world import World

fans, orders, persons = table_of(Fan), table_of(Order), table_of(Person)
tags, fan_tags = table_of(Tag), table_of(FanTag)
Mutant = Callable[[AsyncSession, World], Awaitable[Any]]


def foreign_fan(world: World, place: str = "g1/b2/d1") -> dict[str, Any]:
    """Return a fan's row at a place, of a person who is no fan there yet."""
    row = at(world, place)
    return {**row, "person_id": 1, "currency": "CNY"}


async def add_object(session: AsyncSession, world: World) -> None:
    session.add(Fan(**foreign_fan(world)))
    await session.flush()


async def move_object(session: AsyncSession, world: World) -> None:
    fan = await session.get_one(Fan, world.fans["g1/b1/d1#1"])
    fan.brand_id = world.nodes["g1/b2"]
    await session.flush()


async def move_object_to_another_group(session: AsyncSession, world: World) -> None:
    fan = await session.get_one(Fan, world.fans["g1/b1/d1#1"])
    fan.group_id = world.nodes["g2"]
    await session.flush()


async def insert_values(session: AsyncSession, world: World) -> None:
    await session.execute(insert(fans).values(**foreign_fan(world)))


async def insert_class(session: AsyncSession, world: World) -> None:
    await session.execute(insert(Fan).values(**foreign_fan(world)))


async def insert_parameters(session: AsyncSession, world: World) -> None:
    own = foreign_fan(world, "g1/b1/d1")
    await session.execute(insert(fans), [own, foreign_fan(world)])


async def insert_many_values(session: AsyncSession, world: World) -> None:
    await session.execute(insert(fans).values([foreign_fan(world, "g1/b1/d1"), foreign_fan(world)]))


async def insert_values_beside_parameters(session: AsyncSession, world: World) -> None:
    row = foreign_fan(world)
    brand = {"brand_id": row.pop("brand_id"), "dealer_id": row.pop("dealer_id")}
    await session.execute(insert(fans).values(**brand), [row])


async def insert_group_beside_parameters(session: AsyncSession, world: World) -> None:
    await session.execute(insert(persons).values(group_id=world.nodes["g2"]), [{}])


async def insert_computed(session: AsyncSession, world: World) -> None:
    row = {**foreign_fan(world), "brand_id": literal(world.nodes["g1/b2"]) + 0}
    await session.execute(insert(fans).values(**row))


async def insert_from_select(session: AsyncSession, world: World) -> None:
    names = ["group_id", "brand_id", "name", "kind", "created_at"]
    copied = select(tags.c.group_id, literal(world.nodes["g1/b2"]), literal("x"), tags.c.kind, tags.c.created_at)
    await session.execute(insert(tags).from_select(names, copied.where(tags.c.brand_id == world.nodes["g1/b1"])))


async def upsert(session: AsyncSession, world: World) -> None:
    await session.execute(dialect_insert(session, fans).on_conflict_do_nothing(), [foreign_fan(world)])


async def move_by_values(session: AsyncSession, world: World) -> None:
    await session.execute(update(fans).values(brand_id=world.nodes["g1/b2"]))


async def move_by_ordered_values(session: AsyncSession, world: World) -> None:
    await session.execute(update(fans).ordered_values((fans.c.brand_id, world.nodes["g1/b2"])))


async def move_by_class(session: AsyncSession, world: World) -> None:
    await session.execute(update(Fan).values(group_id=world.nodes["g2"]))


async def move_by_parameters(session: AsyncSession, world: World) -> None:
    one = update(fans).where(fans.c.id == bindparam("one"))
    await session.execute(one, {"one": world.fans["g1/b1/d1#1"], "brand_id": world.nodes["g1/b2"]})


async def move_in_bulk(session: AsyncSession, world: World) -> None:
    await session.execute(update(Fan), [{"id": world.fans["g1/b1/d1#1"], "brand_id": world.nodes["g1/b2"]}])


ESCAPES: list[Mutant] = [
    *(add_object, move_object, move_object_to_another_group),
    *(insert_values, insert_class, insert_parameters, insert_many_values, insert_values_beside_parameters),
    *(insert_group_beside_parameters, insert_computed, insert_from_select, upsert),
    *(move_by_values, move_by_ordered_values, move_by_class, move_by_parameters, move_in_bulk),
]


async def test_a_write_outside_the_scope_raises_and_leaves_nothing(world: World) -> None:
    scope = await scope_of(world, "B1")
    before = await snapshot(world)

    for mutant in ESCAPES:
        with pytest.raises(ScopeViolation):
            async with world.services.database.writing(scope) as session:
                await mutant(session, world)
        assert await snapshot(world) == before, mutant.__name__


@pytest.mark.parametrize("who", ["D1", "S1"])
async def test_a_dealer_writes_no_fan_and_no_order_of_the_dealer_beside(world: World, who: str) -> None:
    scope = await scope_of(world, who)
    before = await snapshot(world)
    order = {**at(world, "g1/b1/d11"), "fan_id": world.fans["g1/b1/d11#1"], "source": "x", "number": "1"}
    order |= {"state": "PAID", "amount": 1, "currency": "CNY", "placed_at": clock.now()}

    async def fan_object(session: AsyncSession) -> None:
        session.add(Fan(**foreign_fan(world, "g1/b1/d11")))
        await session.flush()

    async def fan_row(session: AsyncSession) -> None:
        await session.execute(insert(fans), [foreign_fan(world, "g1/b1/d11")])

    async def order_row(session: AsyncSession) -> None:
        await session.execute(insert(orders).values(**order))

    for mutant in (fan_object, fan_row, order_row):
        with pytest.raises(ScopeViolation):
            async with world.services.database.writing(scope) as session:
                await mutant(session)

    assert await snapshot(world) == before


@pytest.mark.parametrize("who, seen", [("B1", 8), ("D1", 4), ("S1", 1), ("g1/b1/d1#1", 1)])
async def test_an_update_that_forgets_its_condition_touches_own_rows_only(world: World, who: str, seen: int) -> None:
    scope = await scope_of(world, who)
    everything = system_scope("test")

    async with world.services.database.writing(scope) as session:
        await session.execute(update(fans).values(nickname="mine now"))
        await session.execute(update(Fan).values(city="mine now"))
        await session.execute(update(fans).where(fans.c.id == world.fans["g1/b2/d1#1"]).values(nickname="stolen"))

    async with world.services.database.reading(everything) as session:
        touched = select(fans.c.id).where(fans.c.nickname == "mine now", fans.c.city == "mine now")
        assert len((await session.execute(touched)).all()) == seen
        assert not (await session.execute(select(fans.c.id).where(fans.c.nickname == "stolen"))).all()


@pytest.mark.parametrize("who, seen", [("B1", 2), ("D1", 2), ("S1", 1), ("g1/b1/d1#1", 1), ("B2", 0)])
async def test_an_update_of_many_rows_touches_own_rows_only(world: World, who: str, seen: int) -> None:
    named = update(fans).where(fans.c.id == bindparam("fan")).values(nickname=bindparam("name"))
    rows = [{"fan": world.fans[name], "name": "theirs"} for name in ("g1/b1/d1#1", "g1/b1/d1#2", "g2/b1/d1#1")]

    async with world.services.database.writing(await scope_of(world, who)) as session:
        await session.execute(named, rows)

    async with world.services.database.reading(system_scope("test")) as session:
        touched = await session.execute(select(fans.c.group_id).where(fans.c.nickname == "theirs"))
        assert touched.scalars().all() == [world.nodes["g1"]] * seen


@pytest.mark.parametrize("who", ["B1", "D1", "S1"])
async def test_a_delete_that_forgets_its_condition_stays_in_the_brand(world: World, who: str) -> None:
    """What is kept at a brand is guarded at the brand; which fans a dealer has there is the service's to know."""
    async with world.services.database.writing(await scope_of(world, who)) as session:
        await session.execute(delete(fan_tags))

    async with world.services.database.reading(system_scope("test")) as session:
        left = (await session.execute(select(fan_tags.c.brand_id))).scalars().all()
        assert len(left) == 24
        assert world.nodes["g1/b1"] not in left


async def test_a_scope_of_one_group_writes_there_and_nowhere_else(world: World) -> None:
    scope = system_scope("import", group_id=world.nodes["g1"])
    database = world.services.database

    async with database.writing(scope, dry_run=True) as session:
        await session.execute(insert(tags).values(group_id=world.nodes["g1"], name="fine"))
    with pytest.raises(ScopeViolation):
        async with database.writing(scope) as session:
            await session.execute(insert(tags).values(group_id=world.nodes["g2"], name="not fine"))
    with pytest.raises(ScopeViolation):
        async with database.writing(scope) as session:
            await insert_group_beside_parameters(session, world)


async def test_what_a_read_session_changes_is_rolled_back(world: World) -> None:
    before = await snapshot(world)

    async with world.services.database.reading(await scope_of(world, "B1")) as session:
        await session.execute(update(fans).values(nickname="x"))

    assert await snapshot(world) == before
