"""A request that goes straight to its endpoint is answered as one that goes through ASGI is, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import uvicorn

from server.http.request import Receive, Request, Scope, Send
from server.straight import StraightProtocol
from tests.toy import Toy

HELLO = "{ hello }"
ANSWER = {"data": {"hello": "Hello you"}}


@dataclass
class Served:
    """A running server, and by which way requests came."""

    toy: Toy
    port: int
    ways: list[str]
    callers: list[str]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Wire"]:
        """Open a connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Wire(reader, writer)
        finally:
            writer.close()


@dataclass
class Wire:
    """A connection that speaks plain HTTP."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def read(self) -> tuple[int, dict[str, str], Any]:
        """Read one answer: its status, its headers, and what its JSON says."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers, json.loads(body) if "json" in headers.get("content-type", "") else body

    async def is_closed(self) -> bool:
        """Tell whether the server closes the connection, within a few seconds."""
        async with asyncio.timeout(10):
            return await self.reader.read(1) == b""


def post(query: str = HELLO, *, path: str = "/graphql", headers: str = "", body: bytes | None = None) -> bytes:
    sent = json.dumps({"query": query}).encode() if body is None else body
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}content-length: {len(sent)}\r\n"
    )
    return head.encode() + b"\r\n" + sent


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 (nobody tells of it)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(*, idle: int = 5, **options: Any) -> AsyncIterator[Served]:
    """Serve the toy endpoint as the product's is served."""
    toy, ways, callers = Toy(**options), [], []
    straight = toy.app.answer

    async def answer(request: Request, receive: Receive) -> Any:
        ways.append("straight")
        callers.append(request.client)
        return await straight(request, receive)

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/graphql":
            await toy.app(scope, receive, send)
            ways[-1] = "asgi"
        else:
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

    toy.app.answer = answer  # type: ignore[method-assign]
    protocol: Any = partial(StraightProtocol, endpoints={b"/graphql": toy.app})
    config = uvicorn.Config(
        asgi, host="127.0.0.1", port=0, http=protocol, lifespan="off", timeout_keep_alive=idle, log_config=None
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    await _until(lambda: server.started)
    try:
        yield Served(toy, server.servers[0].sockets[0].getsockname()[1], ways, callers)
    finally:
        server.should_exit = True
        await running


async def test_a_connection_carries_one_request_after_another() -> None:
    async with serving() as served, served.connection() as wire:
        for _ in range(3):
            wire.send(post())
            status, headers, answer = await wire.read()

            assert (status, answer["data"]) == (200, ANSWER["data"])
            assert headers["content-type"] == "application/json; charset=utf-8"
            assert headers["cache-control"] == "no-store"
            assert "date" in headers
            assert "connection" not in headers
    assert served.ways == ["straight"] * 3


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the bytes of the requests that were not parsed again."""
    found: list[bytes] = []
    repeat = StraightProtocol._repeat

    def noted(self: StraightProtocol, before: Any, data: bytes) -> None:
        found.append(data)
        repeat(self, before, data)

    monkeypatch.setattr(StraightProtocol, "_repeat", noted)
    return found


async def test_a_head_that_comes_again_is_not_parsed_again(repeated: list[bytes]) -> None:
    async with serving() as served, served.connection() as wire:
        for query in (HELLO, "{hello }", HELLO, "{ x:hello }", "{ y:hello }", "{ nothing }"):
            wire.send(post(query))
            status, _, answer = await wire.read()
            key = query.strip("{ }").partition(":")[0]
            assert status == 200
            assert answer.get("data") == (None if key == "nothing" else {key: "Hello you"})
    # the others differ in the length they say, and "{ nothing }" is as long as those before it
    assert repeated == [post("{ y:hello }"), post("{ nothing }")]
    assert served.ways == ["straight"] * 6


async def test_a_head_that_comes_again_in_another_way_is_parsed(repeated: list[bytes]) -> None:
    one, other = (post(headers=f"x-forwarded-for: 203.0.113.{number}\r\n") for number in (1, 2))
    async with serving() as served, served.connection() as wire:
        for sent in (one, other, one[:-5], one[-5:], one + other, one):
            wire.send(sent)
            await asyncio.sleep(0.05)
        for _ in range(6):
            assert (await wire.read())[2]["data"] == ANSWER["data"]
        wire.send(b"GET /x HTTP/1.1\r\n\r\n")
        assert (await wire.read())[0] == 404
        for _ in range(2):
            wire.send(one)
            assert (await wire.read())[2]["data"] == ANSWER["data"]
    assert served.callers == [f"203.0.113.{number}" for number in (1, 2, 1, 1, 2, 1, 1, 1)]
    assert repeated == [one]


async def test_a_head_that_comes_again_is_answered_in_the_type_it_accepts(repeated: list[bytes]) -> None:
    new, old = "application/graphql-response+json", "application/json"
    async with serving() as served, served.connection() as wire:
        for accept in (new, new, old, old, "text/html", "text/html", new):
            wire.send(post(headers=f"accept: {accept}\r\n"))
            status, headers, answer = await wire.read()
            assert (status, headers["content-type"].partition(";")[0]) == (
                (200, accept) if "json" in accept else (406, old)
            )
            assert ("errors" in answer) == (status != 200)
    assert len(repeated) == 3


async def test_a_head_that_comes_again_waits_for_the_answer_before(repeated: list[bytes]) -> None:
    slow, quick = post("{ slow(seconds: 0.2) }"), post("{ x: hello           }")
    assert len(slow) == len(quick)
    async with serving() as served, served.connection() as wire:
        wire.send(slow)
        await asyncio.sleep(0.05)
        wire.send(quick)

        assert [(await wire.read())[2]["data"] for _ in range(2)] == [{"slow": "done"}, {"x": "Hello you"}]
    assert repeated == []
    assert served.ways == ["straight", "asgi"]


async def test_the_end_of_a_body_is_no_part_of_the_head_behind_it(repeated: list[bytes]) -> None:
    refused = post().replace(b"application/json", b"text/plain")
    async with serving() as served, served.connection() as wire:
        wire.send(refused[:-5])
        assert (await wire.read())[0] == 415
        both = refused[-5:] + post()
        wire.send(both)
        assert (await wire.read())[0] == 200
        wire.send(both)

        assert (await wire.read())[0] == 400
    assert repeated == []
    assert served.ways == ["straight"] * 2


async def test_a_body_may_come_in_pieces() -> None:
    async with serving() as served, served.connection() as wire:
        whole = post()
        for start in range(0, len(whole), 40):
            wire.send(whole[start : start + 40])
            await asyncio.sleep(0.02)

        assert (await wire.read())[2]["data"] == ANSWER["data"]
    assert served.ways == ["straight"]


async def test_requests_that_do_not_wait_are_answered_in_their_order() -> None:
    async with serving() as served, served.connection() as wire:
        slow = "{ slow(seconds: 0.2) }"
        wire.send(post(slow) + post() + post("{ me { id } }"))

        answers = [(await wire.read())[2]["data"] for _ in range(3)]
        wire.send(post())
        last = (await wire.read())[2]["data"]

    assert answers == [{"slow": "done"}, ANSWER["data"], {"me": {"id": "1"}}]
    assert last == ANSWER["data"]
    assert served.ways == ["straight", "asgi", "asgi", "straight"]


@pytest.mark.parametrize(
    "sent, status",
    [
        (post(path="/elsewhere"), 404),
        (b"GET /graphql HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (post(path="/graphql?x=1"), 200),
        (post(body=b"x" * 3000), 413),
        (post(body=b"[]"), 400),
        (post(headers="content-encoding: gzip\r\n"), 415),
        (
            b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            b"16\r\n" + json.dumps({"query": HELLO}).encode() + b"\r\n0\r\n\r\n",
            200,
        ),
    ],
)
async def test_what_is_refused_and_what_goes_another_way(sent: bytes, status: int) -> None:
    async with serving(max_body=2000) as served, served.connection() as wire:
        wire.send(sent)

        assert (await wire.read())[0] == status


async def test_who_asks_for_it_has_the_connection_closed() -> None:
    async with serving() as served, served.connection() as wire:
        wire.send(post(headers="connection: close\r\n"))

        assert (await wire.read())[1]["connection"] == "close"
        assert await wire.is_closed()
    assert served.ways == ["straight"]


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with serving(request_timeout=0.3) as served, served.connection() as wire:
        wire.send(post()[:-5])

        assert (await wire.read())[0] == 408
        assert await wire.is_closed()


async def test_work_ends_when_the_client_leaves() -> None:
    async with serving() as served:
        async with served.connection() as wire:
            wire.send(post("{ slow }"))
            await asyncio.sleep(0.2)
        await _until(lambda: served.toy.ran == ["cancelled"])


async def test_a_client_that_leaves_within_its_body_is_nobody_to_answer() -> None:
    async with serving() as served:
        async with served.connection() as wire:
            wire.send(post()[:-5])
            await asyncio.sleep(0.1)
        async with served.connection() as wire:
            wire.send(post())
            assert (await wire.read())[0] == 200
    assert served.toy.events == []


async def test_an_idle_connection_is_closed_and_one_in_use_is_not() -> None:
    async with serving(idle=1) as served, served.connection() as wire:
        for _ in range(4):
            wire.send(post())
            await wire.read()
            await asyncio.sleep(0.4)
        wire.send(post("{ slow(seconds: 1.5) }"))
        assert (await wire.read())[2]["data"] == {"slow": "done"}

        assert await wire.is_closed()


async def test_the_address_is_the_one_a_trusted_proxy_names() -> None:
    async with serving() as served, served.connection() as wire:
        for headers in ("", "x-forwarded-for: 203.0.113.9\r\n", "x-forwarded-for: 198.51.100.1, 203.0.113.9\r\n"):
            wire.send(post(headers=headers))
            await wire.read()
    assert served.callers == ["127.0.0.1", "203.0.113.9", "203.0.113.9"]


async def test_a_server_that_stops_finishes_what_is_under_way() -> None:
    async with serving() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        wire = Wire(reader, writer)
        wire.send(post("{ slow(seconds: 0.5) }"))
        await asyncio.sleep(0.1)
        answer = asyncio.create_task(wire.read())
    status, headers, said = await answer

    assert (status, headers["connection"], said["data"]) == (200, "close", {"slow": "done"})
    writer.close()
