"""Requests of one caller that come at the same time share a statement, and each gets its own answer (M01, T13).

A service that is known from before is not looked up first: its statement asks whether it still stands.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Executable, delete, update

from domain import clock
from domain.access.models import ApiKey, Grant
from domain.fans.models import Fan
from domain.tables import table_of
from domain.tenancy.models import Group
from schema.compiled import plan
from schema.gate import Gate
from schema.ids import encode
from schema.lookahead import kept
from schema.lookahead.answer import OneRow
from schema.lookahead.rows import Rows
from server.app import create_app
from server.http import GraphQLEndpoint, together
from server.http.params import Params
from server.http.throttle import Throttle
from server.http.together import MOST_TOGETHER
from server.runtime import Runtime
from server.settings import Settings
from tests.doors import Door, knock
from tests.statements import statements_of
from tests.world import World

pytestmark = pytest.mark.postgresql

keys, fans, grants, groups = table_of(ApiKey), table_of(Fan), table_of(Grant), table_of(Group)
ONE = "query($id: ID!) { fan(id: $id) { id nickname brand { name } } }"
FANS = [f"g1/b1/d1#{number}" for number in range(1, 4)]


@dataclass
class House:
    """The staff endpoint on world W."""

    world: World
    endpoint: GraphQLEndpoint

    @property
    def throttle(self) -> Throttle:
        return self.endpoint._pipeline._throttle

    def stop_the_clock(self) -> None:
        """Let no point come back by itself."""
        self.throttle._clock = lambda: 0.0

    def left(self) -> int:
        """Return how many points the service has left."""
        (key,) = [key for key in self.throttle._buckets if key.startswith("api_key:")]
        return self.throttle.available(key)

    def door(self, who: str | None, query: str, name: str | None = None, **variables: Any) -> Door:
        """Bring a request to the endpoint, without knocking yet."""
        headers = {"content-type": "application/json"}
        if who is not None:
            headers["authorization"] = f"Bearer {self.world.token(who)}"
        body = json.dumps({"query": query, "operationName": name, "variables": variables}).encode()
        return Door.of(self.endpoint, "/graphql", headers, body)

    async def ask(self, *doors: Door) -> list[dict[str, Any]]:
        """Knock at all doors in one turn of the loop."""
        knock(doors)
        return [await door.answered() for door in doors]

    def fan(self, who: str, name: str) -> Door:
        """Ask for one fan."""
        return self.door(who, ONE, id=self.world.id("Fan", name))


async def written(house: House, statement: Executable) -> None:
    """Change something past every wall."""
    async with house.world.services.database.engine.begin() as connection:
        await connection.exec_driver_sql("SELECT set_config('app.everything', 'on', true)")
        await connection.execute(statement)


def codes(answers: list[dict[str, Any]]) -> list[str]:
    """Return the code of each answer's first error."""
    return [answer["errors"][0]["extensions"]["code"] for answer in answers]


def paid(answers: list[dict[str, Any]]) -> int:
    """Return how many points the answers say they cost."""
    return sum(answer["extensions"]["cost"]["actual"] for answer in answers)


@pytest.fixture
async def house(world: World, plain_settings: Settings) -> AsyncIterator[House]:
    """Yield the staff endpoint, where the question was asked often enough to have a plan and a statement."""
    settings = plain_settings.model_copy(update={"bucket_size": 40_000, "bucket_restore": 1})
    app = create_app(settings, Runtime(settings, world.services))
    async with app.router.lifespan_context(app):
        house = House(world, app.state.endpoints[b"/graphql"])
        house.stop_the_clock()
        for who, own in (("SERVICE", FANS[0]), ("D11", "g1/b1/d11#1")):
            for _ in range(3):
                await house.ask(house.fan(who, own))
        yield house


@pytest.mark.parametrize("count", [1, 3])
async def test_a_known_service_is_answered_by_one_statement_each_with_their_own(house: House, count: int) -> None:
    doors = [house.fan("SERVICE", name) for name in FANS[:count]]

    with statements_of(house.world.services.database) as statements:
        answers = await house.ask(*doors)

    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in FANS[:count]]
    assert not any(door.alone for door in doors)
    assert len(statements) == 1


