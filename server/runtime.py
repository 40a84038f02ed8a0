"""What a process of the product holds open, opened and closed in one place, for the server and for commands."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog

from authz.templates import Templates
from authz.tokens import Tokens
from domain.database import Database
from domain.vault import Vault
from graph.driver import Graph
from graph.embedded import EmbeddedGraph
from graph.errors import GraphUnavailable
from resolvers.context import Services
from server.erasures import ErasureFile
from server.settings import Settings

log = structlog.get_logger(__name__)

SCHEMA_RETRY_SECONDS = 5.0


@dataclass(frozen=True)
class Runtime:
    """The open parts of a process."""

    settings: Settings
    services: Services


@asynccontextmanager
async def database_of(settings: Settings) -> AsyncIterator[tuple[Database, Vault]]:
    """Open the database and the vault alone, for work that needs no graph."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database, pool_size=settings.database_pool_size)
    try:
        yield database, Vault(settings.key_material)
    finally:
        await database.dispose()


@asynccontextmanager
async def graph_of(settings: Settings) -> AsyncIterator[Graph]:
    """Connect to the graph, starting and supervising the embedded engine where no other is configured."""
    async with AsyncExitStack() as stack:
        if settings.graph_uri:
            auth = (settings.graph_user, settings.graph_password.get_secret_value())
            graph = Graph.connect(settings.graph_uri, auth, settings.graph_database)
        else:
            engine = EmbeddedGraph(settings.graph_directory, heap=settings.graph_heap)
            stack.push_async_callback(engine.stop)
            await engine.start()
            graph = Graph.connect(engine.uri, engine.auth, engine.database)
            await stack.enter_async_context(_task(engine.supervise(graph.move)))
        stack.push_async_callback(graph.close)
        await stack.enter_async_context(_task(_prepare(graph)))
        yield graph


@asynccontextmanager
async def runtime_of(settings: Settings) -> AsyncIterator[Runtime]:
    """Open everything a server needs. A graph that is down is no reason not to start."""
    templates = Templates()
    templates.check()
    async with database_of(settings) as (database, vault), graph_of(settings) as graph:
        tokens = Tokens(settings.tokens)
        login, erasures = settings.allows_development_login, ErasureFile(settings.erasure_file)
        kept = settings.event_months
        services = Services(
            database, vault, graph, templates, tokens, erasures, development_login=login, event_months=kept
        )
        yield Runtime(settings, services)


async def _prepare(graph: Graph) -> None:
    """Make keys and indexes as soon as the graph answers."""
    while True:
        try:
            return await graph.prepare()
        except GraphUnavailable as error:
            log.warning("graph_not_ready", reason=str(error))
            await asyncio.sleep(SCHEMA_RETRY_SECONDS)


@asynccontextmanager
async def _task(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
