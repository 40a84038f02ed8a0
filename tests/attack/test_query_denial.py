"""Query denial of service (Q01 to Q13, Q16): each hostile request is answered cheaply, and no resolver runs."""

import re
import time
from typing import Any

import httpx
import pytest

from schema.gate import Limits
from server.http import Rate
from tests.toy import PHONE, Toy, fragment_bomb

TOO_COMPLEX = "QUERY_TOO_COMPLEX"
BAD_INPUT = "BAD_USER_INPUT"
LEAKS = re.compile(r"Traceback|sqlalchemy|psycopg|neo4j|/site-packages/|hunter2|Nope|Did you mean")


@pytest.fixture
def toy() -> Toy:
    return Toy()


def codes(answer: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in answer.json().get("errors", [])]


async def refused(toy: Toy, query: str, code: str, variables: dict[str, Any] | None = None) -> httpx.Response:
    """Ask, and hold what must be true of every refusal."""
    answer = await toy.ask(query, variables)
    assert codes(answer) == [code], answer.text
    assert answer.status_code < 500
    assert "data" not in answer.json()
    assert toy.ran == []
    assert not LEAKS.search(answer.text)
    return answer


@pytest.mark.parametrize(
    "query",
    [
        fragment_bomb(20),
        fragment_bomb(60),
        fragment_bomb(25, "a: friends {{ ...F{next} }} b: friends {{ ...F{next} }}"),
        "{ me {" + " friends {" * 11 + " id" + " }" * 13,
        "{ me {" + " ... { friends {" * 11 + " id" + " } }" * 11 + " } }",
        fragment_bomb(13, "friends {{ ...F{next} }}"),
        "{ " + " ".join(f"a{n}: hello" for n in range(31)) + " }",
        "{ " + "hello " * 11 + "}",
        "{ " + "hello " * 900 + "}",
        "{ " + "me { name id } " * 150 + "}",
        "{ hello " + "@a" * 400 + " }",
        "{ hello " + "@a " * 4 + "}",
        "{ me { " + "id @include(if: true) " * 150 + "} }",
        "{ fans(first: 100) { nodes { fans(first: 100) { nodes { fans(first: 100) { nodes { id } } } } } } }",
        "# comment\n" * 1001 + "{ hello }",
        "{a" * 5000,
    ],
)
async def test_a_query_over_a_limit_gets_one_error(toy: Toy, query: str) -> None:
    await refused(toy, query, TOO_COMPLEX)


@pytest.mark.parametrize("query", [fragment_bomb(20), fragment_bomb(60), "{ hello " + "@a" * 400 + " }"])
async def test_a_bomb_is_answered_within_50_ms(toy: Toy, query: str) -> None:
    times = []
    for _ in range(10):
        started = time.process_time()
        await refused(toy, query, TOO_COMPLEX)
        times.append(time.process_time() - started)

    assert min(times) < 0.05


@pytest.mark.parametrize(
    "query",
    [
        "{ me { ...A } } fragment A on Fan { ...B } fragment B on Fan { ...A }",
        "{ me { ...Nobody } }",
        "{ hello } fragment A on Fan { id }",
        "{ hell }",
        "{ me { nam } }",
        "{ hello(nme: 1) }",
        "{ me { id }",
    ],
)
async def test_a_faulty_document_gets_the_spec_s_error_without_suggestions(toy: Toy, query: str) -> None:
    await refused(toy, query, BAD_INPUT)


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { types { name } } }",
        '{ __type(name: "Fan") { name } }',
        "{ __schema { types { fields { type { fields { name } } } } } }",
    ],
)
async def test_introspection_is_refused_but_for_who_is_flagged(toy: Toy, query: str) -> None:
    await refused(toy, query, "FORBIDDEN")

    answer = await toy.ask(query, caller="schema-reader")

    assert "errors" not in answer.json()


async def test_a_document_cached_for_a_flagged_caller_stays_refused_to_others(toy: Toy) -> None:
    query = "{ __schema { queryType { name } } }"
    assert (await toy.ask(query, caller="schema-reader")).json()["data"]

    await refused(toy, query, "FORBIDDEN")


@pytest.mark.parametrize(
    "query, variables",
    [
        ("{ fans(first: 1000000) { nodes { id } } }", None),
        ("{ fans(first: -1) { nodes { id } } }", None),
        ("{ fans(first: 0) { nodes { id } } }", None),
        ("{ fans(first: null) { nodes { id } } }", None),
        ("{ fans { nodes { id } } }", None),
        ("query ($n: Int) { fans(first: $n) { nodes { id } } }", {"n": 10**6}),
        ("query ($n: Int = 1000000) { fans(first: $n) { nodes { id } } }", None),
        ("query ($i: [ID!]!) { nodes(ids: $i) { id } }", {"i": ["1"] * 10_000}),
        ("query ($w: FanFilter!) { search(where: $w) }", {"w": {"tags": ["1"] * 10_000}}),
        ("query ($w: FanFilter!) { search(where: $w) }", {"w": {"allOf": [{"name": "x"}] * 10_000}}),
        ("{ search(where: " + "{allOf: [" * 25 + "]}" * 25 + ") }", None),
    ],
)
async def test_too_large_a_page_or_input_is_bad_input(toy: Toy, query: str, variables: dict[str, Any] | None) -> None:
    await refused(toy, query, BAD_INPUT, variables)


