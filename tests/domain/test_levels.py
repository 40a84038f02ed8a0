"""Where fans stand follows their growth in the transaction that changes it, and the ladder when that changes."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from domain import clock
from domain.bulk import write_together
from domain.errors import Conflict
from domain.fans.models import Fan
from domain.levels import upkeep
from domain.levels.models import Demotion, FanLevel, Level, LevelProgramme
from domain.levels.upkeep import tend
from domain.persons.merging import Wanted, merge_persons
from domain.persons.models import MergeReason, Side
from domain.persons.unmerging import unmerge
from domain.tables import table_of
from domain.timeline.models import FanChange
from tests.cast import EVERYTHING, snapshot
from tests.domain.test_merging import person_of
from tests.growing import LADDER, give_ladder, grow, settle
from tests.statements import statements_of
from tests.world import World

ONE, TWO, THREE, FOUR = (f"g1/b1/d1#{number}" for number in range(1, 5))
levels, fan_levels, programmes, changes = (table_of(m) for m in (Level, FanLevel, LevelProgramme, FanChange))
fans = table_of(Fan)


async def rows(world: World, statement: Any) -> list[Any]:
    async with world.services.database.reading(EVERYTHING) as session:
        return list((await session.execute(statement)).all())


async def held(world: World, *fans: str) -> list[str | None]:
    """Return the codes of the levels fans hold above the one everybody has."""
    statement = select(fan_levels.c.fan_id, levels.c.code).outerjoin(levels, levels.c.id == fan_levels.c.level_id)
    found = {row.fan_id: row.code for row in await rows(world, statement)}
    return [found.get(world.fans[fan]) for fan in fans]


async def told(world: World, fan: str) -> list[tuple[str | None, str | None, str]]:
    """Return the changes of level on a fan's timeline, oldest first."""
    mine = (changes.c.fan_id == world.fans[fan], changes.c.kind == "LEVEL")
    found = await rows(world, select(changes.c.detail).where(*mine).order_by(changes.c.id))
    return [(row.detail["from"], row.detail["to"], row.detail["cause"]) for row in found]


async def test_a_fan_rises_with_what_they_earn_and_their_timeline_says_so(world: World) -> None:
    await give_ladder(world)

    for amount in (99, 1, 1000, 1):
        await grow(world, ONE, amount)

    assert await held(world, ONE, TWO) == ["SILVER", None]
    assert await told(world, ONE) == [("REGISTERED", "BRONZE", "GROWTH"), ("BRONZE", "SILVER", "GROWTH")]
    (row,) = await rows(world, select(fan_levels))
    assert (row.rank, row.valid_until, row.deducted) == (2, None, 0)


async def test_what_is_rolled_back_raises_nobody(world: World) -> None:
    await give_ladder(world)
    before = await snapshot(world)

    with pytest.raises(Conflict):
        await grow(world, ONE, 500, fails=True)

    assert await snapshot(world) == before


@pytest.mark.parametrize("demotion, after", [(Demotion.NEVER, "SILVER"), (Demotion.AT_ONCE, "BRONZE")])
async def test_growth_that_is_taken_back_takes_the_level_where_the_brand_says_so(
    world: World, demotion: Demotion, after: str
) -> None:
    await give_ladder(world, demotion=demotion)
    await grow(world, ONE, 600)

    await grow(world, ONE, -450)

    assert await held(world, ONE) == [after]
    assert len(await told(world, ONE)) == (1 if after == "SILVER" else 2)


async def test_a_brand_without_levels_and_growth_that_crosses_nothing_cost_one_look(world: World) -> None:
    with statements_of(world.services.database) as without:
        await grow(world, ONE, 5000)
    await give_ladder(world)
    await grow(world, ONE, 1)
    with statements_of(world.services.database) as crossing_nothing:
        await grow(world, ONE, 1)

    looks = 2 if world.services.database.dialect == "sqlite" else 1
    for seen in (without, crossing_nothing):
        assert len([one for one in seen if "levels" in one]) == looks


async def test_a_first_ladder_finds_those_who_have_growth_already(world: World) -> None:
    for fan, amount in ((ONE, 5000), (TWO, 150), (THREE, 20)):
        await grow(world, fan, amount)
    await grow(world, "g1/b2/d1#1", 5000)

    await give_ladder(world)

    assert await held(world, ONE, TWO, THREE, "g1/b2/d1#1") == ["GOLD", "BRONZE", None, None]
    assert await told(world, ONE) == [("REGISTERED", "GOLD", "LADDER")]


