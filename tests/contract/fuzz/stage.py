"""One application for each executor, each on its own identical copy of a database, asked the same in the same order.

Copies, and not one database: a mutation runs for each of them, and what one executor writes no other sees.
"""

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy.engine import make_url

from domain.database import Database
from domain.direct import Direct
from domain.vault import Vault
from schema.lookahead.answer import OneRow
from schema.lookahead.pages import OnePage
from schema.lookahead.rows import Rows
from schema.lookahead.together import Pages
from server import app as applications
from server.http import GraphQLEndpoint, execution
from server.http.params import from_body
from server.http.request import HttpRefusal
from server.runtime import Runtime
from server.settings import Settings
from tests.contract.fuzz.operations import Request
from tests.doors import Door, knock
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
    """How often graphql-core executed an operation, one statement a root field, a known service, and several pages."""

    by_reference: int = 0
    by_statement: int = 0
    by_known: int = 0
    by_pages: int = 0

    def since(self, earlier: "Work") -> "Work":
        """Return what was added."""
        mine, before = astuple(self), astuple(earlier)
        return Work(*(late - early for late, early in zip(mine, before, strict=True)))


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
        read_for = Rows.read_for

        async def reading(rows: Rows, *asked: Any) -> Any:
            found = await read_for(rows, *asked)
            work.by_known += len(found)
            return found

        patch.setattr(Rows, "read_for", reading)
        read = Pages._read

        async def reading_pages(pages: Pages, keys: Any) -> Any:
            work.by_pages += len(keys) if len(keys) > 1 else 0
            return await read(pages, keys)

        patch.setattr(Pages, "_read", reading_pages)
        # whoever comes waits for others, as under load
        patch.setattr(Direct, "is_busy", property(lambda direct: True))
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
    endpoints: Mapping[bytes, GraphQLEndpoint]

    def knows_row(self, request: Request) -> bool:
        """Tell whether the request is planned, and asks for one row by its id."""
        endpoint = self.endpoints[request.path.encode()]
        try:
            params = from_body(request.body.encode())
            operation = endpoint._pipeline.planned(params) if request.query_string is None else None
            return operation is not None and operation.row_asked(params.variables) is not None
        except (HttpRefusal, UnicodeEncodeError):
            return False

    async def answer_together(self, asked: Sequence[tuple[Request, str | None]]) -> list[Answer]:
        """Send the requests in one turn of the loop, by the way a connection goes without ASGI where it does."""
        straight = {number: self._door(*one) for number, one in enumerate(asked) if one[0].query_string is None}
        others = [asyncio.create_task(self.answer(*one)) for number, one in enumerate(asked) if number not in straight]
        knock([*straight.values()])
        answers = {number: await self._said(door) for number, door in straight.items()}
        left = iter([await other for other in others])
        return [answers[number] if number in answers else next(left) for number in range(len(asked))]

    def _door(self, request: Request, token: str | None) -> Door:
        headers = {"content-type": "application/json"}
        headers |= {} if token is None else {"authorization": f"Bearer {token}"}
        headers |= {} if request.accept is None else {"accept": request.accept}
        body = request.body.encode("utf-8", "surrogatepass")
        return Door.of(self.endpoints[request.path.encode()], request.path, headers, body)

    async def _said(self, door: Door) -> Answer:
        response = await door.response()
        length = (b"content-length", str(len(response.body)).encode())
        return Answer(response.status, (*response.headers, length), _FAULT.sub(rb'\1"0"', response.body))

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
        yield Actor(executor, database, http, app.state.endpoints)
    await database.dispose()