async def test_a_deeply_nested_variable_is_bad_input(toy: Toy) -> None:
    nested: dict[str, Any] = {}
    for _ in range(50):
        nested = {"allOf": [nested]}

    await refused(toy, "query ($w: FanFilter!) { search(where: $w) }", BAD_INPUT, {"w": nested})


async def test_every_answer_tells_its_cost(toy: Toy) -> None:
    answer = await toy.ask("{ fans(first: 2) { nodes { id } totalCount } }")

    throttle = {"maximum": 40_000, "available": 40_000 - 5, "restoreRate": 2_000}
    cost = answer.json()["extensions"]["cost"]
    assert (cost["requested"], cost["actual"]) == (2 * 4, 1 + 2 + 2)
    assert cost["throttle"]["maximum"] == throttle["maximum"]
    assert throttle["available"] <= cost["throttle"]["available"] <= throttle["maximum"]
    assert cost["throttle"]["restoreRate"] == throttle["restoreRate"]


async def test_the_actual_cost_does_not_count_quotes_in_values(toy: Toy) -> None:
    answer = await toy.ask("query ($n: String!) { hello(name: $n) }", {"n": 'a":b":"c'})

    assert answer.json()["extensions"]["cost"]["actual"] == 1


async def test_a_caller_out_of_points_is_told_when_to_return_and_others_are_not(toy: Toy) -> None:
    toy = Toy(limits=Limits(cost=1_000), rate=Rate(maximum=1_000, restore=1))
    query = "query ($i: [ID!]!) { nodes(ids: $i) { id name } }"
    ids = {"i": [str(number) for number in range(100)]}

    answers = [await toy.ask(query, ids, caller="greedy") for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429, 429]
    assert codes(answers[-1]) == ["RATE_LIMITED"]
    assert int(answers[-1].headers["retry-after"]) >= 50
    assert answers[-1].json()["extensions"]["cost"]["requested"] == 300
    assert toy.ran == ["nodes"] * 4
    assert (await toy.ask(query, ids, caller="modest")).status_code == 200


async def test_values_are_never_echoed(toy: Toy) -> None:
    attempts: list[tuple[str, dict[str, Any] | None]] = [
        ("query ($n: Int!) { fans(first: $n) { nodes { id } } }", {"n": PHONE}),
        ("query ($w: FanFilter!) { search(where: $w) }", {"w": {"age": PHONE}}),
        ("query ($w: FanFilter!) { search(where: $w) }", {"w": {PHONE: 1}}),
        ("query ($w: FanFilter!) { search(where: $w) }", {"w": PHONE}),
        ("query ($w: FanFilter!) { search(where: $w) }", {"w": {"tags": [{"x": PHONE}]}}),
        (f'{{ search(where: {{age: "{PHONE}"}}) }}', None),
        (f'{{ search(where: "{PHONE}") }}', None),
        (f'{{ hello(name: "{PHONE}" "{PHONE}") }}', None),
        (f"{{ search(where: {{age: {PHONE}}}) }}", None),
        (f"{{ hello(name: {PHONE}) }}", None),
        (f'{{ search(where: {{nope: "{PHONE}"}}) }}', None),
        (f'{{ search(where: {{tags: [{{x: "{PHONE}"}}]}}) }}', None),
        (f'{{ search(where: {{allOf: "{PHONE}"}}) }}', None),
        (f'query ($n: Int = "{PHONE}") {{ fans(first: $n) {{ nodes {{ id }} }} }}', None),
        (f'{{ hello @include(if: "{PHONE}") }}', None),
        (f'{{ hello(name: """{PHONE}""" 1) }} "{PHONE}"', None),
    ]

    for query, variables in attempts:
        answer = await toy.ask(query, variables)
        assert set(codes(answer)) == {BAD_INPUT}, answer.text
        assert PHONE not in answer.text
    assert toy.ran == []


async def test_a_coercion_error_names_the_variable_and_the_path(toy: Toy) -> None:
    answer = await toy.ask("query ($w: FanFilter!) { search(where: $w) }", {"w": {"allOf": [{"age": PHONE}]}})

    message = "Variable '$w' has an invalid value at allOf[0].age: Int cannot represent non-integer value."
    assert [error["message"] for error in answer.json()["errors"]] == [message]


async def test_a_fault_is_masked_and_logged_once_with_the_id_the_client_gets(toy: Toy) -> None:
    answer = await toy.ask("{ a: boom b: boom hello }")

    body = answer.json()
    assert body["data"] == {"a": None, "b": None, "hello": "Hello you"}
    assert {error["message"] for error in body["errors"]} == {"Internal error"}
    ids = {error["extensions"]["id"] for error in body["errors"]}
    assert [event["error_id"] for event in toy.events] == list(ids)
    assert "hunter2" not in answer.text + str(toy.events)


async def test_an_answer_that_does_not_fit_its_type_is_our_fault(toy: Toy) -> None:
    answer = await toy.ask("{ overflow }")

    assert codes(answer) == ["INTERNAL"]
    assert "1000000000000" not in answer.text


async def test_hostile_new_texts_do_not_grow_the_cache() -> None:
    toy = Toy(document_bytes=50_000)

    for number in range(100):
        await toy.ask(f"{{ a{number}: hello }}")
        await toy.ask(f"{{ nothing{number} }}")

    documents = toy.app._pipeline._documents
    assert 1 <= len(documents) < 25
    assert documents._bytes <= 50_000
