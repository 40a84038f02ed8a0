"""Points of fans who become one and come apart, where something was under way meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import Any

from domain import clock
from domain.persons.models import Side
from domain.persons.unmerging import unmerge
from domain.points.ledger import service as ledger
from domain.points.ledger.rules import ClawBack, Earn, Spend
from domain.points.programme.queries import programme_of
from tests.cast import EVERYTHING
from tests.domain.test_mall import merge
from tests.earning import has, sound
from tests.world import World

INTO, GONE = "g1/b1/d1#1", "g1/b1/d1#2"
# later than the fans themselves, who else would count as come since
NOW = datetime.now(UTC) + timedelta(days=1)
HOUR = timedelta(hours=1)


async def write(world: World, act: Any, *given: Any, **more: Any) -> Any:
    """Write in the ledger of brand b1."""
    async with world.services.database.writing(EVERYTHING) as session:
        programme = await programme_of(session, world.nodes["g1/b1"])
        return await act(session, programme, *given, actor="test", **more)


async def undo(world: World, merge_id: int, later: Side) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merge_id, later=later, principal="staff:1")


async def test_what_was_held_at_a_merge_and_given_back_since_goes_with_whose_it_was(world: World) -> None:
    await write(world, ledger.earn, [Earn(world.fans[GONE], "x", 100), Earn(world.fans[INTO], "y", 5)])
    held = await write(world, ledger.hold, Spend(world.fans[GONE], 60, "h"))
    merge_id = await merge(world, INTO, GONE)
    await write(world, ledger.void_hold, hold_id=held.transfer_id, reason="cancelled")

    await undo(world, merge_id, Side.SURVIVOR)

    assert [(await has(world, world.fans[who])).spendable for who in (INTO, GONE)] == [5, 100]
    await sound(world)


async def test_what_waits_and_went_with_who_came_back_is_cancelled_with_them(world: World) -> None:
    with clock.at(NOW):
        await write(world, ledger.earn, [Earn(world.fans[GONE], "x", 1), Earn(world.fans[INTO], "y", 5)])
    with clock.at(NOW + HOUR):
        merge_id = await merge(world, INTO, GONE)
    with clock.at(NOW + 2 * HOUR):
        wanted = Earn(world.fans[INTO], "late", 10, available_at=NOW + timedelta(days=3))
        await write(world, ledger.earn, [wanted])
        await undo(world, merge_id, Side.ABSORBED)
        assert (await has(world, world.fans[GONE])).pending == 10

        await write(world, ledger.claw_back, ClawBack("late", "back", 10))

    assert [(await has(world, world.fans[who])).pending for who in (INTO, GONE)] == [0, 0]
    await sound(world)
