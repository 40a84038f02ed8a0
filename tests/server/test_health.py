"""Alive, ready, degraded or not ready: said in time, whatever hangs behind it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from authz.templates import Templates
from authz.tokens import Tokens
from domain.database import Database
from domain.scope import system_scope
from domain.vault import Vault
from graph.driver import Graph
from migrations import head
from resolvers.context import Services
from server.app import create_app
from server.erasures import ErasureFile
from server.runtime import Runtime
from server.settings import Settings
from tests.conftest import GraphServer
from tests.services.link import linked
from tests.world import MASTER_KEY, NOWHERE

SECONDS = 1.5
READY = {"status": "ready", "problems": [], "graph": "up"}
DEGRADED = {"status": "degraded", "problems": [], "graph": "down"}
NO_DATABASE = "the database does not answer"


class Probe:
    """What an orchestrator sees of a deployment."""

    def __init__(self, app: Any, http: httpx.AsyncClient) -> None:
        self.app = app
        self._http = http

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """Return what /readyz says. It must say it in time, and /livez too."""
        started = time.monotonic()
        response = await self._http.get("/readyz")
        assert time.monotonic() - started < SECONDS
        assert (await self._http.get("/livez")).json() == {"status": "alive"}
        return response.status_code, response.json()


@asynccontextmanager
async def probing(settings: Settings, database: Database, graph: Graph) -> AsyncIterator[Probe]:
    services = Services(
        database, Vault(MASTER_KEY), graph, Templates(), Tokens(settings.tokens), ErasureFile(settings.erasure_file)
    )
    app = create_app(settings, Runtime(settings, services))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield Probe(app, http)


@pytest.fixture
async def no_graph() -> AsyncIterator[Graph]:
    graph = Graph.connect(NOWHERE, ("nobody", "nothing"), "none")
    yield graph
    await graph.close()


async def test_it_is_ready_when_the_database_is_at_head_and_the_graph_answers(
    settings: Settings, database: Database, graph: Graph
) -> None:
    async with probing(settings, database, graph) as probe:
        assert await probe.ready() == (200, READY)


async def test_it_is_ready_but_degraded_without_the_graph(
    plain_settings: Settings, database: Database, no_graph: Graph
) -> None:
    async with probing(plain_settings, database, no_graph) as probe:
        assert await probe.ready() == (200, DEGRADED)
        assert await probe.ready() == (200, DEGRADED)


async def test_a_graph_that_hangs_or_refuses_the_password_is_down_and_one_that_is_back_is_up(
    settings: Settings, database: Database, graph_server: GraphServer
) -> None:
    at = make_url(graph_server.uri)
    assert at.host is not None
    assert at.port is not None
    wrong = Graph.connect(graph_server.uri, (graph_server.auth[0], "wrong"), graph_server.database)
    async with linked(at.host, at.port) as link:
        graph = Graph.connect(f"bolt://127.0.0.1:{link.port}", graph_server.auth, graph_server.database)
        async with probing(settings, database, graph) as probe, probing(settings, database, wrong) as refused:
            up = await probe.ready()
            await link.stall()
            hanging = await probe.ready()
            await link.cut()
            gone = await probe.ready()
            denied = await refused.ready()
        await graph.close()
    await wrong.close()

    assert up == (200, READY)
    assert hanging == gone == denied == (200, DEGRADED)


async def test_it_is_not_ready_behind_the_newest_migration(
    plain_settings: Settings, database: Database, owner_database: Database, no_graph: Graph
) -> None:
    async with owner_database.writing(system_scope("test")) as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '0000'"))

    async with probing(plain_settings, database, no_graph) as probe:
        code, body = await probe.ready()

    assert (code, body["status"]) == (503, "unready")
    assert body["problems"] == [f"the database is at 0000, this code needs {head()}"]


async def test_it_is_not_ready_while_it_drains(plain_settings: Settings, database: Database, no_graph: Graph) -> None:
    async with probing(plain_settings, database, no_graph) as probe:
        probe.app.state.health.draining = True

        code, body = await probe.ready()

    assert (code, body["status"], body["problems"]) == (503, "unready", ["draining"])


async def test_it_is_not_ready_without_a_database(plain_settings: Settings, no_graph: Graph) -> None:
    database = Database("sqlite+aiosqlite:////nowhere/at/all.db")

    async with probing(plain_settings, database, no_graph) as probe:
        code, body = await probe.ready()

    await database.dispose()
    assert (code, body["problems"]) == (503, [NO_DATABASE])


@pytest.mark.postgresql
async def test_it_says_in_time_that_postgresql_hangs_or_is_gone_and_that_it_is_back(
    plain_settings: Settings, database_url: str, no_graph: Graph
) -> None:
    url = make_url(database_url)
    assert url.host is not None
    assert url.port is not None
    async with linked(url.host, url.port) as link:
        database = Database(url.set(port=link.port).render_as_string(hide_password=False), pool_size=3)
        async with probing(plain_settings, database, no_graph) as probe:
            assert (await probe.ready())[0] == 200
            await link.stall()
            hanging = [(await probe.ready())[1]["problems"] for _ in range(5)]
            await link.cut()
            gone = (await probe.ready())[1]["problems"]
            await link.mend()
            back = [(await probe.ready())[0] for _ in range(5)]
        await database.dispose()

    assert hanging == [[NO_DATABASE]] * 5
    assert gone == [NO_DATABASE]
    assert back[-1] == 200