async def test_many_of_one_turn_are_read_in_even_parts_and_each_gets_their_own(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [FANS[number % len(FANS)] for number in range(2 * MOST_TOGETHER + 2)]
    read_for, parts = Rows.read_for, []

    async def reading(rows: Rows, standing: Any, ids: Any) -> Any:
        parts.append(len(ids))
        return await read_for(rows, standing, ids)

    monkeypatch.setattr(Rows, "read_for", reading)
    before = house.left()
    doors = [house.fan("SERVICE", name) for name in names]

    with statements_of(house.world.services.database) as statements:
        answers = await house.ask(*doors)

    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in names]
    assert not any(door.alone for door in doors)
    assert (len(statements), len(parts)) == (3, 3)
    assert before - house.left() == paid(answers)


async def test_parts_of_a_turn_take_no_more_than_there_is_room(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = house.world.services.database.direct
    assert direct is not None
    monkeypatch.setattr(direct, "_taken", direct._size // 2)
    doors = [house.fan("SERVICE", FANS[0]) for _ in range(3 * MOST_TOGETHER)]

    with statements_of(house.world.services.database) as statements:
        answers = await house.ask(*doors)

    assert {answer["data"]["fan"]["id"] for answer in answers} == {house.world.id("Fan", FANS[0])}
    assert len(statements) == 1


async def test_several_kinds_of_rows_are_not_cut_into_parts(house: House) -> None:
    other = ONE.replace("nickname", "gender")
    for _ in range(3):
        await house.ask(house.door("SERVICE", other, id=house.world.id("Fan", FANS[0])))
    doors = [house.fan("SERVICE", FANS[0]) for _ in range(MOST_TOGETHER)]
    doors += [house.door("SERVICE", other, id=house.world.id("Fan", FANS[1])) for _ in range(MOST_TOGETHER)]

    with statements_of(house.world.services.database) as statements:
        answers = await house.ask(*doors)

    ids = [house.world.id("Fan", name) for name in FANS[:2]]
    assert [answer["data"]["fan"]["id"] for answer in answers] == [ids[0]] * MOST_TOGETHER + [ids[1]] * MOST_TOGETHER
    assert len(statements) == 2


async def test_staff_of_a_turn_take_no_room_from_a_service(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = house.world.services.database.direct
    assert direct is not None
    monkeypatch.setattr(direct, "_taken", direct._size // 2)
    staff = [house.fan("D11", name) for name in ("g1/b1/d11#1", "g1/b1/d11#2")]
    service = house.fan("SERVICE", FANS[0])

    answers = await house.ask(*staff, service)

    assert answers[-1]["data"]["fan"]["id"] == house.world.id("Fan", FANS[0])
    assert not service.alone


async def test_staff_who_come_together_are_answered_by_two_statements(house: House) -> None:
    own = ["g1/b1/d11#1", "g1/b1/d11#2"]
    doors = [house.fan("D11", name) for name in own]

    with statements_of(house.world.services.database) as statements:
        answers = await house.ask(*doors)

    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in own]
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


async def test_requests_of_one_text_are_measured_each_by_their_own_variables(house: House) -> None:
    query = "query($id: ID!, $n: Int!) { fan(id: $id) { id tags(first: $n) { name } } }"
    fan = house.world.id("Fan", FANS[0])
    for n in (1, 2, 1, 2, 1, 2):
        await house.ask(house.door("SERVICE", query, id=fan, n=n))
    before = house.left()

    doors = [house.door("SERVICE", query, id=fan, n=n) for n in (1, 10**6, 2)]
    answers = await house.ask(*doors)

    assert [door.alone for door in doors] == [False, True, False]
    assert [codes([answer]) for answer in answers if "errors" in answer] == [["BAD_USER_INPUT"]]
    assert [answer.get("data") is not None for answer in answers] == [True, False, True]
    assert len(answers[0]["data"]["fan"]["tags"]) == 1 < len(answers[2]["data"]["fan"]["tags"])
    one, two = (answers[place]["extensions"]["cost"]["requested"] for place in (0, 2))
    assert one < two
    assert before - house.left() == paid([answers[0], answers[2]])


async def test_what_queries_of_one_text_have_in_common_is_found_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what another caller was refused is theirs alone
    assert codes(await house.ask(house.door("D11", ONE, id=encode("Fan", 10**9)))) == ["NOT_FOUND"]
    found: list[str] = []

    def noting(owner: Any, name: str) -> None:
        before = getattr(owner, name)

        def noted(*given: Any, **named: Any) -> Any:
            found.append(name)
            return before(*given, **named)

        monkeypatch.setattr(owner, name, noted)

    noting(Gate, "measure")
    noting(OneRow, "reader")
    noting(house.endpoint._pipeline, "planned")

    answers = await house.ask(*[house.fan("SERVICE", name) for name in FANS])

    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in FANS]
    assert sorted(found) == ["measure", "planned", "reader"]


async def test_operations_of_one_text_that_come_together_are_each_their_own(house: House) -> None:
    query = """
        query One($id: ID!, $is: Boolean!) { fan(id: $id) { id nickname @include(if: $is) } }
        query Other($id: ID!) { fan(id: $id) { gender id } }
    """
    fans = [house.world.id("Fan", name) for name in FANS]
    asked = [("One", {"is": True}), ("Other", {}), ("One", {"is": False})]
    for _ in range(3):
        for name, more in asked:
            await house.ask(house.door("SERVICE", query, name=name, id=fans[0], **more))
    doors = [house.door("SERVICE", query, name=name, id=fan, **more) for fan in fans for name, more in asked]

    answers = await house.ask(*doors)

    assert not any(door.alone for door in doors)
    kinds = [["id", "nickname"], ["gender", "id"], ["id"]]
    assert [[*answer["data"]["fan"]] for answer in answers] == kinds * len(fans)
    assert [answer["data"]["fan"]["id"] for answer in answers] == [fan for fan in fans for _ in kinds]


async def test_ids_may_stand_in_the_text(house: House) -> None:
    query = "{{ fan(id: {id}) {{ id nickname }} }}"
    texts = [query.format(id=json.dumps(house.world.id("Fan", name))) for name in FANS]
    for _ in range(3):
        for text in texts:
            await house.ask(house.door("SERVICE", text))
    doors = [house.door("SERVICE", text) for text in texts]

    answers = await house.ask(*doors)

    assert not any(door.alone for door in doors)
    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in FANS]


async def test_a_plan_that_rests_is_tried_by_one_of_those_who_come_together(house: House) -> None:
    asked = house.endpoint._pipeline.planned(Params(ONE, None, {}))
    assert asked is not None
    row = asked.row_asked({"id": house.world.id("Fan", FANS[0])})
    assert row is not None
    for _ in range(plan.TRIES):
        row.plan.note(None, ValueError("it fell"))
    doors = [house.fan("SERVICE", FANS[number % 3]) for number in range(plan.RETRY_CALLS + 4)]

    answers = await house.ask(*doors)

    assert all(answer["data"]["fan"] for answer in answers)
    assert [door.alone for door in doors].count(False) == 1


async def test_of_one_text_each_input_is_held_to_the_limits(house: House) -> None:
    fan = house.world.id("Fan", FANS[0])
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    doors = [house.door("SERVICE", ONE, id=fan, more=more) for more in (1, deep, 2**63, 2)]
    before = house.left()

    answers = await house.ask(*doors)

    assert [door.alone for door in doors] == [False, True, True, False]
    assert ["errors" in answer for answer in answers] == [False, True, True, False]
    assert codes(answers[1:3]) == ["BAD_USER_INPUT"] * 2
    assert before - house.left() == paid([answers[0], answers[3]])


async def test_two_callers_see_each_their_own(house: House) -> None:
    doors = [house.fan(who, name) for name in FANS[:2] for who in ("SERVICE", "D11")]

    answers = await house.ask(*doors)

    assert [answer["data"]["fan"] is None for answer in answers] == [False, True, False, True]


GONE = {
    "revoked": {"revoked_at": keys.c.created_at},
    "expired": {"expires_at": keys.c.created_at},
    "another secret": {"secret_hash": bytes(32)},
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("change", GONE.values(), ids=GONE)
async def test_a_key_that_is_gone_opens_nothing_at_the_very_next_request(
    house: House, change: dict[str, Any], count: int
) -> None:
    await written(house, update(keys).values(**change))
    before = house.left()

    answers = await house.ask(*[house.fan("SERVICE", name) for name in FANS[:count]])

    assert codes(answers) == ["UNAUTHENTICATED"] * count
    assert all("data" not in answer or answer["data"] is None for answer in answers)
    assert house.left() == before


async def test_a_key_that_was_refused_is_not_known_any_more(house: House) -> None:
    await written(house, update(keys).values(revoked_at=keys.c.created_at))
    await house.ask(house.fan("SERVICE", FANS[0]))

    with statements_of(house.world.services.database) as statements:
        (answer,) = await house.ask(house.fan("SERVICE", FANS[0]))

    assert codes([answer]) == ["UNAUTHENTICATED"]
    assert len(statements) == 1
    assert "page" not in statements[0]


@pytest.mark.parametrize("count", [1, 3])
async def test_rights_that_were_taken_away_are_gone_at_the_very_next_request(house: House, count: int) -> None:
    await written(house, delete(grants).where(grants.c.api_key_id.is_not(None)))
    await written(house, update(groups).values(policy_version=groups.c.policy_version + 1))

    answers = await house.ask(*[house.fan("SERVICE", name) for name in FANS[:count]])

    assert codes(answers) == ["FORBIDDEN"] * count


async def test_a_grant_that_ends_is_looked_up(house: House) -> None:
    soon = clock.now() + timedelta(minutes=5)
    await written(house, update(grants).where(grants.c.api_key_id.is_not(None)).values(expires_at=soon))
    await written(house, update(groups).values(policy_version=groups.c.policy_version + 1))
    for _ in range(2):
        (answer,) = await house.ask(house.fan("SERVICE", FANS[0]))
        assert answer["data"]["fan"]["id"] == house.world.id("Fan", FANS[0])

    with clock.at(soon):
        (answer,) = await house.ask(house.fan("SERVICE", FANS[0]))

    assert codes([answer]) == ["FORBIDDEN"]


@pytest.mark.parametrize("count", [1, 2])
async def test_what_was_written_before_is_read(house: House, count: int) -> None:
    await written(house, update(fans).where(fans.c.id == house.world.fans[FANS[0]]).values(nickname="Renamed"))

    answers = await house.ask(*[house.fan("SERVICE", FANS[0]) for _ in range(count)])

    assert [answer["data"]["fan"]["nickname"] for answer in answers] == ["Renamed"] * count


async def test_each_is_charged_and_an_empty_bucket_refuses_each(
    house: House, world: World, plain_settings: Settings
) -> None:
    settings = plain_settings.model_copy(update={"bucket_size": 20_000, "bucket_restore": 1})
    app = create_app(settings, Runtime(settings, world.services))
    poor = House(world, app.state.endpoints[b"/graphql"])
    poor.stop_the_clock()
    for _ in range(3):
        await poor.ask(poor.fan("SERVICE", FANS[0]))
    before = poor.left()
    answers = await poor.ask(*[poor.fan("SERVICE", name) for name in FANS])
    assert before - poor.left() == paid(answers)

    (key,) = poor.throttle._buckets
    poor.throttle.spend(key, poor.left())
    for count in (1, 3):
        with statements_of(world.services.database) as statements:
            refused = await poor.ask(*[poor.fan("SERVICE", name) for name in FANS[:count]])

        assert codes(refused) == ["RATE_LIMITED"] * count
        assert not any("page" in statement for statement in statements), "a row was read for who had no points"


@pytest.mark.parametrize("count", [1, 3])
async def test_who_asks_for_too_much_has_nothing_read(house: House, count: int) -> None:
    query = "query($id: ID!, $n: Int!) { fan(id: $id) { id tags(first: $n) { name } } }"
    fan = house.world.id("Fan", FANS[0])
    for _ in range(3):
        (answer,) = await house.ask(house.door("SERVICE", query, id=fan, n=1))
        assert answer["data"]["fan"]["id"] == fan

    with statements_of(house.world.services.database) as statements:
        answers = await house.ask(*[house.door("SERVICE", query, id=fan, n=10**6) for _ in range(count)])

    assert codes(answers) == ["BAD_USER_INPUT"] * count
    assert not any("page" in statement for statement in statements)


async def test_of_too_few_points_those_who_came_first_are_answered(
    house: House, world: World, plain_settings: Settings
) -> None:
    (alone,) = await house.ask(house.fan("SERVICE", FANS[0]))
    cost, key = alone["extensions"]["cost"]["requested"], next(k for k in house.throttle._buckets if "api_key" in k)
    house.throttle.spend(key, house.left() - 2 * cost)

    answers = await house.ask(*[house.fan("SERVICE", name) for name in FANS])

    assert [answer.get("data") is not None for answer in answers] == [True, True, False]
    assert codes(answers[2:]) == ["RATE_LIMITED"]


async def test_who_goes_alone_has_spent_nothing_before(house: House) -> None:
    missing = house.door("SERVICE", ONE, id=encode("Fan", 10**9))
    before = house.left()

    (answer,) = await house.ask(missing)

    assert missing.alone
    assert codes([answer]) == ["NOT_FOUND"]
    assert before - house.left() == paid([answer]) == 1


@pytest.mark.parametrize("who", ["SERVICE", "HQ1"])
async def test_a_request_that_cannot_be_read_costs_the_others_nothing(house: House, who: str) -> None:
    """A null in the place of an id that has a default."""
    query = "query($id: ID = " + json.dumps(house.world.id("Fan", FANS[0])) + ") { fan(id: $id) { id } }"
    for _ in range(3):
        await house.ask(house.door(who, query, id=house.world.id("Fan", FANS[0])))
    good = [house.door(who, query, id=house.world.id("Fan", name)) for name in FANS]
    (bucket,) = [key for key in house.throttle._buckets if key.startswith("api_key:") is (who == "SERVICE")][-1:]
    before = house.throttle.available(bucket)

    *answers, refused = await house.ask(*good, odd := house.door(who, query, id=None))

    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in FANS]
    assert [door.alone for door in (*good, odd)] == [False, False, False, True]
    assert codes([refused]) == ["BAD_USER_INPUT"]
    assert before - house.throttle.available(bucket) == paid([*answers, refused])


async def test_a_fault_while_some_have_paid_charges_nobody_twice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, before = house.endpoint._pipeline, house.left()
    answered, calls = pipeline.answered, []

    def once(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise ValueError("once")
        return answered(*given)

    monkeypatch.setattr(pipeline, "answered", once)
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(house.endpoint, "_log", SimpleNamespace(error=lambda event, **values: told.append(values)))
    doors = [house.fan("SERVICE", name) for name in FANS]

    answers = await house.ask(*doors)

    assert all(door.alone for door in doors)
    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in FANS]
    assert before - house.left() == paid(answers)
    calls.clear()
    await house.ask(*[house.fan("SERVICE", name) for name in FANS])
    assert len(calls) > 1
    assert len(told) == 1, "a fault that no client hears of is in the log, and once"


async def test_of_two_kinds_of_rows_one_that_fails_is_its_own_matter(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ONE.replace("nickname", "gender")
    for _ in range(3):
        await house.ask(house.door("SERVICE", other, id=house.world.id("Fan", FANS[0])))
    direct = house.world.services.database.direct
    assert direct is not None
    run = direct._run
    failed: list[str] = []

    async def fail(text: str, *given: Any) -> Any:
        if '"nickname":' in text and not failed:
            failed.append(text)
            raise OSError("gone")
        return await run(text, *given)

    before = house.left()
    monkeypatch.setattr(direct, "_run", fail)
    kinds = [house.fan("SERVICE", FANS[0]), house.fan("SERVICE", FANS[1])]
    others = [house.door("SERVICE", other, id=house.world.id("Fan", name)) for name in FANS[:2]]

    answers = await house.ask(*kinds, *others)

    wanted = [house.world.id("Fan", name) for name in FANS[:2]]
    assert [answer["data"]["fan"]["id"] for answer in answers] == wanted + wanted
    assert [door.alone for door in (*kinds, *others)] == [True, True, False, False]
    assert before - house.left() == paid(answers)


async def test_nothing_is_compiled_earlier_for_who_is_known(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "SIGHTINGS", 3)
    query = ONE.replace("nickname", "nickname gender")
    ways = []
    for _ in range(5):
        door = house.door("SERVICE", query, id=house.world.id("Fan", FANS[0]))
        await house.ask(door)
        ways.append(door.alone)

    # without a plan, twice without a statement, compiled, and then in one
    assert ways == [True, True, True, False, False]


@pytest.mark.parametrize("count", [1, 3])
async def test_where_it_is_crowded_services_are_looked_up_and_share_statements(
    house: House, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    direct = house.world.services.database.direct
    assert direct is not None
    monkeypatch.setattr(direct, "_taken", direct._size)
    doors = [house.fan("SERVICE", name) for name in FANS[:count]]

    with statements_of(house.world.services.database) as statements:
        answers = await house.ask(*doors)

    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in FANS[:count]]
    assert [door.alone for door in doors] == [count == 1] * count
    assert len(statements) == 2


async def test_services_of_one_turn_leave_room_for_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = house.world.services.database.direct
    assert direct is not None
    monkeypatch.setattr(direct, "_taken", direct._size // 2)
    first, second = house.fan("SERVICE", FANS[0]), house.fan("SERVICE", FANS[1])
    # another spelling of the same is another caller, as far as is looked
    headers = dict(second.request.headers)
    second.request.headers = headers | {"authorization": headers["authorization"].replace("Bearer", "bearer")}

    answers = await house.ask(first, second)

    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in FANS[:2]]
    assert [door.alone for door in (first, second)] == [False, True]


async def test_a_log_that_fails_charges_nobody_twice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[Any] = []

    def fail_once(*given: Any) -> None:
        if not failed:
            failed.append(given)
            raise OSError("full")

    def fail(error: Exception) -> None:
        raise OSError("full")

    before, gate = house.left(), house.endpoint.together
    assert gate is not None
    monkeypatch.setattr(gate, "_ways", gate._ways._replace(log_request=fail_once, note=fail))

    answers = await house.ask(*[house.fan("SERVICE", name) for name in FANS])

    assert [answer["data"]["fan"]["id"] for answer in answers] == [house.world.id("Fan", name) for name in FANS]
    assert before - house.left() == paid(answers)


@pytest.mark.parametrize("count", [1, 3])
async def test_who_takes_too_long_is_told_so_and_looked_up_next(
    house: House, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    async def sleep(*_: Any) -> Any:
        await asyncio.sleep(5)

    direct, gate = house.world.services.database.direct, house.endpoint.together
    assert direct is not None
    assert gate is not None
    assert gate._memory is not None
    monkeypatch.setattr(house.endpoint._watchdog, "_timeout", 0.1)
    monkeypatch.setattr(direct, "_run", sleep)
    doors = [house.fan("SERVICE", name) for name in FANS[:count]]

    answers = await house.ask(*doors)

    assert codes(answers) == ["TIMEOUT"] * count
    assert not any(door.alone for door in doors)
    assert gate._memory.remembered(doors[0].request) is None


@pytest.mark.parametrize("count", [1, 3])
async def test_what_was_waited_for_in_vain_is_not_asked_for_again(
    house: House, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    asked = []

    async def fail(*given: Any) -> Any:
        asked.append(given)
        raise asyncpg.QueryCanceledError

    direct = house.world.services.database.direct
    assert direct is not None
    monkeypatch.setattr(direct, "_run", fail)
    monkeypatch.setattr(together, "PATIENCE_SECONDS", 0.0)

    before = house.left()

    answers = await house.ask(*[house.fan("SERVICE", name) for name in FANS[:count]])

    assert codes(answers) == ["TIMEOUT"] * count
    assert len(asked) == 1
    assert house.left() < before


async def test_a_key_that_was_not_told_to_stand_is_looked_up_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> Any:
        raise asyncpg.QueryCanceledError

    direct = house.world.services.database.direct
    assert direct is not None
    monkeypatch.setattr(together, "PATIENCE_SECONDS", 0.0)
    await written(house, update(keys).values(secret_hash=bytes(32)))
    monkeypatch.setattr(direct, "_run", fail)
    await house.ask(house.fan("SERVICE", FANS[0]))
    before = house.left()

    answers = await house.ask(*[house.fan("SERVICE", name) for name in FANS])

    assert codes(answers) == ["UNAUTHENTICATED"] * 3
    assert house.left() == before


@pytest.mark.parametrize("count", [1, 3])
async def test_a_database_that_is_silent_is_told_as_to_who_is_looked_up(
    house: House, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    async def fail(*_: Any) -> Any:
        raise TimeoutError

    direct = house.world.services.database.direct
    assert direct is not None
    monkeypatch.setattr(direct, "_run", fail)
    monkeypatch.setattr(together, "PATIENCE_SECONDS", 0.0)
    before, doors = house.left(), [house.fan("SERVICE", name) for name in FANS[:count]]

    answers = await house.ask(*doors)

    assert codes(answers) == ["UNAVAILABLE"] * count
    assert [(await door.response()).status for door in doors] == [503] * count
    assert [dict((await door.response()).headers)[b"retry-after"] for door in doors] == [b"1"] * count
    assert house.left() == before


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
