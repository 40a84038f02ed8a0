"""Whatever is asked, by whomever: every executor answers what the reference answers, identical to the byte.

SCRM_FUZZ_CASES sets how many operations a run asks, SCRM_FUZZ_SEED which. A difference is shown with the command that
asks it again.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from domain import clock
from domain.database import Database
from graph.driver import Graph
from graph.errors import GraphUnavailable
from graph.projector import Projector
from server.imports import Layout, import_orders
from server.settings import Settings
from tests import world as worlds
from tests.contract.fuzz.block import NOW, Block, shown
from tests.contract.fuzz.callers import hired
from tests.contract.fuzz.nasty import spoil
from tests.contract.fuzz.operations import Operation, Request
from tests.contract.fuzz.pools import Pools, pools_of
from tests.contract.fuzz.stage import counted, stage
from tests.services.stuck import SECONDS
from tests.world import World

SEED = os.environ.get("SCRM_FUZZ_SEED", "1")
CASES = int(os.environ.get("SCRM_FUZZ_CASES", "600"))
REPLAY = os.environ.get("SCRM_FUZZ_REPLAY", "")
BLOCKS = 4
# where there is no PostgreSQL, the look-ahead is the compiled executor
ALL = ("look_ahead", "compiled", "reference")
EXECUTORS = {"postgresql": ALL, "sqlite": ("look_ahead", "reference")}
MOST_SHOWN = 3
# one that hangs is told of (`tests.services.stuck`) and stopped, before faulthandler stops everything
REQUEST_SECONDS = SECONDS + 30
REAL_ORDERS = Path(__file__).parents[3] / "shared" / "data" / "cdnow_sample.txt"
REAL_ROWS = 120


class NoGraph(Graph):
    """A graph that never answers, and says so at once."""

    async def read(self, *arguments: Any, **named: Any) -> Any:
        raise GraphUnavailable


class Silent:
    """Listens to nothing."""

    def advance(self, stage: str, done: int, total: int) -> None:
        pass


@asynccontextmanager
async def opened(
    database: Database, settings: Settings, folder: Path, graph: Graph | None, *, introspection: bool
) -> AsyncIterator[tuple[Block, Pools]]:
    """Build the world at a moment of its own, and open an application for each executor."""
    # every point comes back at once, so that all buckets are full whenever they are looked at
    bucket = {"bucket_size": 10**9, "bucket_restore": 10**18}
    quiet = {"graphiql": False, "log_requests": False, "request_seconds": REQUEST_SECONDS}
    chosen = settings.model_copy(update={**bucket, **quiet, "get_queries": True, "introspection": introspection})
    found = graph or NoGraph.connect(worlds.NOWHERE, ("nobody", "nothing"), "none")
    services = worlds.services_of(database, chosen, found)
    with clock.at(NOW), counted() as work:
        world = await worlds.build(services)
        await spoil(world)
        callers = await hired(world)
        await bring_real_orders(world, folder)
        if graph is not None:
            projector = Projector(database, graph)
            while await projector.run_once():
                pass
        pools = await pools_of(world)
        async with stage(world, chosen, EXECUTORS[database.dialect]) as actors:
            yield Block(actors, callers, work), pools
    if graph is None:
        await found.close()


async def bring_real_orders(world: World, folder: Path) -> None:
    """Import some orders of a real shop, where they are on this machine."""
    if REAL_ORDERS.exists():
        some = folder / "orders.txt"
        some.write_text("".join(REAL_ORDERS.read_text(encoding="ascii").splitlines(keepends=True)[:REAL_ROWS]))
        layout = Layout(
            "household,fan,placed_on,quantity,amount", "cdnow", delimiter="whitespace", date_format="%Y%m%d"
        )
        services, brand = world.services, world.nodes["g1/b10"]
        await import_orders(services.database, services.vault, brand, some, layout, Silent())


def hold(block: Block) -> None:
    """Hold that nobody differed, and that the operations were worth asking."""
    tally = block.tally
    said = f"seed {SEED}: {shown(tally)}"
    for what, found in ("differences", list(tally.differences.values())), ("faults", tally.faults):
        assert not found, "\n\n".join([f"{len(found)} {what}, {said}", *found[:MOST_SHOWN]])
    assert tally.answered > 0.8 * tally.sound, said
    assert tally.clean > 0.5 * tally.sound, said
    assert all(tally.fast[actor.executor] > 0.6 * tally.asked for actor in block.actors), said
    if block.reference.database.dialect == "postgresql":
        assert tally.ahead["look_ahead"] > 0.15 * tally.asked, said
        assert tally.known, said
        assert tally.paged, said


@pytest.mark.parametrize("number", range(BLOCKS - 1))
async def test_every_executor_answers_the_same(
    number: int, database: Database, plain_settings: Settings, tmp_path: Path, graph: Graph
) -> None:
    introspection = number % 2 == 0
    async with opened(database, plain_settings, tmp_path, graph, introspection=introspection) as (block, pools):
        await block.run(f"{SEED}:{number}", CASES // BLOCKS, pools)
        hold(block)
        readings = await block.readings()
        assert readings[0]
        assert all(found == readings[-1] for found in readings)


@pytest.mark.parametrize("number", range(BLOCKS - 1, BLOCKS))
async def test_every_executor_answers_the_same_without_a_graph(
    number: int, database: Database, plain_settings: Settings, tmp_path: Path
) -> None:
    async with opened(database, plain_settings, tmp_path, None, introspection=False) as (block, pools):
        await block.run(f"{SEED}:{number}", CASES // BLOCKS, pools)
        hold(block)


@pytest.mark.skipif(not REPLAY, reason="SCRM_FUZZ_REPLAY names no request")
async def test_one_request_again(database: Database, plain_settings: Settings, tmp_path: Path, graph: Graph) -> None:
    async with opened(database, plain_settings, tmp_path, graph, introspection=True) as (block, pools):
        await block.case(Request(**json.loads(REPLAY)), Operation("", None, None, sound=False), pools)
        await block.ask_together()
        assert not block.tally.differences, "\n".join(block.tally.differences.values())
