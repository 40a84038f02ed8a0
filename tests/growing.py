"""Growth for fans of world W, and ladders for their brands."""

import itertools
from typing import Any

from sqlalchemy import select

from domain.errors import Conflict
from domain.levels.definitions import NewLadder, NewLevel, set_ladder
from domain.levels.models import Demotion
from domain.levels.upkeep import tend
from domain.points.ledger.rules import ClawBack, Earn
from domain.points.ledger.service import claw_back, earn
from domain.points.programme.queries import programme_of
from domain.tables import table_of
from domain.tenancy.models import Brand
from tests.cast import EVERYTHING
from tests.world import World

LADDER = {"REGISTERED": 0, "BRONZE": 100, "SILVER": 500, "GOLD": 2000}
_numbers = itertools.count(1)


async def give_ladder(
    world: World,
    brand: str = "g1/b1",
    ladder: dict[str, int] | None = None,
    demotion: Demotion = Demotion.NEVER,
    valid_months: int | None = None,
    *,
    settled: bool = True,
) -> None:
    """Set a brand's levels, and look at its fans as the worker does."""
    wanted = sorted((LADDER if ladder is None else ladder).items(), key=lambda item: item[1])
    levels = [NewLevel(code, code.capitalize(), growth) for code, growth in wanted]
    brands, number = table_of(Brand), world.nodes[brand]
    async with world.services.database.writing(EVERYTHING) as session:
        row: Any = (await session.execute(select(brands).where(brands.c.id == number))).one()
        await set_ladder(session, "test", row, NewLadder(number, levels, demotion, valid_months))
    if settled:
        await settle(world)


async def settle(world: World, size: int = 1_000) -> int:
    """Do what waits for the worker; return in how many steps."""
    steps = 0
    while await tend(world.services.database, size):
        steps += 1
    return steps


async def grow(world: World, fan: str, amount: int, *, fails: bool = False) -> None:
    """Give a fan growth, or take it back from what was given last."""
    brand_id, source = world.nodes["/".join(fan.split("/")[:2])], f"test:{next(_numbers)}"
    async with world.services.database.writing(EVERYTHING) as session:
        programme = await programme_of(session, brand_id)
        if amount > 0:
            one = Earn(world.fans[fan], source, growth=amount, reason="test")
            await earn(session, programme, [one], actor="test")
            _given[id(world), fan] = source
        else:
            back = ClawBack(_given[id(world), fan], source, growth=-amount, reason="test")
            await claw_back(session, programme, back, actor="test")
        if fails:
            raise Conflict


_given: dict[tuple[int, str], str] = {}
