"""Requests of one caller that come at the same time share a look-up and a statement, and each gets its own answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import update

from domain.access.models import ApiKey
from domain.fans.models import Fan
from domain.tables import table_of
from schema.ids import encode
from server.app import create_app
from server.http import GraphQLEndpoint
from server.http.request import Message, Request
from server.http.response import Response
from server.runtime import Runtime
from server.settings import Settings
from tests.statements import statements_of
from tests.world import World

pytestmark = pytest.mark.postgresql

ONE = "query($id: ID!) { fan(id: $id) { id nickname brand { name } } }"
FANS = [f"g1/b1/d1#{number}" for number in range(1, 4)]


async def nothing() -> Message:
    """Stand for a client that stays."""
    await asyncio.Event().wait()
    return {}


@dataclass(eq=False)
class Door:
    """A request that waits at the endpoint, by the way a connection would bring it."""

    endpoint: GraphQLEndpoint
    request: Request
    alone: bool = False
    answers: list[Response] = field(default_factory=list)
    is_answered: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def go_alone(self) -> None:
        """Be answered as if nobody else were there."""
        self.alone = True
        self.track(asyncio.create_task(self._go()))

    async def _go(self) -> None:
        self.finish(await self.endpoint.answer(self.request, nothing))

    def finish(self, response: Response) -> None:
        """Keep the answer."""
        self.answers.append(response)
        self.is_answered.set()

    def track(self, task: "asyncio.Task[None]") -> None:
        """Keep the task."""
        self.tasks.add(task)

    async def answered(self) -> dict[str, Any]:
        """Return the one answer."""
        async with asyncio.timeout(10):
            await self.is_answered.wait()
        (response,) = self.answers
        found: dict[str, Any] = json.loads(response.body)
        return found


@dataclass
class House:
    """The staff endpoint on world W."""

    world: World
    endpoint: GraphQLEndpoint

    def door(self, who: str | None, query: str, **variables: Any) -> Door:
        """Bring a request to the endpoint, without knocking yet."""
        headers = {"content-type": "application/json"}
        if who is not None:
            headers["authorization"] = f"Bearer {self.world.token(who)}"
        request = Request("POST", "/graphql", headers, client="127.0.0.1")
        request.body, request.received = json.dumps({"query": query, "variables": variables}).encode(), True
        return Door(self.endpoint, request)

    async def ask(self, *doors: Door) -> list[dict[str, Any]]:
        """Knock at all doors in one turn of the loop."""
        assert self.endpoint.together is not None
        for door in doors:
            self.endpoint.together.add(door)
        return [await door.answered() for door in doors]

    def fan(self, who: str, name: str) -> Door:
        """Ask for one fan."""
        return self.door(who, ONE, id=self.world.id("Fan", name))


@pytest.fixture
async def house(world: World, plain_settings: Settings) -> AsyncIterator[House]:
    """Yield the staff endpoint, where the question was asked often enough to have a plan and a statement."""
    settings = plain_settings.model_copy(update={"bucket_size": 40_000, "bucket_restore": 1})
    app = create_app(settings, Runtime(settings, world.services))
    async with app.router.lifespan_context(app):
        house = House(world, app.state.endpoints[b"/graphql"])
        for who in ("SERVICE", "D11"):
            for _ in range(3):
                await house.ask(house.fan(who, FANS[0]))
        yield house


async def test_those_who_come_together_are_answered_by_two_statements_each_with_their_own(house: House) -> None:
    doors = [house.fan("SERVICE", name) for name in FANS]

    with statements_of(house.world.services.database) as statements:
        answers = await house.ask(*doors)

    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in FANS]
    assert not any(door.alone for door in doors)
    assert len(statements) == 2


async def test_the_answer_is_the_one_that_is_given_alone(house: House) -> None:
    (alone,) = await house.ask(house.fan("SERVICE", FANS[0]))

    together, same = await house.ask(*[house.fan("SERVICE", FANS[0]) for _ in range(2)])

    assert together["data"] == same["data"] == alone["data"]
    assert together["extensions"]["cost"]["requested"] == alone["extensions"]["cost"]["requested"]
    assert together["extensions"]["cost"]["actual"] == alone["extensions"]["cost"]["actual"]


async def test_what_is_unusual_goes_alone_and_costs_the_others_nothing(house: House) -> None:
    missing = house.door("SERVICE", ONE, id=encode("Fan", 10**9))
    malformed = house.door("SERVICE", ONE, id="nonsense")
    other = house.door("SERVICE", "{ viewer { principal } }")
    broken = house.door("SERVICE", "{")
    doors = [house.fan("SERVICE", FANS[0]), missing, house.fan("SERVICE", FANS[1]), malformed, other, broken]

    first, gone, second, nonsense, viewer, syntax = await house.ask(*doors)

    assert first["data"]["fan"]["id"] == house.world.id("Fan", FANS[0])
    assert second["data"]["fan"]["id"] == house.world.id("Fan", FANS[1])
    assert [gone["errors"][0]["extensions"]["code"], gone["data"]] == ["NOT_FOUND", {"fan": None}]
    assert nonsense["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert viewer["data"]["viewer"]["principal"].startswith("api_key:")
    assert "data" not in syntax
    assert [door.alone for door in doors] == [False, True, False, True, True, True]


async def test_two_callers_see_each_their_own(house: House) -> None:
    doors = [house.fan(who, name) for name in FANS[:2] for who in ("SERVICE", "D11")]

    answers = await house.ask(*doors)

    assert [answer["data"]["fan"] is None for answer in answers] == [False, True, False, True]


async def test_a_key_that_was_revoked_opens_nothing_to_those_who_come_together(house: House) -> None:
    database = house.world.services.database
    keys = table_of(ApiKey)
    async with database.engine.begin() as connection:
        await connection.exec_driver_sql("SELECT set_config('app.everything', 'on', true)")
        await connection.execute(update(keys).values(revoked_at=keys.c.created_at))

    answers = await house.ask(*[house.fan("SERVICE", name) for name in FANS])

    assert [answer["errors"][0]["extensions"]["code"] for answer in answers] == ["UNAUTHENTICATED"] * 3


async def test_what_was_written_before_is_read(house: House) -> None:
    fans = table_of(Fan)
    async with house.world.services.database.engine.begin() as connection:
        await connection.exec_driver_sql("SELECT set_config('app.everything', 'on', true)")
        changed = update(fans).where(fans.c.id == house.world.fans[FANS[0]]).values(nickname="Renamed")
        await connection.execute(changed)

    answers = await house.ask(*[house.fan("SERVICE", FANS[0]) for _ in range(2)])

    assert [answer["data"]["fan"]["nickname"] for answer in answers] == ["Renamed"] * 2


async def test_each_is_charged_and_an_empty_bucket_refuses_each(
    house: House, world: World, plain_settings: Settings
) -> None:
    settings = plain_settings.model_copy(update={"bucket_size": 20_000, "bucket_restore": 1})
    app = create_app(settings, Runtime(settings, world.services))
    poor = House(world, app.state.endpoints[b"/graphql"])
    for _ in range(3):
        await poor.ask(poor.fan("SERVICE", FANS[0]))
    throttle = poor.endpoint._pipeline._throttle
    (key,) = throttle._buckets
    before = throttle.available(key)
    answers = await poor.ask(*[poor.fan("SERVICE", name) for name in FANS])
    spent = before - throttle.available(key)
    assert spent == sum(answer["extensions"]["cost"]["actual"] for answer in answers)

    throttle.spend(key, throttle.available(key))
    refused = await poor.ask(*[poor.fan("SERVICE", name) for name in FANS])

    assert [answer["errors"][0]["extensions"]["code"] for answer in refused] == ["RATE_LIMITED"] * 3


async def test_a_statement_that_fails_is_everybodys_own_matter(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> Any:
        raise OSError("gone")

    direct = house.world.services.database.direct
    assert direct is not None
    monkeypatch.setattr(direct, "_run", fail)
    doors = [house.fan("SERVICE", name) for name in FANS]

    answers = await house.ask(*doors)

    assert all(door.alone for door in doors)
    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in FANS]