async def test_all_fans_are_looked_at_in_steps_and_a_step_that_dies_is_done_again(world: World) -> None:
    for fan in (ONE, TWO, THREE, FOUR):
        await grow(world, fan, 300)
    await give_ladder(world)

    await give_ladder(world, ladder={**LADDER, "BRONZE": 400}, demotion=Demotion.AT_ONCE, settled=False)
    assert await tend(world.services.database, 3)
    (programme,) = await rows(world, select(programmes))
    assert programme.settled_to == sorted(world.fans[f"g1/b1/{d}#{n}"] for d in ("d1", "d11") for n in range(1, 5))[2]
    assert await settle(world, 3) == 2

    assert await held(world, ONE, TWO, THREE, FOUR) == [None] * 4
    (programme,) = await rows(world, select(programmes))
    assert (programme.settled_to, programme.version) == (None, 2)


async def test_a_level_between_others_moves_the_places_of_those_above(world: World) -> None:
    await give_ladder(world)
    await grow(world, ONE, 2000)
    await grow(world, TWO, 700)

    await give_ladder(world, ladder={**LADDER, "PLATINUM": 3000} | {"PEARL": 600})

    found = {row.fan_id: row.rank for row in await rows(world, select(fan_levels))}
    assert found == {world.fans[ONE]: 4, world.fans[TWO]: 3}
    assert await held(world, ONE, TWO) == ["GOLD", "PEARL"]


async def test_a_level_that_is_no_more_is_kept_by_nobody_and_comes_back_as_itself(world: World) -> None:
    await give_ladder(world)
    await grow(world, ONE, 600)
    await grow(world, ONE, -600)
    before = await rows(world, select(levels.c.id, levels.c.code).order_by(levels.c.id))

    await give_ladder(world, ladder={code: growth for code, growth in LADDER.items() if code != "SILVER"})
    without = await held(world, ONE)
    await give_ladder(world)

    assert without == ["BRONZE"]
    assert await rows(world, select(levels.c.id, levels.c.code).order_by(levels.c.id)) == before
    assert await told(world, ONE) == [("REGISTERED", "SILVER", "GROWTH"), ("SILVER", "BRONZE", "LADDER")]


async def test_to_say_the_same_again_changes_nothing(world: World) -> None:
    await give_ladder(world)
    before = await snapshot(world)

    await give_ladder(world)

    assert await snapshot(world) == before


async def test_when_its_months_are_over_a_level_is_set_anew(world: World) -> None:
    start = datetime(2026, 1, 15, 4, tzinfo=UTC)
    with clock.at(start):
        await give_ladder(world, demotion=Demotion.PERIODIC, valid_months=12)
        for fan, amount in ((ONE, 600), (TWO, 1000), (THREE, 500)):
            await grow(world, fan, amount)
    with clock.at(start + timedelta(days=300)):
        await grow(world, ONE, 50)
        await grow(world, TWO, 1)
    with clock.at(datetime(2027, 1, 15, 15, 59, tzinfo=UTC)):
        assert await settle(world) == 0
    with clock.at(datetime(2027, 1, 15, 16, 1, tzinfo=UTC)):
        assert await settle(world, 2) == 1
        assert await settle(world) == 0

        assert await held(world, ONE, TWO, THREE) == ["BRONZE", "SILVER", None]
        await grow(world, THREE, 120)
        assert await held(world, THREE) == ["BRONZE"]
    assert await told(world, THREE) == [
        ("REGISTERED", "SILVER", "GROWTH"),
        ("SILVER", "REGISTERED", "PERIOD"),
        ("REGISTERED", "BRONZE", "GROWTH"),
    ]
    found = {row.fan_id: row for row in await rows(world, select(fan_levels))}
    assert [found[world.fans[fan]].deducted for fan in (ONE, TWO, THREE)] == [500, 500, 500]
    assert found[world.fans[TWO]].valid_until == datetime(2028, 1, 15, 16, tzinfo=UTC)


async def test_many_at_once_end_where_their_growth_says(world: World) -> None:
    await give_ladder(world, demotion=Demotion.AT_ONCE)

    await asyncio.gather(*(grow(world, ONE, 50) for _ in range(20)), *(grow(world, TWO, 5) for _ in range(20)))

    assert await held(world, ONE, TWO) == ["SILVER", "BRONZE"]
    assert [end for _, end, _ in await told(world, ONE)] == ["BRONZE", "SILVER"]


