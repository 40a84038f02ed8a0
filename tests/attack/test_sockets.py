"""The edges of WebSockets (A10, X08): the gate, bucket and masks of HTTP, and an end to whatever takes too long."""

from typing import Any

import pytest

from schema.gate import Limits
from server.http import Rate
from server.http.sockets import SocketOptions
from tests.server.deployed import eventually
from tests.sockets import connected
from tests.toy import PHONE, Toy, fragment_bomb

FIRST = {"data": {"ticks": 0}}


@pytest.fixture
def toy() -> Toy:
    return Toy()


def payload(message: Any) -> Any:
    return {name: part for name, part in message["payload"].items() if name != "extensions"}


def quick(**options: Any) -> Toy:
    return Toy(sockets=SocketOptions(rights_seconds=0.05, **options))


async def test_a_subscription_brings_its_answers_and_completes(toy: Toy) -> None:
    async with connected(toy.app) as socket:
        await socket.init()
        socket.subscribe("subscription ($n: Int!) { ticks(count: $n) }", "a", variables={"n": 2})
        messages = [await socket.hear() for _ in range(3)]

    assert [payload(message) for message in messages[:2]] == [FIRST, {"data": {"ticks": 1}}]
    assert messages[0]["payload"]["extensions"]["cost"]["requested"] == 1
    assert messages[2] == {"id": "a", "type": "complete"}
    assert toy.ran == ["closed"]


async def test_queries_and_mutations_run_too_and_ids_can_be_used_again(toy: Toy) -> None:
    async with connected(toy.app) as socket:
        await socket.init()
        for _ in range(2):
            socket.subscribe('{ hello(name: "Lin") }')
            assert await socket.data() == {"hello": "Hello Lin"}
            assert await socket.hear() == {"id": "1", "type": "complete"}
        socket.subscribe('mutation { append(word: "w") }')
        assert await socket.data() == {"append": ["hello", "hello", "w"]}


async def test_only_the_one_subprotocol_is_spoken(toy: Toy) -> None:
    for offered in ((), ("graphql-ws",), ("x", "y")):
        async with connected(toy.app, subprotocols=offered) as socket:
            assert await socket.hear() == 4406


async def test_nothing_runs_before_the_first_message(toy: Toy) -> None:
    async with connected(toy.app, authorization="Bearer staff") as socket:
        socket.subscribe("{ hello }")
        assert await socket.hear() == 4401

    async with connected(quick(initialisation_seconds=0.05).app) as socket:
        socket.say(type="ping")
        assert await socket.hear() == {"type": "pong"}
        assert await socket.hear() == 4408
    assert toy.ran == []


async def test_a_bad_token_or_none_is_forbidden(toy: Toy) -> None:
    messages: list[dict[str, Any]] = [
        {"payload": {"Authorization": "Bearer expired"}},
        {"payload": {"authorization": 1}},
        {"payload": {}},
        {"payload": None},
        {},
    ]
    for message in messages:
        async with connected(toy.app) as socket:
            socket.say(type="connection_init", **message)
            assert await socket.hear() == 4403


async def test_the_token_of_the_handshake_does_where_the_first_message_has_none(toy: Toy) -> None:
    async with connected(toy.app, authorization="Bearer staff") as socket:
        socket.say(type="connection_init")
        assert await socket.hear() == {"type": "connection_ack"}
        socket.say(type="connection_init")
        assert await socket.hear() == 4429


async def test_a_fault_of_ours_says_an_id_and_no_more(toy: Toy) -> None:
    async with connected(toy.app) as socket:
        socket.say(type="connection_init", payload={"Authorization": "Bearer crash"})
        closed = await socket.hear()
    async with connected(toy.app) as socket:
        await socket.init()
        socket.subscribe("subscription { broken }")
        message = await socket.hear()

    assert closed == 4500
    assert message["type"] == "error"
    assert [error["message"] for error in message["payload"]] == ["Internal error"]
    assert [event["event"] for event in toy.events] == ["graphql_internal_error"] * 2
    assert "hunter2" not in str(toy.events)


