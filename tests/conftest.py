"""What every test may ask for: a migrated database of its own, and an empty graph.

SCRM_TEST_DATABASE (sqlite, postgresql) and SCRM_TEST_GRAPH (embedded, neo4j) choose the engines of a run.
The database server and the migrated template are made once a run, before xdist's workers start; each worker runs a
graph server of its own, started by the first test that needs it, because one test's graph must not hold another's.
"""

import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import hypothesis
import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy.engine import make_url

import migrations
from domain.database import Database
from graph.driver import Graph
from schema.lookahead import kept
from server.settings import Settings
from tests.services import embedded, neo4j_server, postgres, scratch
from tests.services.stuck import Stuck

DATABASE = os.environ.get("SCRM_TEST_DATABASE", "sqlite")
GRAPH = os.environ.get("SCRM_TEST_GRAPH", "embedded")
SHOWN = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "embedded": "embedded graph", "neo4j": "Neo4j"}

TEMPLATE = "SCRM_TEST_TEMPLATE"
CLUSTER = "SCRM_TEST_CLUSTER"
TEMPLATE_DATABASE = "scrm_template"

# in pieces: neither engine takes back a large graph in one transaction
REMOVE_EDGES: LiteralString = "MATCH ()-[e]->() WITH e LIMIT 2000 DELETE e RETURN count(*) AS removed"
REMOVE_NODES: LiteralString = "MATCH (n) WITH n LIMIT 2000 DETACH DELETE n RETURN count(*) AS removed"

STARTED = pytest.StashKey[ExitStack]()

# how long an example takes says more about the machine's neighbours than about the code
hypothesis.settings.register_profile("scrm", deadline=None, print_blob=True)
hypothesis.settings.load_profile("scrm")


# everything a test asks once is compiled as if it came often, so that the suite holds the look-ahead to what it shows
kept.SIGHTINGS, kept.COMPILE_BURST = 1, 3_600.0


def pytest_configure(config: pytest.Config) -> None:
    """Refuse or skip a run whose engines are missing, and start what its workers share."""
    config.pluginmanager.register(Stuck.to_stderr(config), "stuck")
    if hasattr(config, "workerinput"):
        return
    _require_engines()
    config.stash[STARTED] = started = ExitStack()
    config.add_cleanup(started.close)
    # a run that is told to end stops its servers, as one that is interrupted does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if config.getoption("numprocesses", None) and not config.option.collectonly:
        _make_template(started)


def pytest_report_header() -> str:
    """Name the engines in the run's first lines."""
    return f"engines: {SHOWN[DATABASE]}, {SHOWN[GRAPH]}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that is marked for an engine this run does not use."""
    for mark, used in (("postgresql", DATABASE), ("neo4j", GRAPH)):
        if item.get_closest_marker(mark) and used != mark:
            pytest.skip(f"needs {mark}, and this run uses {used}")


def _require_engines() -> None:
    databases = {"sqlite": lambda: None, "postgresql": postgres.available}
    graphs = {"embedded": lambda: None, "neo4j": neo4j_server.available}
    if DATABASE not in databases or GRAPH not in graphs:
        raise pytest.UsageError(f"no such engine: SCRM_TEST_DATABASE={DATABASE}, SCRM_TEST_GRAPH={GRAPH}")
    reason = databases[DATABASE]() or graphs[GRAPH]()
    if reason and os.environ.get("SCRM_TEST_MISSING") == "skip":
        pytest.exit(f"SKIPPED leg {SHOWN[DATABASE]} + {SHOWN[GRAPH]}: {reason}", returncode=0)
    if reason:
        raise pytest.UsageError(f"this run wants {SHOWN[DATABASE]} and {SHOWN[GRAPH]}: {reason}")


def _make_template(started: ExitStack) -> str:
    """Migrate once what every test then copies, and tell the workers by environment where it is."""
    if DATABASE == "sqlite":
        made = started.enter_context(scratch.folder("template")) / "template.sqlite3"
        migrations.upgrade(f"sqlite+aiosqlite:///{made}")
        os.environ[TEMPLATE] = str(made)
    else:
        cluster = started.enter_context(postgres.running())
        cluster.create(TEMPLATE_DATABASE)
        migrations.upgrade(cluster.owner_url(TEMPLATE_DATABASE))
        migrations.allow(cluster.owner_url(TEMPLATE_DATABASE), postgres.APP)
        os.environ[CLUSTER] = cluster.admin_url
        os.environ[TEMPLATE] = TEMPLATE_DATABASE
    return os.environ[TEMPLATE]


@pytest.fixture(scope="session")
def database_template(request: pytest.FixtureRequest) -> str:
    """Return the migrated template: a file's path on SQLite, a database's name on PostgreSQL."""
    return os.environ.get(TEMPLATE) or _make_template(request.config.stash[STARTED])


@pytest.fixture
async def database_url(database_template: str) -> AsyncIterator[str]:
    """Yield the application's URL of a fresh, migrated and empty database."""
    if DATABASE == "sqlite":
        with scratch.folder("test") as folder:
            yield f"sqlite+aiosqlite:///{shutil.copyfile(database_template, folder / 'scrm.sqlite3')}"
        return
    cluster = postgres.Cluster(os.environ[CLUSTER])
    name = f"test_{secrets.token_hex(6)}"
    await cluster.create_database(name, TEMPLATE_DATABASE)
    yield cluster.app_url(name)
    await cluster.drop_database(name)


@pytest.fixture
async def owner_database(database_url: str) -> AsyncIterator[Database]:
    """Yield the same database under the role that owns its tables, as migrations use it."""
    url = database_url
    if DATABASE == "postgresql":
        url = postgres.Cluster(os.environ[CLUSTER]).owner_url(str(make_url(database_url).database))
    opened = Database(url)
    yield opened
    await opened.dispose()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Yield a `Database` on a fresh copy, connected as the application's role."""
    opened = Database(database_url)
    yield opened
    await opened.dispose()


@dataclass(frozen=True)
class GraphServer:
    """How to reach this worker's graph server."""

    uri: str
    auth: tuple[str, str]
    database: str

    def connect(self) -> Graph:
        """Return a driver of its own for the server, to be closed by who asked."""
        return Graph.connect(self.uri, self.auth, self.database)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def graph_server() -> AsyncIterator[GraphServer]:
    """Yield this worker's graph server, with the product's keys and indexes."""
    engine = neo4j_server if GRAPH == "neo4j" else embedded
    with scratch.folder(GRAPH) as home:
        uri, auth, stop = await engine.start(home)
        try:
            server = GraphServer(uri, auth, neo4j_server.DATABASE)
            graph = server.connect()
            await graph.prepare()
            await graph.close()
            yield server
        finally:
            await stop()


@pytest.fixture
async def graph(graph_server: GraphServer) -> AsyncIterator[Graph]:
    """Yield a graph that is empty now; whatever the test leaves in it is removed afterwards."""
    opened = graph_server.connect()
    yield opened
    for statement in REMOVE_EDGES, REMOVE_NODES:
        while (await opened.write(statement))[0]["removed"]:
            pass
    await opened.close()


@pytest.fixture
def settings(database_url: str, graph_server: GraphServer, tmp_path: Path) -> Settings:
    """Return the settings of a deployment on the test's own database and graph, whatever the machine's own say."""
    user, password = graph_server.auth
    return Settings(
        _env_file=None,
        data_dir=tmp_path,
        database_url=database_url,
        graph_uri=graph_server.uri,
        graph_user=user,
        graph_password=SecretStr(password),
        graph_database=graph_server.database,
        worker=False,
    )