async def test_a_ladder_that_changes_while_fans_earn_leaves_nobody_behind(world: World) -> None:
    await give_ladder(world)
    await grow(world, ONE, 10)

    lower = {"REGISTERED": 0, "BRONZE": 20, "SILVER": 60, "GOLD": 100}
    await asyncio.gather(*(grow(world, ONE, 10) for _ in range(10)), give_ladder(world, ladder=lower))
    await settle(world)

    assert await held(world, ONE) == ["GOLD"]


async def merge(world: World, into: str, gone: str) -> int:
    people = await person_of(world, into), await person_of(world, gone)
    async with world.services.database.writing(EVERYTHING) as session:
        wanted = Wanted(*people, MergeReason.MANUAL)
        return (await merge_persons(session, world.nodes["g1"], [wanted], principal="test"))[people[1]]


async def undo(world: World, merge_id: int, later: Side = Side.SURVIVOR) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merge_id, later=later, principal="test")


@pytest.mark.parametrize("demotion", [Demotion.NEVER, Demotion.AT_ONCE])
async def test_who_become_one_rise_together_and_come_apart_as_they_were(world: World, demotion: Demotion) -> None:
    await give_ladder(world, demotion=demotion)
    await grow(world, ONE, 400)
    await grow(world, TWO, 450)
    before = await rows(world, select(fan_levels).order_by(fan_levels.c.fan_id))

    merged = await merge(world, ONE, TWO)
    together = await held(world, ONE, TWO)
    await undo(world, merged)

    assert together == ["SILVER", None]
    assert await rows(world, select(fan_levels).order_by(fan_levels.c.fan_id)) == before
    assert [end for _, end, _ in await told(world, ONE)] == ["BRONZE", "SILVER", "BRONZE"]
    assert [end for _, end, _ in await told(world, TWO)] == ["BRONZE"]


async def test_a_level_that_growth_carries_no_more_outlives_a_merge_and_its_undoing(world: World) -> None:
    await give_ladder(world)
    await grow(world, TWO, 600)
    await grow(world, TWO, -600)

    merged = await merge(world, ONE, TWO)
    together = await held(world, ONE)
    await grow(world, ONE, 2000)
    await undo(world, merged)

    assert together == ["SILVER"]
    assert await held(world, ONE, TWO) == ["GOLD", "SILVER"]


async def test_who_both_hold_nothing_rise_by_a_merge_and_come_apart_without(world: World) -> None:
    await give_ladder(world)
    await grow(world, ONE, 60)
    await grow(world, TWO, 60)

    merged = await merge(world, ONE, TWO)
    together = await held(world, ONE)
    await undo(world, merged)

    assert together == ["BRONZE"]
    assert await held(world, ONE, TWO) == [None, None]


async def test_what_was_deducted_adds_up_and_is_split_again(world: World) -> None:
    await give_ladder(world, demotion=Demotion.PERIODIC, valid_months=12)
    for fan, amount in ((ONE, 600), (TWO, 300)):
        await grow(world, fan, amount)
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(fan_levels).values(valid_until=clock.now() - timedelta(seconds=1)))
    await settle(world)

    merged = await merge(world, ONE, TWO)
    together = await rows(world, select(fan_levels.c.deducted))
    await undo(world, merged)

    assert together == [(600,)]
    found = {row.fan_id: row.deducted for row in await rows(world, select(fan_levels))}
    assert found == {world.fans[ONE]: 500, world.fans[TWO]: 100}


