"""What the tests of the whole product ask for: world W and clients of the application on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.database import Database
from graph.driver import Graph
from graph.projector import Projector
from server.settings import Settings
from tests import world as worlds
from tests.world import Client, World

__all__ = ["client", "graph_client", "plain", "plain_settings", "world"]


@pytest.fixture
def plain_settings(database_url: str, tmp_path: Path) -> Settings:
    """Return settings of a development deployment that starts nothing of its own."""
    return Settings(
        _env_file=None,
        data_dir=tmp_path,
        database_url=database_url,
        worker=False,
        bucket_size=10**9,
        introspection=True,
    )


@pytest.fixture
async def world(database: Database, plain_settings: Settings) -> AsyncIterator[World]:
    """Yield world W in a database of its own, with a graph that never answers."""
    services = worlds.services_of(database, plain_settings)
    yield await worlds.build(services)
    await services.graph.close()


@pytest.fixture
async def client(world: World, plain_settings: Settings) -> AsyncIterator[Client]:
    """Yield a client of the application on world W."""
    async with worlds.client_of(world, plain_settings) as found:
        yield found


@pytest.fixture
async def plain(world: World, plain_settings: Settings) -> AsyncIterator[Client]:
    """Yield a client of the same world that is answered by graphql-core alone."""
    settings = plain_settings.model_copy(update={"executor": "reference"})
    async with worlds.client_of(world, settings) as found:
        yield found


@pytest.fixture
async def graph_client(database: Database, plain_settings: Settings, graph: Graph) -> AsyncIterator[Client]:
    """Yield a client on world W whose graph is there and has caught up."""
    world = await worlds.build(worlds.services_of(database, plain_settings, graph))
    projector = Projector(database, graph)
    while await projector.run_once():
        pass
    async with worlds.client_of(world, plain_settings) as found:
        yield found