async def test_pages_of_other_hosts_are_refused_unless_listed() -> None:
    listed = Toy(sockets=SocketOptions(origins=frozenset({"https://shop.example"})))
    anybody = Toy(sockets=SocketOptions(origins=frozenset({"*"})))

    for app, origin, welcome in (
        (Toy().app, "https://evil.example", False),
        (Toy().app, "https://scrm.test.evil.example", False),
        (Toy().app, "null", False),
        (Toy().app, "", False),
        (Toy().app, "https://scrm.test", True),
        (listed.app, "https://evil.example", False),
        (listed.app, "https://shop.example", True),
        (anybody.app, "https://evil.example", True),
    ):
        async with connected(app, origin=origin) as socket:
            if welcome:
                await socket.init()
            else:
                assert await socket.hear() == 403


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        '{"type": "start", "id": "1"}',
        '{"type": ["ping"]}',
        '{"type": "subscribe", "payload": {"query": "{ hello }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ hello }"}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ hello }"}}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
        '{"type": "subscribe", "id": "1", "payload": "{ hello }"}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "query": "{ me { id } }"}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }", "variables": {"n": NaN}}}',
        '{"type": "subscribe", "id": "\\ud800", "payload": {"query": "{ hello }"}}',
        '{"type": "subscribe", "id": "' + "x" * 129 + '", "payload": {"query": "{ hello }"}}',
        "[" * 50_000,
    ],
)
async def test_what_is_no_message_closes_the_connection(toy: Toy, text: str) -> None:
    async with connected(toy.app) as socket:
        await socket.init()
        socket.say_text(text)
        assert await socket.hear() == 4400

    assert toy.ran == []


async def test_bytes_are_no_message(toy: Toy) -> None:
    async with connected(toy.app) as socket:
        await socket.init()
        socket.sent.put_nowait({"type": "websocket.receive", "bytes": b"{}"})
        assert await socket.hear() == 4400


async def test_an_id_in_use_cannot_be_used_again(toy: Toy) -> None:
    async with connected(toy.app) as socket:
        await socket.init()
        socket.subscribe("subscription { ticks(count: 100, seconds: 0.05) }")
        await socket.data()
        socket.subscribe("{ hello }")
        assert await socket.hear() == 4409

    assert toy.ran == ["closed"]


async def test_the_hundred_and_first_operation_is_refused_and_the_others_go_on(toy: Toy) -> None:
    async with connected(toy.app) as socket:
        await socket.init()
        for number in range(100):
            socket.subscribe("subscription { ticks(seconds: 60) }", str(number))
        socket.subscribe("{ hello }", "one too many")
        refused = await socket.hear()
        socket.say(id="0", type="complete")
        socket.say(type="ping")
        assert await socket.hear() == {"type": "pong"}
        socket.subscribe("{ hello }", "again")
        answered = await socket.data()

    assert (refused["id"], refused["type"]) == ("one too many", "error")
    assert [error["extensions"]["code"] for error in refused["payload"]] == ["RATE_LIMITED"]
    assert "100 operations" in refused["payload"][0]["message"]
    assert answered == {"hello": "Hello you"}
    assert toy.ran.count("closed") == 100


async def test_connections_are_counted_in_all_and_for_each_caller() -> None:
    few = Toy(sockets=SocketOptions(connections=3, connections_per_caller=2))

    async with connected(few.app) as one, connected(few.app) as two:
        await one.init()
        await two.init()
        async with connected(few.app) as third:
            third.say(type="connection_init", payload={"Authorization": "Bearer staff"})
            assert await third.hear() == 1013
        async with connected(few.app) as other:
            await other.init("other")
            async with connected(few.app) as fourth:
                assert await fourth.hear() == 1013
    async with connected(few.app) as afterwards:
        await afterwards.init()


@pytest.mark.parametrize(
    "document, code",
    [
        (fragment_bomb(60), "QUERY_TOO_COMPLEX"),
        ("subscription { fansSeen { " + "friends { " * 12 + "id" + " }" * 12 + " } }", "QUERY_TOO_COMPLEX"),
        ("subscription { fansSeen { fans(first: 1000) { nodes { id } } } }", "BAD_USER_INPUT"),
        ("subscription { __schema { types { name } } }", "FORBIDDEN"),
        ("subscription { ticks more: ticks }", "BAD_USER_INPUT"),
        ("subscription { nothing }", "BAD_USER_INPUT"),
        ("subscription {", "BAD_USER_INPUT"),
    ],
)
async def test_the_gate_and_the_rules_of_http_hold(toy: Toy, document: str, code: str) -> None:
    async with connected(toy.app) as socket:
        await socket.init()
        socket.subscribe(document)
        message = await socket.hear()
        socket.subscribe("{ hello }", "next")
        assert await socket.data() == {"hello": "Hello you"}

    assert (message["id"], message["type"]) == ("1", "error")
    assert {error["extensions"]["code"] for error in message["payload"]} == {code}


