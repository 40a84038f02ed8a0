import asyncio
import contextlib
import gc
import socket
import time
import warnings
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from neo4j.exceptions import ClientError, CypherSyntaxError, Forbidden

from graph import driver
from graph.constraints import SCHEMA
from graph.driver import Graph
from graph.errors import GraphUnavailable, GraphWriteRefused
from graph.fans import FanNode, node_id, stream_fans, upsert_fans
from graph.statements import require_reading
from tests.conftest import GraphServer
from tests.graph.trees import new_brand

NOBODY = ("neo4j", "no password")


@contextlib.asynccontextmanager
async def blackhole() -> AsyncIterator[str]:
    """Accept connections and never answer."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(64)
        yield f"bolt://127.0.0.1:{deaf.getsockname()[1]}"


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"bolt://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize(
    "text",
    [
        "CREATE (f:Fan {id: $id}) RETURN f",
        "MATCH (f:Fan) SET f.v = 1",
        "match (f:Fan) detach delete f",
        "MATCH (f:Fan) REMOVE f.v RETURN f",
        "MERGE (f:Fan {id: 1})",
        "MATCH (f) FOREACH (x IN [1] | SET f.v = x)",
        "MATCH (f:Fan) CALL { CREATE (g:Fan) } RETURN f",
        "CALL dbms.listConfig()",
        "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
        "DROP INDEX fan_brand",
        "MATCH (f) /* no */ DELETE/* comment */f",
    ],
)
async def test_reading_refuses_text_that_writes_before_it_is_sent(graph: Graph, text: str) -> None:
    with pytest.raises(GraphWriteRefused):
        await graph.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "MATCH (f:Fan) WHERE f.id = 'DELETE me' RETURN f.set AS created",
        "MATCH (f:Fan)-[:CREATE]->(g) RETURN count(*) AS n // SET",
        "UNWIND $sets AS set_ CALL (set_) { MATCH (f:Fan {id: set_}) RETURN f } RETURN f.`DROP`",
        "MATCH (f) WHERE f.v = $create RETURN f",
    ],
)
def test_words_within_names_strings_and_comments_do_not_count_as_writing(text: str) -> None:
    require_reading(text)


async def test_a_stopped_engine_is_reported_within_a_second_and_then_at_once() -> None:
    graph = Graph.connect(closed_port(), NOBODY, "scrm")
    started = time.monotonic()

    with pytest.raises(GraphUnavailable):
        await graph.read("RETURN 1 AS one")
    first = time.monotonic() - started
    for _ in range(50):
        with pytest.raises(GraphUnavailable):
            await graph.read("RETURN 1 AS one")
    others = time.monotonic() - started - first

    assert first < 1.0
    assert others < 0.1
    await graph.close()


async def test_a_caller_who_gives_up_while_it_connects_leaves_no_socket_and_no_error_behind() -> None:
    unheard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unheard.append(told))

    async def give_up_after(ticks: int) -> None:
        graph = Graph.connect(closed_port(), NOBODY, "scrm")
        callers = [asyncio.ensure_future(graph.read("RETURN 1")) for _ in range(3)]
        for _ in range(ticks):
            await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        found = await asyncio.gather(*callers, return_exceptions=True)
        assert {type(one) for one in found} <= {asyncio.CancelledError, GraphUnavailable}
        await graph.close()

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        await asyncio.gather(*map(give_up_after, range(40)))
        gc.collect()

    assert (unheard, [str(one.message) for one in warned]) == ([], [])


async def test_an_engine_that_never_answers_is_reported_in_time_and_then_at_once() -> None:
    async with blackhole() as uri:
        graph = Graph.connect(uri, NOBODY, "scrm")
        started = time.monotonic()

        with pytest.raises(GraphUnavailable):
            await graph.read("RETURN 1 AS one")
        first = time.monotonic() - started
        with pytest.raises(GraphUnavailable):
            await graph.write("MERGE (f:Fan {id: 'never'})")
        second = time.monotonic() - started - first

        assert first < 3.5
        assert second < 0.1
        await graph.close()


async def test_callers_waiting_together_for_a_deaf_engine_all_get_their_answer() -> None:
    async with blackhole() as uri:
        graph = Graph.connect(uri, NOBODY, "scrm")
        started = time.monotonic()

        answers = await asyncio.gather(*(graph.read("RETURN 1 AS one") for _ in range(80)), return_exceptions=True)

        assert {type(answer) for answer in answers} == {GraphUnavailable}
        assert time.monotonic() - started < 4.0
        await graph.close()


async def test_the_driver_recovers_when_the_engine_is_back(graph_server: GraphServer) -> None:
    graph = Graph.connect(closed_port(), graph_server.auth, graph_server.database)
    with pytest.raises(GraphUnavailable):
        await graph.verify()

    await graph.move(graph_server.uri)

    await graph.verify()
    await graph.close()


async def test_a_wrong_statement_is_a_fault_and_does_not_count_as_an_outage(graph: Graph) -> None:
    with pytest.raises(CypherSyntaxError):
        await graph.read("RETRUN 1")

    await graph.verify()


async def test_the_keys_may_be_made_again_and_by_several_at_once(graph_server: GraphServer) -> None:
    several = [graph_server.connect() for _ in range(4)]
    await asyncio.gather(*(graph.prepare() for graph in several))
    for graph in several:
        await graph.close()


def overheard(monkeypatch: pytest.MonkeyPatch, refused: Mapping[str, type[Exception]]) -> list[str]:
    """Answer statements with nothing, or refuse them, and return what was said."""
    said: list[str] = []

    async def answer(transaction: Any, cypher: str, parameters: Any) -> list[Any]:
        said.append(cypher)
        await asyncio.sleep(0.01)
        if cypher in refused:
            raise refused[cypher]
        return []

    monkeypatch.setattr(driver, "_rows", answer)
    return said


async def test_nothing_is_written_before_the_keys_are_made(
    graph_server: GraphServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = overheard(monkeypatch, {})
    graph = graph_server.connect()
    writes = [graph.write("MERGE (f:Fan {id: 'x'})") for _ in range(3)]
    await asyncio.gather(graph.prepare(), *writes, graph.prepare())
    await graph.write("MERGE (f:Fan {id: 'y'})")
    await graph.close()

    assert said[: len(SCHEMA)] == list(SCHEMA)
    assert said[len(SCHEMA) :] == ["MERGE (f:Fan {id: 'x'})"] * 3 + ["MERGE (f:Fan {id: 'y'})"]


async def test_nothing_is_written_where_the_keys_cannot_be_made(
    graph_server: GraphServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = overheard(monkeypatch, {SCHEMA[0]: ClientError})
    graph = graph_server.connect()
    for _ in range(2):
        with pytest.raises(GraphUnavailable):
            await graph.write("MERGE (f:Fan {id: 'x'})")
    await graph.close()

    assert said == [SCHEMA[0]] * 2


async def test_who_may_make_no_keys_writes_all_the_same(
    graph_server: GraphServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = overheard(monkeypatch, {SCHEMA[0]: Forbidden})
    graph = graph_server.connect()
    for _ in range(2):
        await graph.write("MERGE (f:Fan {id: 'x'})")
    await graph.close()

    assert said == [SCHEMA[0], *["MERGE (f:Fan {id: 'x'})"] * 2]


async def test_a_failing_write_keeps_nothing(graph: Graph) -> None:
    brand = new_brand()

    with pytest.raises(Exception, match=r"."):
        await graph.write(
            "UNWIND [1, 2, 0] AS n MERGE (f:Fan {id: $brand + ':' + n}) SET f.v = 10 / n", {"brand": str(brand)}
        )

    assert [fan async for fan in stream_fans(graph, brand)] == []


async def test_concurrent_upserts_of_the_same_fans_lose_no_version(graph: Graph) -> None:
    brand = new_brand()

    await asyncio.gather(
        *(upsert_fans(graph, [FanNode(brand, fan, version) for fan in range(100)]) for version in range(1, 9))
    )

    assert {fan.id: fan.v async for fan in stream_fans(graph, brand)} == {node_id(brand, fan): 8 for fan in range(100)}
