"""The graph follows when fans become one, and when they come apart again."""

import pytest

from domain.database import Database
from domain.persons.merging import Wanted, merge_persons
from domain.persons.models import MergeReason, Side
from domain.persons.unmerging import unmerge
from graph.driver import Graph
from graph.projector import Projector
from graph.verify import verify
from server.settings import Settings
from tests import world as worlds
from tests.cast import EVERYTHING
from tests.domain.test_merging import person_of


@pytest.mark.parametrize("pair", [(1, 2), (1, 3), (3, 1), (4, 2)])
async def test_edges_move_with_the_fan_and_come_back(
    database: Database, settings: Settings, graph: Graph, pair: tuple[int, int]
) -> None:
    world = await worlds.build(worlds.services_of(database, settings, graph))
    projector = Projector(database, graph)
    into, gone = [await person_of(world, f"g1/b1/d1#{n}") for n in pair]

    wanted = Wanted(into, gone, MergeReason.MANUAL)

    async with database.writing(EVERYTHING) as session:
        done = await merge_persons(session, world.nodes["g1"], [wanted], principal="test")
    while await projector.run_once():
        pass
    assert await verify(database, graph) == []

    async with database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], done[gone], later=Side.SURVIVOR, principal="test")
    while await projector.run_once():
        pass
    assert await verify(database, graph) == []
