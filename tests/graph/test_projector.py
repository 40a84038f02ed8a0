import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from domain import clock
from domain.database import Database
from domain.fans.models import Fan
from domain.outbox import Event, emit
from domain.outbox.delivery import MAX_TRIES, claim
from domain.tables import table_of
from graph import projector as module
from graph.driver import Graph
from graph.errors import GraphUnavailable
from graph.fans import stream_fans
from graph.projector import Projector
from graph.referrals import stream_referrals
from graph.shares import stream_shares
from graph.verify import verify
from tests.graph.worlds import NOON, SYSTEM, add_fans, make_group, make_world, outbox, outbox_rows, unsent

fans = table_of(Fan)


@pytest.fixture
async def group(database: Database) -> None:
    async with database.writing(SYSTEM) as session:
        await make_group(session, 1)


@pytest.fixture
async def nowhere() -> AsyncIterator[Graph]:
    """A graph whose engine is not there."""
    opened = Graph.connect("bolt://127.0.0.1:1", ("neo4j", "none"), "scrm")
    yield opened
    await opened.close()


def fan(fan_id: int, version: int = 1, **payload: Any) -> Event:
    return Event(1, 1, "graph", "fan", f"fan:{fan_id}", version, {"id": fan_id, "brand": 1, **payload})


async def tell(database: Database, *events: Event) -> None:
    async with database.writing(SYSTEM) as session:
        await emit(session, events)


async def drain(projector: Projector) -> int:
    settled = 0
    while done := await projector.run_once():
        settled += done
    return settled


async def versions(graph: Graph) -> dict[str, int]:
    return {found.id: found.v async for found in stream_fans(graph, 1)}


