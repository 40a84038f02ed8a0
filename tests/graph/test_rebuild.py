import asyncio
import random
from dataclasses import replace

import pytest
from sqlalchemy import delete, update

from domain.database import Database
from domain.fans.models import Fan
from domain.referrals.models import Referral
from domain.tables import table_of
from graph import rebuild as rebuilding
from graph import verify as verifying
from graph.driver import Graph
from graph.fans import FanNode, delete_fans, node_id, stream_fans, upsert_fans
from graph.projector import Projector
from graph.rebuild import rebuild
from graph.referrals import ReferralEdge, upsert_referrals
from graph.shares import ShareEdge, upsert_shares
from graph.verify import Difference, verify
from tests.graph.worlds import SYSTEM, add_edges, add_fans, make_world, outbox, unsent

FANS_1 = Difference(1, "fans", 120, 120, (), (), lag=False)

DROP_SOME_EDGES = """
MATCH (f:Fan) WHERE f.id IN $ids
MATCH (f)-[e]->()
DELETE e
"""


async def damage(graph: Graph) -> None:
    """Take away fans and edges, and add what was never there: fans, edges, a brand, versions from the future."""
    await delete_fans(graph, [node_id(1, n) for n in (2, 40, 77)])
    await graph.write(DROP_SOME_EDGES, {"ids": [node_id(12, 501)]})
    await upsert_fans(graph, [FanNode(1, 999, 1), FanNode(1, 501, 1), FanNode(77, 3, 1), FanNode(12, 505, 9_999)])
    await upsert_shares(graph, [ShareEdge(1, 1, 999, 30, 0), ShareEdge(1, 1, 100, 999, 0), ShareEdge(77, 5, 3, 4, 0)])
    await upsert_referrals(graph, [ReferralEdge(12, 530, 502, 0)])
    await graph.write(
        "MATCH (a:Fan {id: $a}), (b:Fan {id: $b}) CREATE (a)-[:SHARED {key: $key, brand_id: 1, cascade: 2}]->(b)",
        {"a": node_id(1, 100), "b": node_id(1, 3), "key": "no key of ours"},
    )


async def test_a_graph_that_holds_what_sql_says_has_no_difference(database: Database, graph: Graph) -> None:
    await make_world(database, tell=False)

    await rebuild(database, graph)

    assert await verify(database, graph) == []
    assert len([fan async for fan in stream_fans(graph, 12)]) == 30


async def test_a_rebuild_mends_whatever_was_done_to_the_graph(database: Database, graph: Graph) -> None:
    await make_world(database, tell=False)
    await rebuild(database, graph)
    await damage(graph)
    parts = {(difference.brand_id, difference.part) for difference in await verify(database, graph)}
    assert parts == {
        (1, "fans"),
        (1, "shares"),
        (1, "referrals"),
        (12, "fans"),
        (12, "shares"),
        (12, "referrals"),
        (77, "fans"),
        (77, "shares"),
    }

    await rebuild(database, graph)

    assert await verify(database, graph) == []
    assert await graph.read("MATCH (f:Fan) RETURN count(*) AS fans") == [{"fans": 150}]
    assert await graph.read("MATCH ()-[e]->() RETURN count(*) AS edges") == [{"edges": 244}]


async def test_an_edge_that_ends_at_the_wrong_fan_is_moved_back(database: Database, graph: Graph) -> None:
    await make_world(database, tell=False)
    await rebuild(database, graph)
    await graph.write("MATCH (a)-[e:SHARED]->(b) WHERE e.key IN $keys DELETE e", {"keys": ["1:5"]})
    await graph.write(
        "MATCH (a:Fan {id: '1:1'}), (b:Fan {id: '1:9'}) CREATE (a)-[:SHARED {key: '1:5', brand_id: 1, cascade: 1}]->(b)"
    )
    (wrong,) = await verify(database, graph)
    assert wrong == Difference(1, "shares", 118, 118, ("1:5=1:4>1:5",), ("1:5=1:1>1:9",), lag=False)

    await rebuild(database, graph)

    assert await verify(database, graph) == []


async def test_differences_name_what_is_missing_and_what_is_extra(database: Database, graph: Graph) -> None:
    await make_world(database, tell=False)
    await rebuild(database, graph)
    await delete_fans(graph, ["12:530"])
    await upsert_fans(graph, [FanNode(12, 600, 1), FanNode(12, 520, 9_999)])

    found = {difference.part: difference for difference in await verify(database, graph)}

    assert found["fans"] == Difference(
        12, "fans", 30, 30, ("12:520=521", "12:530"), ("12:520=9999", "12:600"), lag=False
    )
    assert found["referrals"].missing == ("12:530",)
    assert found["shares"].extra == ()