async def test_whoever_earns_their_first_growth_while_the_ladder_comes_is_not_left_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account is opened and not committed: the worker cannot lock it, and the earning looked at no ladder."""
    if world.services.database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    looked, go = asyncio.Event(), asyncio.Event()

    async def late(*given: Any) -> None:
        looked.set()
        await go.wait()
        await write_together(*given)

    monkeypatch.setattr("domain.points.ledger.book.write_together", late)
    earning = asyncio.create_task(grow(world, ONE, 600))
    await looked.wait()
    await give_ladder(world, settled=False)
    settling = asyncio.create_task(settle(world))
    await asyncio.sleep(0.3)
    assert not settling.done()
    go.set()
    await earning
    await settling

    assert await held(world, ONE, TWO) == ["SILVER", None]


async def test_whoever_comes_back_by_an_undoing_while_the_ladder_comes_is_not_left_behind(world: World) -> None:
    """The undoing looked at no ladder, and nobody sees the fan it brings back before it is committed."""
    if world.services.database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    await grow(world, ONE, 600)
    await grow(world, TWO, 600)
    merged = await merge(world, ONE, TWO)
    async with world.services.database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merged, later=Side.SURVIVOR, principal="staff:1")
        await give_ladder(world, settled=False)
        settling = asyncio.create_task(settle(world))
        await asyncio.sleep(0.3)
        assert not settling.done()
    await settling

    assert await held(world, ONE, TWO) == ["SILVER", "SILVER"]


async def test_a_ladder_that_has_to_wait_holds_up_nobody_and_no_other_brand(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    if world.services.database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    monkeypatch.setattr(upkeep, "LOCK_WAIT_SECONDS", 0.3)
    await grow(world, TWO, 600)
    await give_ladder(world, demotion=Demotion.PERIODIC, valid_months=12)
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(fan_levels).values(valid_until=clock.now() - timedelta(seconds=1)))
    await give_ladder(world, "g1/b2", settled=False)
    async with world.services.database.writing(EVERYTHING) as session:
        middle = programmes.c.brand_id == world.nodes["g1/b2"]
        await session.execute(update(programmes).where(middle).values(settled_to=1))
    await give_ladder(world, demotion=Demotion.PERIODIC, valid_months=6, settled=False)
    mine = select(fans.c.id).where(fans.c.id == world.fans[ONE])
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(mine.with_for_update(read=True, key_share=True))
        settling = asyncio.create_task(settle(world))
        await asyncio.sleep(0.1)
        async with world.services.database.writing(EVERYTHING) as other:
            await other.execute(select(fans.c.id).where(fans.c.id == world.fans[TWO]).with_for_update(nowait=True))
        # the brand in the middle of its fans is done
        assert await settling == 1
        # months end meanwhile
        assert await held(world, TWO) == ["BRONZE"]
        unsettled = select(programmes.c.brand_id).where(programmes.c.settled_to.is_not(None))
        assert await rows(world, unsettled) == [(world.nodes["g1/b1"],)]

    assert await settle(world) == 1


async def test_those_who_write_later_are_not_waited_for_however_often_it_is_tried(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    if world.services.database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    monkeypatch.setattr(upkeep, "LOCK_WAIT_SECONDS", 0.1)
    await give_ladder(world, settled=False)
    mine = select(fans.c.id).with_for_update(read=True, key_share=True)
    async with AsyncExitStack() as first:
        session = await first.enter_async_context(world.services.database.writing(EVERYTHING))
        await session.execute(mine)
        assert await settle(world) == 0
        async with world.services.database.writing(EVERYTHING) as later:
            await later.execute(mine)
            assert await settle(world) == 0
            await first.aclose()
            assert await settle(world) == 1


async def test_a_ladder_that_another_worker_is_at_is_left_to_it(world: World) -> None:
    if world.services.database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    for brand in ("g1/b1", "g1/b2"):
        await give_ladder(world, brand, settled=False)
    async with world.services.database.writing(EVERYTHING) as session:
        first = programmes.c.brand_id == world.nodes["g1/b1"]
        await session.execute(update(programmes).where(first).values(settled_to=1))
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(select(programmes).where(first).with_for_update())
        # it writes, and so the other brand waits for it
        assert await asyncio.wait_for(settle(world), 5) == 0

    assert await settle(world) == 2


async def test_a_fan_whom_somebody_always_writes_about_holds_up_no_ladder(world: World) -> None:
    if world.services.database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    await give_ladder(world, settled=False)
    mine = select(fans.c.id).where(fans.c.id == world.fans[ONE]).with_for_update(read=True, key_share=True)
    over = asyncio.Event()

    async def hold(after: float) -> None:
        await asyncio.sleep(after)
        while not over.is_set():
            async with world.services.database.writing(EVERYTHING) as session:
                await session.execute(mine)
                await asyncio.sleep(0.1)

    holding = [asyncio.create_task(hold(number * 0.04)) for number in range(3)]
    await asyncio.sleep(0.2)
    done = await settle(world)
    over.set()
    await asyncio.gather(*holding)

    assert done == 1
