"""What happens now: who is told of new events, and what is busy in the last minutes and hours."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select

from domain import clock
from domain.database import Database
from domain.errors import RateLimited
from domain.events.ingest import Sender, track
from domain.events.models import FanEvent
from domain.events.rules import EventIdentity, EventInput
from domain.fans.models import Fan
from domain.live import hub as hubs
from domain.live import service, tail, upkeep
from domain.live.hub import Hub, Listener
from domain.live.models import HotKind
from domain.live.queries import HotPoint, list_hot_items, points_by_item
from domain.live.service import hot_counts
from domain.live.tail import Tail
from domain.persons.models import IdentityKind
from domain.tables import table_of
from domain.tenancy.models import Brand
from tests.cast import EVERYTHING
from tests.statements import statements_of
from tests.world import World

events, fans = table_of(FanEvent), table_of(Fan)
NOW = datetime(2026, 3, 10, 4, 30, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def seen(*, ago: timedelta = timedelta(0), fan: str = "g1/b1/d1#1", **more: Any) -> EventInput:
    identities = [EventIdentity(IdentityKind.EXTERNAL_ID, fan, "test")]
    return EventInput(name="h5_view", identities=identities, occurred_at=NOW - ago, **more)


async def brand_of(world: World, path: str = "g1/b1") -> Brand:
    brands = table_of(Brand)
    async with world.services.database.reading(EVERYTHING) as session:
        found: Any = (await session.execute(select(brands).where(brands.c.id == world.nodes[path]))).one()
    return found  # type: ignore[no-any-return]


async def send(world: World, *batch: EventInput, path: str = "g1/b1", dry_run: bool = False) -> None:
    brand = await brand_of(world, path)
    with clock.at(NOW):
        async with world.services.database.writing(EVERYTHING, dry_run=dry_run) as session:
            await track(session, world.services.vault, brand, batch, Sender("api_key:1"))


async def busy(world: World, kind: HotKind, minutes: int = 60, first: int = 20) -> list[tuple[str, int]]:
    with clock.at(NOW):
        async with world.services.database.reading(EVERYTHING) as session:
            found = await list_hot_items(session, EVERYTHING, world.nodes["g1/b1"], kind, minutes, first)
    return [(item.item, item.count) for item in found]


async def slots(world: World) -> list[tuple[int, int]]:
    async with world.services.database.reading(EVERYTHING) as session:
        found = await session.execute(select(hot_counts.c.slot, hot_counts.c.count).order_by(hot_counts.c.slot))
        return [tuple(row) for row in found]


def row(world: World, id_: int) -> dict[str, Any]:
    """Return an event as its writer would insert it."""
    place = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"], "fan_id": world.fans["g1/b1/d1#1"]}
    return {**place, "id": id_, "name": "h5_view", "occurred_at": NOW, "received_at": NOW, "clamped": False}


async def test_events_are_counted_by_what_they_name_in_the_minute_they_happened(world: World) -> None:
    await send(
        world,
        seen(campaign="spring", content="a"),
        seen(campaign="spring", content="b", ago=59 * MINUTE),
        seen(campaign="autumn", ago=61 * MINUTE),
        seen(campaign="winter", ago=timedelta(hours=47)),
        seen(campaign="gone", ago=timedelta(hours=49)),
        seen(),
    )
    await send(world, seen(campaign="elsewhere"), path="g1/b2")

    assert await busy(world, HotKind.CAMPAIGN) == [("spring", 2)]
    assert await busy(world, HotKind.CAMPAIGN, 62) == [("spring", 2), ("autumn", 1)]
    assert await busy(world, HotKind.CAMPAIGN, 62, first=1) == [("spring", 2)]
    assert await busy(world, HotKind.CONTENT, 24 * 60) == [("a", 1), ("b", 1)]
    assert await busy(world, HotKind.CONTENT, 1) == [("a", 1)]
    assert await busy(world, HotKind.CHANNEL) == []


async def test_an_event_that_comes_twice_or_is_not_stored_is_not_counted(world: World) -> None:
    once = seen(campaign="spring", event_id="e")

    await send(world, once, once, seen(campaign="nobody's", fan="x", content="0" * 129))
    await send(world, once)
    await send(world, seen(campaign="spring", event_id="dry"), dry_run=True)

    assert await busy(world, HotKind.CAMPAIGN) == [("spring", 1)]


async def test_points_are_by_the_minute_and_for_long_windows_by_the_hour(world: World) -> None:
    await send(world, *(seen(campaign="spring", ago=n * 25 * MINUTE, event_id=str(n)) for n in range(4)))

    async def points(minutes: int) -> list[HotPoint]:
        with clock.at(NOW):
            async with world.services.database.reading(EVERYTHING) as session:
                items = await list_hot_items(session, EVERYTHING, world.nodes["g1/b1"], HotKind.CAMPAIGN, minutes, 5)
                with statements_of(world.services.database) as asked:
                    found = await points_by_item(session, EVERYTHING, items)
        assert len([text for text in asked if "hot_counts" in text]) == 1
        (of_spring,) = found.values()
        return of_spring

    at = NOW.replace(second=0)
    hour = NOW.replace(minute=0, second=0)
    assert await points(60) == [HotPoint(at - 50 * MINUTE, 1), HotPoint(at - 25 * MINUTE, 1), HotPoint(at, 1)]
    assert await points(24 * 60) == [HotPoint(hour - 60 * MINUTE, 2), HotPoint(hour, 2)]


async def test_writers_at_once_lose_nothing(world: World) -> None:
    await asyncio.gather(
        *(send(world, *(seen(campaign=f"c{m % 3}", event_id=f"{n}/{m}") for m in range(9))) for n in range(12))
    )

    assert await busy(world, HotKind.CAMPAIGN) == [("c0", 36), ("c1", 36), ("c2", 36)]


@pytest.mark.postgresql
async def test_the_slots_of_a_minute_that_is_over_become_one_and_none_is_counted_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = iter(range(100))

    async def next_slot(session: Any) -> int:
        return next(taken) % service.SLOTS

    monkeypatch.setattr(service, "_slot", next_slot)
    database = world.services.database
    for n in range(5):
        await send(world, seen(campaign="spring", ago=5 * MINUTE, event_id=str(n)), seen(campaign="now"))
    assert len(await slots(world)) == 6

    await asyncio.gather(*(upkeep.fold(database, NOW) for _ in range(3)))
    await send(world, seen(campaign="spring", ago=5 * MINUTE, event_id="late"))
    await upkeep.fold(database, NOW)

    assert sorted(await slots(world)) == [(upkeep.FOLDED, 6), (0, 1)]
    assert await busy(world, HotKind.CAMPAIGN) == [("spring", 6), ("now", 1)]


async def test_old_counts_go(world: World) -> None:
    await send(world, seen(campaign="old", ago=service.KEPT - MINUTE), seen(campaign="new"))
    await send(world, seen(campaign="older than any window", ago=service.KEPT + MINUTE))

    assert await upkeep.prune(world.services.database, NOW - timedelta(hours=24)) == 1
    assert await busy(world, HotKind.CAMPAIGN, 24 * 60) == [("new", 1)]


@pytest.fixture
async def other_process(world: World) -> AsyncIterator[Hub]:
    """Yield the hub of another process on the same database."""
    database = Database(world.services.database.url.render_as_string(hide_password=False))
    yield Hub(database)
    await database.dispose()


async def heard(listener: Listener, count: int, seconds: float = 5) -> list[Any]:
    """Wait for so many rows."""
    found: list[Any] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            found += await listener.next()
    return found


async def test_who_listens_hears_what_comes_afterwards_and_only_what_they_take(world: World) -> None:
    hub = Hub(world.services.database)
    await send(world, seen(content="before"))

    everything = await hub.join(lambda row: True)
    some = await hub.join(lambda row: row.content == "b")
    await send(world, seen(content="a"), seen(content="b"))
    await send(world, seen(content="b"), path="g1/b2")

    assert [row.content for row in await heard(everything, 3)] == ["a", "b", "b"]
    found = await heard(some, 2)
    assert [row.brand_id for row in found] == [world.nodes["g1/b1"], world.nodes["g1/b2"]]
    assert found[0].fan_id == world.fans["g1/b1/d1#1"]
    assert found[0].dealer_id == world.nodes["g1/b1/d1"]
    await hub.leave(some)
    await hub.leave(everything)


async def test_who_leaves_in_the_moment_something_comes_is_let_go(world: World) -> None:
    hub = Hub(world.services.database)
    for _ in range(3):
        listener = await hub.join(lambda row: True)
        await asyncio.sleep(0.1)

        world.services.database.notices.tell()
        leaving = asyncio.create_task(hub.leave(listener))

        assert (await asyncio.wait({leaving}, timeout=3))[0] == {leaving}


async def test_another_process_hears_it_within_a_moment(world: World, other_process: Hub) -> None:
    listener = await other_process.join(lambda row: True)
    await asyncio.sleep(0.3)

    await send(world, seen(content="a"))
    began = asyncio.get_running_loop().time()
    (row,) = await heard(listener, 1)
    took = asyncio.get_running_loop().time() - began

    assert row.content == "a"
    assert took < 1
    await other_process.leave(listener)


@pytest.mark.postgresql
async def test_a_notice_is_faster_than_the_look_behind_it(
    world: World, other_process: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "POLL_SECONDS", 60.0)
    listener = await other_process.join(lambda row: True)
    await asyncio.sleep(0.5)

    await send(world, seen(content="a"))

    assert [row.content for row in await heard(listener, 1)] == ["a"]
    await other_process.leave(listener)


async def test_what_is_taken_back_is_not_heard(world: World) -> None:
    hub = Hub(world.services.database)
    listener = await hub.join(lambda row: True)

    await send(world, seen(content="dry"), dry_run=True)
    await send(world, seen(content="kept"))

    assert [row.content for row in await heard(listener, 1)] == ["kept"]
    await hub.leave(listener)


async def test_nobody_reads_where_nobody_listens(world: World) -> None:
    hub = Hub(world.services.database)
    for _ in range(2):
        await hub.leave(await hub.join(lambda row: True))
    assert hub._reading is None

    with statements_of(world.services.database) as asked:
        await asyncio.sleep(0.7)
    assert asked == []


async def test_who_is_too_slow_is_told_and_keeps_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "MAX_WAITING", 5)
    hub = Hub(world.services.database)
    slow, quick = await hub.join(lambda row: True), await hub.join(lambda row: row.content == "9")

    await send(world, *(seen(content=str(n)) for n in range(10)))

    assert len(await heard(quick, 1)) == 1
    with pytest.raises(RateLimited):
        await heard(slow, 1)
    assert not slow._rows
    await hub.leave(slow)
    await hub.leave(quick)


@pytest.mark.postgresql
async def test_an_event_committed_after_a_later_one_is_not_missed_and_none_comes_twice(world: World) -> None:
    database = world.services.database
    tail_ = Tail(database)
    async with database.writing(EVERYTHING) as early:
        await early.execute(insert(events).values(row(world, 1)))
        async with database.writing(EVERYTHING) as session:
            await session.execute(insert(events).values(row(world, 2)))
        await tail_.start(0.0)
        async with database.writing(EVERYTHING) as session:
            await session.execute(insert(events).values([row(world, 7), row(world, 9)]))
        first = await tail_.read(1.0)
    second = await tail_.read(2.0)
    async with database.writing(EVERYTHING) as session:
        await session.execute(insert(events).values([row(world, 5), row(world, 10)]))
    third = await tail_.read(3.0)
    async with database.writing(EVERYTHING) as session:
        await session.execute(insert(events).values([row(world, 4)]))
    too_late = await tail_.read(3.0 + tail.GAP_SECONDS)

    found = [[row.id for row in news.rows] for news in (first, second, third, too_late)]
    assert found == [[7, 9], [1], [5, 10], []]
    assert not tail_._gaps


async def test_more_than_a_page_is_read_at_once_and_a_fan_who_is_gone_is_left_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "PAGE", 3)
    monkeypatch.setattr(tail, "_ROWS", tail._ROWS)
    database = world.services.database
    tail_ = Tail(database)
    await tail_.start(0.0)
    async with database.writing(EVERYTHING) as session:
        rows = [row(world, n) for n in range(1, 5)]
        rows[1]["fan_id"] = 999_999
        await session.execute(insert(events), [{**one, "properties": {}} for one in rows])

    found = [await tail_.read(1.0), await tail_.read(1.0)]

    assert [([row.id for row in news.rows], news.more) for news in found] == [([1, 3], True), ([4], False)]


async def test_ids_that_sqlite_gives_out_again_are_heard(world: World) -> None:
    database = world.services.database
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL's sequences never go back")
    tail_ = Tail(database)
    await send(world, seen(content="a"), seen(content="b"))
    await tail_.start(0.0)
    async with database.writing(EVERYTHING) as session:
        last = (await session.execute(select(func.max(events.c.id)))).scalar_one()
        await session.execute(delete(events).where(events.c.id == last))
    assert (await tail_.read(1.0)).rows == []

    await send(world, seen(content="c"))

    assert [row.content for row in (await tail_.read(2.0)).rows] == ["c"]


async def test_counting_costs_one_statement_a_batch(world: World) -> None:
    with statements_of(world.services.database) as asked:
        await send(world, *(seen(campaign=f"c{n}", content=f"x{n}", event_id=str(n)) for n in range(200)))

    assert len([text for text in asked if "hot_counts" in text]) == 1
