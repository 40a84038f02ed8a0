"""Points of fans who become one and come apart, where something was under way meanwhile."""

from typing import Any

from domain.persons.models import Side
from domain.persons.unmerging import unmerge
from domain.points.ledger import service as ledger
from domain.points.ledger.rules import Earn, Spend
from domain.points.programme.queries import programme_of
from tests.cast import EVERYTHING
from tests.domain.test_mall import merge
from tests.earning import has, sound
from tests.world import World

INTO, GONE = "g1/b1/d1#1", "g1/b1/d1#2"


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
