"""The edges of the transport (A11, A18, Q13, Q19): what is not a plain JSON POST never reaches a resolver."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import strawberry

from server.http import GraphQLEndpoint, Options, Rate
from server.http.graphiql import GraphiQL
from server.http.request import Message
from tests.toy import Query, Toy, schema

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
HELLO = b'{"query": "{ hello }"}'


@pytest.fixture
def toy() -> Toy:
    return Toy()


async def post(toy: Toy, body: bytes | AsyncIterator[bytes], headers: dict[str, str] | None = None) -> httpx.Response:
    async with toy.client() as client:
        return await client.post("/graphql", content=body, headers={"content-type": JSON, **(headers or {})})


def variables(raw: str) -> bytes:
    return b'{"query": "query ($n: String) { hello(name: $n) }", "variables": {"n": ' + raw.encode() + b"}}"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; application/json",
        "application/json; charset=utf-16",
        "application/jsonp",
        "",
    ],
)
async def test_only_json_is_read(toy: Toy, content_type: str) -> None:
    answer = await post(toy, HELLO, {"content-type": content_type})

    assert answer.status_code == 415
    assert toy.ran == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_other_methods_are_told_what_is_allowed(toy: Toy, method: str) -> None:
    async with toy.client() as client:
        answer = await client.request(method, "/graphql?query={hello}")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert toy.ran == []


async def test_a_mutation_never_runs_by_get() -> None:
    toy = Toy(get_queries=True)

    async with toy.client() as client:
        query = await client.get("/graphql", params={"query": "{ hello }"})
        mutation = await client.get("/graphql", params={"query": 'mutation { append(word: "x") }'})
        named = await client.get(
            "/graphql", params={"query": 'query A { hello } mutation B { append(word: "x") }', "operationName": "B"}
        )

    assert query.json()["data"] == {"hello": "Hello you"}
    assert [mutation.status_code, named.status_code] == [405, 405]
    assert mutation.headers["allow"] == "POST"
    assert toy.ran == ["hello"]


@pytest.mark.parametrize(
    "query",
    ["query=%7Bhello%7D&query=%7Bme%7D", "query=%FF", "variables=%7B%7D", "", "query=", "query={hello}&variables=[1"],
)
async def test_a_faulty_query_string_is_refused(query: str) -> None:
    toy = Toy(get_queries=True)

    async with toy.client() as client:
        answer = await client.get(f"/graphql?{query}")

    assert answer.status_code == 400
    assert toy.ran == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[" + HELLO + b"]",
        b"{",
        HELLO + b" x",
        b"\xef\xbb\xbf" + HELLO,
        b'{"query": "{ hello }", "query": "{ me { id } }"}',
        variables("NaN"),
        variables("Infinity"),
        variables("1e999"),
        variables("1" * 5000),
        variables("[" * 100_000 + "]" * 100_000),
        variables('{"a":' * 20_000 + "1" + "}" * 20_000),
        variables('{"a": 1, "a": 2}'),
        variables('"\\ud800"'),
        variables('"\\udc00\\ud800"'),
        variables('"\\u0000"'),
        b'{"query": "{ hello(name: \\"\\\\u0000\\") }"}',
        b'{"query": "{ hello(name: \\"\\\\u{000}\\") }"}',
        b'{"query": "\xff"}',
        b'{"query": "{ hello }", "variables": []}',
        b'{"query": "{ hello }", "variables": "{}"}',
        b'{"query": "{ hello }", "operationName": 1}',
        b'{"query": "{ hello }", "extensions": []}',
        b'{"query": ""}',
        b'{"query": {}}',
        b'{"id": "only-a-hash"}',
    ],
    ids=range(27),
)
async def test_a_body_that_is_not_one_plain_json_operation_is_refused(toy: Toy, body: bytes) -> None:
    answer = await post(toy, body)

    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert toy.ran == []
    assert toy.events == []


async def test_an_integer_over_64_bits_is_bad_input(toy: Toy) -> None:
    answer = await post(toy, variables(str(2**63)))

    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT", "field": ["n"]}
    assert toy.ran == []


async def test_an_emoji_written_as_a_surrogate_pair_is_read(toy: Toy) -> None:
    answer = await post(toy, variables('"\\ud83c\\udf53"'))

    assert answer.json()["data"] == {"hello": "Hello 🍓"}


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_a_compressed_body_is_refused_unread(toy: Toy, encoding: str) -> None:
    bomb = gzip.compress(b" " * 10_000_000)

    assert (await post(toy, bomb, {"content-encoding": encoding})).status_code == 415


async def test_a_body_is_cut_at_the_limit_whatever_its_length_says(toy: Toy) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(25):
            yield b" " * 16 * 1024

    assert (await post(toy, b" " * 20_000_000)).status_code == 413
    chunked = await post(toy, chunks())
    assert (chunked.status_code, chunked.headers["connection"]) == (413, "close")
    assert (await post(toy, HELLO.ljust(256 * 1024))).status_code == 200


async def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read(toy: Toy) -> None:
    async def never() -> Message:
        raise AssertionError("the body was read")

    sent = await call(toy, never, headers=[(b"content-type", b"application/json"), (b"content-length", b"9" * 400)])

    assert sent[0]["status"] == 413


@pytest.mark.parametrize(
    "accept, media",
    [
        (None, JSON),
        ("*/*", JSON),
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}, {JSON};q=0.9", GRAPHQL),
        (f"{JSON};q=0.5, {GRAPHQL};q=0.4", JSON),
        (f"text/html, {GRAPHQL};q=0.1", GRAPHQL),
        ("application/*", JSON),
        (f"{JSON};q=x, {GRAPHQL};q=0.1", GRAPHQL),
    ],
)
async def test_the_answer_has_the_media_type_that_is_accepted(toy: Toy, accept: str | None, media: str) -> None:
    answer = await post(toy, HELLO, {"accept": accept} if accept else {})

    assert answer.headers["content-type"] == f"{media}; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


async def test_an_answer_nobody_accepts_is_not_computed(toy: Toy) -> None:
    assert (await post(toy, HELLO, {"accept": "text/html"})).status_code == 406
    assert toy.ran == []


@pytest.mark.parametrize("media, status", [(JSON, 200), (GRAPHQL, 400)])
@pytest.mark.parametrize(
    "query",
    ["{", "{ nothing }", "query ($a: ID!) { hello }", "query A { hello } query B { hello }", "subscription { ticks }"],
)
async def test_a_request_error_has_no_data(toy: Toy, query: str, media: str, status: int) -> None:
    answer = await toy.ask(query, headers={"accept": media})

    assert answer.status_code == status
    assert "data" not in answer.json()
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert toy.ran == []


@pytest.mark.parametrize("media", [JSON, GRAPHQL])
@pytest.mark.parametrize("query, token", [("{ hello }", "expired"), ("{ secret }", "staff")])
async def test_without_a_valid_token_the_status_is_401(toy: Toy, query: str, token: str, media: str) -> None:
    answer = await toy.ask(query, caller=token, headers={"accept": media})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["message"] == "A valid access token is required."
    assert answer.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
    assert "data" not in answer.json()
    assert toy.ran == []


async def test_what_was_answered_is_kept_when_another_field_wants_a_token(toy: Toy) -> None:
    answer = await toy.ask("{ hello secret }")

    assert answer.status_code == 200
    assert answer.json()["data"] == {"hello": "Hello you", "secret": None}


async def test_two_authorization_headers_do_not_hide_one_another(toy: Toy) -> None:
    async with toy.client() as client:
        headers = [("authorization", "Bearer staff"), ("authorization", "Bearer expired"), ("content-type", JSON)]
        answer = await client.post("/graphql", content=b'{"query": "{ __schema { types { name } } }"}', headers=headers)

    assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_crash_while_authenticating_is_masked(toy: Toy) -> None:
    answer = await toy.ask("{ hello }", caller="crash")

    assert answer.status_code == 500
    assert answer.json()["errors"][0]["message"] == "Internal error"
    assert answer.json()["errors"][0]["extensions"]["id"] == toy.events[0]["error_id"]
    assert "/secret/path" not in answer.text + str(toy.events)


async def test_a_refusal_keeps_its_code_and_message(toy: Toy) -> None:
    answer = await toy.ask("{ missing { id } }")

    error = answer.json()["errors"][0]
    assert (error["message"], error["path"], error["extensions"]) == (
        "No such object.",
        ["missing"],
        {"code": "NOT_FOUND"},
    )
    assert answer.json()["data"] == {"missing": None}


async def test_mutations_run_one_after_another(toy: Toy) -> None:
    answer = await toy.ask('mutation { a: append(word: "first") b: append(word: "second") }')

    assert answer.json()["data"] == {"a": ["first"], "b": ["first", "second"]}


async def test_work_past_the_time_limit_is_stopped() -> None:
    toy = Toy(request_timeout=0.05)

    answer = await toy.ask("{ slow }")

    assert answer.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"
    assert toy.ran == ["cancelled"]


async def test_a_body_that_trickles_is_cut() -> None:
    toy = Toy(request_timeout=0.05)

    async def trickle() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    sent = await call(toy, trickle)

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_work_stops_when_the_client_leaves(toy: Toy) -> None:
    messages: list[Message] = [{"type": "http.request", "body": b'{"query": "{ slow }"}'}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async with asyncio.timeout(1):
        sent = await call(toy, receive)

    assert sent == []
    assert toy.ran == ["cancelled"]


async def test_a_client_that_leaves_inside_its_body_is_forgotten(toy: Toy) -> None:
    messages: list[Message] = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Message:
        return messages.pop()

    assert await call(toy, receive) == []


async def test_graphiql_is_served_to_browsers_only_where_it_is_on() -> None:
    on = Toy(graphiql=True)

    async with on.client() as client:
        page = await client.get("/graphql", headers={"accept": "text/html,application/xhtml+xml"})
        other = await client.get("/graphql?query={hello}", headers={"accept": JSON})
    async with Toy().client() as client:
        off = await client.get("/graphql", headers={"accept": "text/html"})

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "isHeadersEditorEnabled: true" in page.text
    assert (other.status_code, other.headers["allow"], off.status_code) == (405, "GET, POST", 405)


def test_the_page_s_policy_allows_what_the_page_loads_and_no_inline_script_of_others() -> None:
    policy = dict(
        part.split(" ", 1) for part in dict(GraphiQL().headers)[b"content-security-policy"].decode().split("; ")
    )

    assert "'unsafe-inline'" not in policy["script-src"]
    assert policy["script-src"].count("'sha256-") == 1
    assert policy["frame-ancestors"] == "'none'"


async def test_what_the_endpoint_could_not_hold_is_refused_when_it_is_made() -> None:
    class Extension(strawberry.extensions.SchemaExtension):
        pass

    with pytest.raises(ValueError, match="extensions"):
        GraphQLEndpoint(strawberry.Schema(Query, extensions=[Extension]), make_context=Toy()._context)
    with pytest.raises(ValueError, match="bucket"):
        GraphQLEndpoint(schema, make_context=Toy()._context, options=Options(rate=Rate(maximum=100)))


async def call(toy: Toy, receive: Any, headers: list[tuple[bytes, bytes]] | None = None) -> list[Message]:
    """Call the application as a server would, and return what it sent."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": headers or [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
    }
    await toy.app(scope, receive, send)
    return sent