async def test_samples_are_bounded(database: Database, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "MOST_KEPT", 4)
    await make_world(database, tell=False)

    found = await verify(database, graph)

    assert [(d.brand_id, d.part, d.sql_count, d.graph_count) for d in found] == [
        (1, "fans", 120, 0),
        (1, "shares", 118, 0),
        (1, "referrals", 78, 0),
        (12, "fans", 30, 0),
        (12, "shares", 28, 0),
        (12, "referrals", 20, 0),
    ]
    assert all(0 < len(difference.missing) <= verifying.SAMPLE for difference in found)


async def test_what_is_still_on_its_way_is_lag_and_no_difference(database: Database, graph: Graph) -> None:
    await make_world(database)
    projector = Projector(database, graph, batch=100)
    await projector.run_once()

    waiting = await verify(database, graph)
    while await projector.run_once():
        pass

    assert waiting
    assert all(difference.lag and not difference.missing for difference in waiting)
    assert await verify(database, graph) == []


async def test_a_dead_event_is_a_true_difference(database: Database, graph: Graph) -> None:
    await make_world(database)
    async with database.writing(SYSTEM) as session:
        await session.execute(update(outbox).where(outbox.c.key == "fan:7").values(dead_at=outbox.c.created_at))
    while await Projector(database, graph).run_once():
        pass

    (difference,) = await verify(database, graph)

    assert difference == replace(FANS_1, missing=("1:7=8",), extra=("1:7=0",))


async def test_one_brand_is_rebuilt_without_touching_the_others(database: Database, graph: Graph) -> None:
    await make_world(database, tell=False)
    await upsert_fans(graph, [FanNode(12, 999, 1)])

    await rebuild(database, graph, brand_id=1)

    assert await verify(database, graph, brand_id=1) == []
    assert [fan.id async for fan in stream_fans(graph, 12)] == ["12:999"]


async def test_a_wipe_starts_from_nothing(database: Database, graph: Graph) -> None:
    await make_world(database, tell=False)
    await damage(graph)

    await rebuild(database, graph, wipe=True)

    assert await verify(database, graph) == []


async def test_progress_grows_to_the_total(database: Database, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph.parts.ROWS_PER_PAGE", 50)
    await make_world(database, tell=False)
    told: list[tuple[int, int, str]] = []

    await rebuild(database, graph, progress=lambda *step: told.append(step))

    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert (told[-1][:2], {total for _, total, _ in told}) == ((394, 394), {394})
    assert {what for _, _, what in told} == {"fans", "shares", "referrals"}
    assert await verify(database, graph) == []


async def test_an_interrupted_rebuild_is_finished_by_the_next(
    database: Database, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.parts.ROWS_PER_PAGE", 25)
    monkeypatch.setattr(rebuilding, "ROWS_PER_PAGE", 25)
    await make_world(database, tell=False)
    await damage(graph)

    def stop(done: int, total: int, what: str) -> None:
        if done > total // 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await rebuild(database, graph, progress=stop)
    assert await verify(database, graph) != []
    await rebuild(database, graph)

    assert await verify(database, graph) == []


async def test_what_sql_forgot_leaves_the_graph(database: Database, graph: Graph) -> None:
    await make_world(database, tell=False)
    await rebuild(database, graph)
    async with database.writing(SYSTEM) as session:
        await session.execute(delete(table_of(Referral)).where(table_of(Referral).c.invitee_fan_id == 50))
        await session.execute(update(table_of(Fan)).where(table_of(Fan).c.id == 51).values(version=1))

    await rebuild(database, graph)

    assert await verify(database, graph) == []


async def test_a_rebuild_during_traffic_loses_nothing_and_keeps_answering(
    database: Database, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.parts.ROWS_PER_PAGE", 20)
    monkeypatch.setattr(rebuilding, "ROWS_PER_PAGE", 20)
    await make_world(database)
    await damage(graph)
    stop, answers = asyncio.Event(), 0
    projector = asyncio.create_task(Projector(database, graph, batch=25, idle_seconds=0.05).run(stop))

    async def write() -> None:
        for start in range(1_000, 1_400, 20):
            ids = list(range(start, start + 20))
            async with database.writing(SYSTEM) as session:
                await add_fans(session, 1, ids)
                await add_edges(session, 1, ids, random.Random(9))
            await asyncio.sleep(0.02)

    async def read() -> None:
        nonlocal answers
        while not stop.is_set():
            await graph.read("MATCH (f:Fan {id: '1:1'}) RETURN f.v AS v", timeout=1)
            answers += 1
            await asyncio.sleep(0.01)

    reader = asyncio.create_task(read())
    await asyncio.gather(write(), rebuild(database, graph), rebuild(database, graph))
    while await unsent(database):  # noqa: ASYNC110 a database has no event to wait for
        await asyncio.sleep(0.05)
    stop.set()
    await asyncio.gather(projector, reader)

    assert await verify(database, graph) == []
    assert len([fan async for fan in stream_fans(graph, 1)]) == 520
    assert answers > 20