@asynccontextmanager
async def running(projector: Projector) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(projector.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def until_sent(database: Database, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await unsent(database):  # noqa: ASYNC110 a database has no event to wait for
            await asyncio.sleep(0.02)


async def test_what_sql_says_arrives_in_the_graph(database: Database, graph: Graph) -> None:
    await make_world(database)

    settled = await drain(Projector(database, graph, batch=50))

    assert settled == len(await outbox_rows(database))
    assert await unsent(database) == []
    assert await verify(database, graph) == []
    assert len(await versions(graph)) == 120
    assert len([edge async for edge in stream_shares(graph, 1)]) == 118
    assert len([edge async for edge in stream_referrals(graph, 12)]) == 20


async def test_two_projectors_at_once_share_the_work(database: Database, graph: Graph) -> None:
    await make_world(database)
    async with database.writing(SYSTEM) as session:
        await emit(session, [fan(n, version) for version in range(2000, 2003) for n in range(1, 60)])
        await session.execute(update(fans).where(fans.c.id < 60).values(version=2002))

    await asyncio.gather(*(drain(Projector(database, graph, batch=11)) for _ in range(2)))
    await drain(Projector(database, graph))

    assert await unsent(database) == []
    assert {row.attempts for row in await outbox_rows(database)} == {0}
    assert await verify(database, graph) == []


async def test_a_crash_between_graph_and_mark_repeats_events_without_effect(database: Database, graph: Graph) -> None:
    await make_world(database)
    total = len(await outbox_rows(database))

    await drain(Projector(database, graph))
    async with database.writing(SYSTEM) as session:
        await session.execute(update(outbox).values(sent_at=None))
    settled = await drain(Projector(database, graph))

    assert settled == total
    assert await verify(database, graph) == []


async def test_an_old_version_that_comes_late_changes_nothing(database: Database, graph: Graph, group: None) -> None:
    await tell(database, fan(7, 3))
    await drain(Projector(database, graph))

    await tell(database, fan(7, 2), fan(7, 5), fan(7, 4))
    await drain(Projector(database, graph))

    assert await versions(graph) == {"1:7": 5}


async def test_poison_dies_at_the_tenth_try_while_the_rest_flows(database: Database, graph: Graph, group: None) -> None:
    share = {"cascade": 1, "from": 1, "to": None, "brand": 1, "channel": None, "at": 0}
    moment, bad = NOON, []
    with clock.at(moment):
        await tell(
            database,
            fan(1),
            fan(2, id="2"),
            fan(3),
            Event(1, 1, "graph", "share", "share:1:2", 1, share),
            Event(1, 1, "graph", "poem", "poem:1", 1, {}),
            fan(4),
        )
    for tries in range(1, MAX_TRIES + 1):
        with clock.at(moment):
            await Projector(database, graph).run_once()
        bad = [row for row in await outbox_rows(database) if row.sent_at is None]
        assert {row.attempts for row in bad} == {tries}
        moment = max(row.next_at for row in bad) + timedelta(seconds=1)

    assert await versions(graph) == {"1:1": 1, "1:3": 1, "1:4": 1}
    assert [(row.key, row.error, row.dead_at is not None) for row in bad] == [
        ("fan:2", "BadEvent: id is no whole number", True),
        ("share:1:2", "BadEvent: to is no whole number", True),
        ("poem:1", "BadEvent: the kind is not known", True),
    ]
    with clock.at(moment):
        await tell(database, fan(2, 9))
        assert await Projector(database, graph).run_once() == 1
    assert (await versions(graph))["1:2"] == 9


async def test_what_the_engine_refuses_is_singled_out(
    database: Database, graph: Graph, group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def picky(self: Projector, kind: str, events: list[Any]) -> None:
        if any(event.key == "fan:13" for event in events):
            raise OverflowError("a value of the row")
        await apply(self, kind, events)

    apply = Projector._apply
    monkeypatch.setattr(Projector, "_apply", picky)
    await tell(database, *(fan(n) for n in range(1, 31)))

    await Projector(database, graph).run_once()

    assert len(await versions(graph)) == 29
    (bad,) = [row for row in await outbox_rows(database) if row.sent_at is None]
    assert (bad.key, bad.attempts, bad.error) == ("fan:13", 1, "OverflowError")


async def test_an_engine_that_refuses_everything_costs_few_events_a_try(
    database: Database, graph: Graph, group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ill(self: Projector, kind: str, events: list[Any]) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Projector, "_apply", ill)
    await tell(database, *(fan(n) for n in range(1, 101)))

    with pytest.raises(GraphUnavailable):
        await Projector(database, graph).run_once()

    assert sum(row.attempts for row in await outbox_rows(database)) == module.REFUSALS_IN_A_ROW
    assert len(await claim(database, "graph")) == 100 - module.REFUSALS_IN_A_ROW


@pytest.mark.slow
async def test_without_a_graph_rows_stay_with_their_tries_and_drain_when_it_is_back(
    database: Database, graph: Graph, nowhere: Graph
) -> None:
    await make_world(database)
    total = len(await outbox_rows(database))
    async with running(Projector(database, nowhere, batch=20)):
        await asyncio.sleep(1.5)
    with pytest.raises(GraphUnavailable):
        await Projector(database, nowhere).run_once()
    waiting = await outbox_rows(database)
    assert {(row.attempts, row.claimed_until, row.error) for row in waiting} == {(0, None, None)}
    assert len(await unsent(database)) == total

    async with running(Projector(database, graph)):
        await until_sent(database, 10)

    assert await verify(database, graph) == []


@pytest.mark.slow
async def test_a_running_projector_outlives_an_outage(
    database: Database, graph: Graph, nowhere: Graph, group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 0.3)
    here, projector = graph._driver, Projector(database, graph, idle_seconds=0.05)
    async with running(projector):
        await tell(database, fan(1))
        await until_sent(database, 5)
        graph._driver = nowhere._driver
        await tell(database, fan(2))
        await asyncio.sleep(1)
        assert await unsent(database) == ["fan:2"]
        graph._driver = here
        await until_sent(database, 15)

    assert await versions(graph) == {"1:1": 1, "1:2": 1}
    assert {row.attempts for row in await outbox_rows(database)} == {0}


async def test_a_poke_is_answered_at_once(database: Database, graph: Graph, group: None) -> None:
    projector = Projector(database, graph, idle_seconds=60)
    async with running(projector):
        await asyncio.sleep(0.3)
        await tell(database, fan(1))
        projector.poke()
        await until_sent(database, 5)


async def test_one_that_died_with_a_claim_costs_only_its_lease(database: Database, graph: Graph, group: None) -> None:
    await tell(database, fan(1), fan(2))
    await claim(database, "graph", limit=1, lease_seconds=0.4)

    async with running(Projector(database, graph, idle_seconds=0.05)):
        await until_sent(database, 5)

    assert await versions(graph) == {"1:1": 1, "1:2": 1}


async def test_a_stop_lets_the_batch_in_hand_finish(
    database: Database, graph: Graph, group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(self: Projector, kind: str, events: list[Any]) -> None:
        stop.set()
        await asyncio.sleep(0.2)
        await apply(self, kind, events)

    apply, stop = Projector._apply, asyncio.Event()
    monkeypatch.setattr(Projector, "_apply", slow)
    async with database.writing(SYSTEM) as session:
        await add_fans(session, 1, range(1, 11))

    await asyncio.wait_for(Projector(database, graph, batch=4).run(stop), 5)

    assert len(await unsent(database)) == 6
    assert len(await claim(database, "graph")) == 6
