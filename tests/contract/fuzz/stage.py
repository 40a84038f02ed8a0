"""One application for each executor, each on its own identical copy of a database, asked the same in the same order.

Copies, and not one database: a mutation runs for each of them, and what one executor writes no other sees.
"""

import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy.engine import make_url

from domain.database import Database
from domain.vault import Vault
from schema.lookahead.answer import OnePage, OneRow
from server import app as applications
from server.http import execution
from server.runtime import Runtime
from server.settings import Settings
from tests.contract.fuzz.operations import Request
from tests.services import postgres
from tests.world import MASTER_KEY, World

CLUSTER = "SCRM_TEST_CLUSTER"
# the id of a masked fault is random, and nothing else may be
_FAULT = re.compile(rb'("code":"INTERNAL","id":)"[0-9a-f]{16}"')


@dataclass(frozen=True)
class Answer:
    """What came back, to the byte."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def is_json(self) -> bool:
        return b"json" in dict(self.headers)[b"content-type"]

    def json(self) -> Any:
        return orjson.loads(self.body)

    def in_order(self) -> "Answer":
        """Return it with its errors sorted: of fields that wait for the database at once, any may fail first."""
        found = self.json() if self.is_json else {}
        if len(found.get("errors", ())) < 2:
            return self
        found["errors"].sort(key=orjson.dumps)
        return replace(self, body=orjson.dumps(found))

    def __str__(self) -> str:
        return f"{self.status} {dict(self.headers)} {self.body.decode()}"


@dataclass
class Work:
    """How often graphql-core executed an operation, and how often one statement answered a root field."""

    by_reference: int = 0
    by_statement: int = 0

    def since(self, earlier: "Work") -> "Work":
        """Return what was added."""
        return Work(self.by_reference - earlier.by_reference, self.by_statement - earlier.by_statement)


@contextmanager
def counted() -> Iterator[Work]:
    """Count who answers, for whichever application."""
    work = Work()
    with pytest.MonkeyPatch.context() as patch:
        execute: Any = vars(execution)["execute"]

        def executing(*arguments: Any, **named: Any) -> Any:
            work.by_reference += 1
            return execute(*arguments, **named)

        patch.setattr(execution, "execute", executing)
        for root in (OneRow, OnePage):
            patch.setattr(root, "run", _answering(root.run, work))
        yield work


def _answering(run: Any, work: Work) -> Any:
    async def answering(*arguments: Any) -> Any:
        found = await run(*arguments)
        work.by_statement += found is not None
        return found

    return answering


@dataclass
class Actor:
    """One application."""

    executor: str
    database: Database
    http: httpx.AsyncClient

    async def answer(self, request: Request, token: str | None) -> Answer:
        """Send the request."""
        headers = {"content-type": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        if request.accept is not None:
            headers["accept"] = request.accept
        built = self.http.build_request(
            "GET" if request.query_string else "POST",
            request.path + (f"?{request.query_string}" if request.query_string else ""),
            content=None if request.query_string else request.body.encode("utf-8", "surrogatepass"),
            headers=headers,
        )
        if request.accept is None:
            del built.headers["accept"]
        response = await self.http.send(built)
        return Answer(response.status_code, tuple(response.headers.raw), _FAULT.sub(rb'\1"0"', response.content))


@asynccontextmanager
async def stage(world: World, settings: Settings, executors: tuple[str, ...]) -> AsyncIterator[list[Actor]]:
    """Copy the world's database for each executor, and open an application on each copy."""
    await world.services.database.dispose()
    url = world.services.database.url.render_as_string(hide_password=False)
    async with AsyncExitStack() as stack:
        actors = []
        for executor in executors:
            copy = await stack.enter_async_context(_copy(url))
            actors.append(await stack.enter_async_context(_actor(executor, world, settings, copy)))
        yield actors


@asynccontextmanager
async def _copy(url: str) -> AsyncIterator[str]:
    parsed = make_url(url)
    name = f"fuzz_{secrets.token_hex(6)}"
    if parsed.get_backend_name() == "sqlite":
        made = Path(str(parsed.database)).with_name(f"{name}.sqlite3")
        shutil.copyfile(str(parsed.database), made)
        yield f"sqlite+aiosqlite:///{made}"
        return
    cluster = postgres.Cluster(os.environ[CLUSTER])
    await cluster.create_database(name, str(parsed.database))
    try:
        yield cluster.app_url(name)
    finally:
        await cluster.drop_database(name)


@asynccontextmanager
async def _actor(executor: str, world: World, settings: Settings, url: str) -> AsyncIterator[Actor]:
    database = Database(url)
    services = replace(world.services, database=database, vault=Vault(MASTER_KEY))
    chosen = settings.model_copy(update={"executor": executor})
    app = applications.create_app(chosen, Runtime(chosen, services))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        yield Actor(executor, database, http)
    await database.dispose()