async def test_what_was_sent_is_not_said_back(toy: Toy) -> None:
    async with connected(toy.app) as socket:
        await socket.init()
        socket.subscribe("query ($n: Int) { hello(name: $n) }", variables={"n": PHONE})
        message = await socket.hear()

    assert message["type"] == "error"
    assert PHONE not in str(message)


async def test_operations_here_and_there_spend_from_one_bucket() -> None:
    poor = Toy(rate=Rate(maximum=30, restore=1), limits=Limits(cost=30))

    async with connected(poor.app) as socket:
        await socket.init()
        socket.subscribe("{ fans(first: 10) { nodes { id } } }")
        await socket.data()
        await socket.hear()
        over_http = (await poor.ask("{ fans(first: 10) { nodes { id } } }")).json()
        socket.subscribe("{ fans(first: 10) { nodes { id } } }")
        refused = await socket.hear()

    assert over_http["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert [error["extensions"]["code"] for error in refused["payload"]] == ["RATE_LIMITED"]


async def test_a_subscription_waits_for_points_rather_than_lose_what_comes() -> None:
    poor = Toy(rate=Rate(maximum=2, restore=20), limits=Limits(cost=2), sockets=SocketOptions(rights_seconds=0.05))

    async with connected(poor.app) as socket:
        await socket.init()
        socket.subscribe("subscription { ticks(count: 8) }")
        found = [(await socket.data())["ticks"] for _ in range(8)]

    assert found == list(range(8))


async def test_a_query_has_the_time_it_has_over_http() -> None:
    toy = Toy(request_timeout=0.1)

    async with connected(toy.app) as socket:
        await socket.init()
        socket.subscribe("{ slow }")
        message = await socket.hear()

    assert [error["extensions"]["code"] for error in message["payload"]] == ["TIMEOUT"]
    assert toy.ran == ["cancelled"]


async def test_whoever_completes_or_leaves_stops_what_runs(toy: Toy) -> None:
    async with connected(toy.app) as socket:
        await socket.init()
        socket.subscribe("subscription { ticks(count: 2, seconds: 60) }", "a")
        socket.subscribe("{ slow }", "b")
        socket.subscribe("{ hello }", "c")
        await socket.data()
        await socket.hear()
        socket.say(id="a", type="complete")
        socket.say(id="unknown", type="complete")
        socket.say(type="ping")
        assert await socket.hear() == {"type": "pong"}
        stopped = list(toy.ran)

    assert stopped == ["hello", "closed"]
    assert toy.ran == ["hello", "closed", "cancelled"]


async def test_each_row_is_shown_to_those_alone_who_may_see_it_now() -> None:
    toy = quick()

    async with connected(toy.app) as socket:
        await socket.init()
        socket.subscribe("subscription { fansSeen { id name } }")
        found = [(await socket.data())["fansSeen"]["id"] for _ in range(3)]
        toy.ran.append("revoked")
        ended = await socket.hear(1)
        socket.subscribe("{ me { id } }", "other")
        assert await socket.data() == {"me": {"id": "1"}}

    assert found == ["0", "1", "2"]
    assert (ended["id"], ended["type"]) == ("1", "error")
    assert [error["extensions"]["code"] for error in ended["payload"]] == ["FORBIDDEN"]
    assert toy.ran == ["revoked", "closed"]


@pytest.mark.parametrize("document", ["subscription { fansSeen { id } }", "subscription { ticks(seconds: 60) }"])
async def test_a_token_that_ends_ends_the_connection(document: str) -> None:
    toy = quick()

    async with connected(toy.app) as socket:
        await socket.init()
        socket.subscribe(document)
        socket.subscribe("{ hello }", "here")
        while (await socket.hear())["id"] != "here":
            pass
        toy.ran.append("staff")
        while not isinstance(heard := await socket.hear(1), int):
            pass

    assert heard == 4403
    assert "closed" in toy.ran


async def test_a_client_that_reads_no_more_is_let_go() -> None:
    toy = quick(send_seconds=0.1)

    async with connected(toy.app) as socket:
        await socket.init()
        socket.reading.clear()
        socket.subscribe("subscription { ticks(count: 100000) }")
        assert await eventually(lambda: "closed" in toy.ran)

    assert socket.answered.empty()


async def test_over_http_a_subscription_is_sent_here(toy: Toy) -> None:
    answer = (await toy.ask("subscription { ticks }")).json()

    assert answer["errors"][0]["message"] == "Subscriptions run over a WebSocket."
    assert toy.ran == []
