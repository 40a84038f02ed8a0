"""Ingestion: what is stored, what is counted, once, and for whom."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from domain import clock
from domain.events import counters
from domain.events.definitions import NewDefinition, define
from domain.events.ingest import EventOutcome, EventResult, Sender, track
from domain.events.models import EventCount, FanEvent, Follow, SchemaMode
from domain.events.rules import EventContent, EventIdentity, EventInput, Property, PropertyType
from domain.fans.models import Fan
from domain.persons.models import IdentityKind
from domain.tables import table_of
from domain.tenancy.models import Brand, ChannelAccount
from tests.cast import EVERYTHING, snapshot
from tests.statements import statements_of
from tests.world import World

events, counts, fans, follows = table_of(FanEvent), table_of(EventCount), table_of(Fan), table_of(Follow)
NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
SERVICE = Sender("api_key:1")


def who(name: str) -> list[EventIdentity]:
    return [EventIdentity(IdentityKind.EXTERNAL_ID, name, "test")]


def event(name: str = "h5_view", fan: str = "g1/b1/d1#1", **more: Any) -> EventInput:
    return EventInput(**{"name": name, "identities": who(fan), "occurred_at": NOW - timedelta(hours=1), **more})


async def brand_of(world: World, path: str = "g1/b1") -> Brand:
    brands = table_of(Brand)
    async with world.services.database.reading(EVERYTHING) as session:
        found: Any = (await session.execute(select(brands).where(brands.c.id == world.nodes[path]))).one()
    return found  # type: ignore[no-any-return]


async def send(world: World, *batch: EventContent, sender: Sender = SERVICE, path: str = "g1/b1") -> list[EventResult]:
    brand = await brand_of(world, path)
    with clock.at(NOW):
        async with world.services.database.writing(EVERYTHING) as session:
            return await track(session, world.services.vault, brand, batch, sender)


async def rows(world: World, table: Any, *where: Any) -> list[Any]:
    async with world.services.database.reading(EVERYTHING) as session:
        return list((await session.execute(select(table).where(*where).order_by(*table.primary_key))).all())


def outcomes(results: list[EventResult]) -> list[str]:
    return [result.outcome.value for result in results]


async def account_of(world: World) -> int:
    return int((await rows(world, table_of(ChannelAccount)))[0].id)


async def test_an_event_is_stored_with_all_it_says_and_counted(world: World) -> None:
    account = await account_of(world)
    said = {"content": "c", "product": "p", "campaign": "k", "scene": "s", "order_reference": "o"}

    (result,) = await send(world, event("scan", account_id=account, properties={"深": [1, None, {"a": "茶"}]}, **said))

    (stored,) = await rows(world, events)
    assert (result.outcome, result.id, result.clamped) == (EventOutcome.STORED, stored.id, False)
    assert (stored.fan_id, stored.brand_id, stored.account_id) == (
        world.fans["g1/b1/d1#1"],
        world.nodes["g1/b1"],
        account,
    )
    assert {name: getattr(stored, name) for name in said} == said
    assert (stored.properties, stored.violations) == ({"深": [1, None, {"a": "茶"}]}, None)
    assert (stored.occurred_at, stored.received_at) == (NOW - timedelta(hours=1), NOW)
    (count,) = await rows(world, counts)
    assert (count.fan_id, count.name, count.day, count.count) == (stored.fan_id, "scan", date(2026, 3, 10), 1)


async def test_what_python_takes_for_equal_stays_different_in_json(world: World) -> None:
    one, other = event(fan="g1/b1/d1#1", properties={"n": 1}), event(fan="g1/b1/d1#2", properties={"n": True})

    await send(world, one, other)

    found = await rows(world, table_of(FanEvent))
    assert [type(row.properties["n"]) for row in sorted(found, key=lambda row: row.id)] == [int, bool]


async def test_one_event_id_counts_once_in_a_batch_over_batches_and_at_once(world: World) -> None:
    one = event(event_id="e1")

    first = await send(world, one, one, event(event_id="e2"))
    again = await asyncio.gather(*(send(world, one, event(event_id=f"n{n}")) for n in range(8)))

    assert outcomes(first) == ["STORED", "DUPLICATE", "STORED"]
    assert all(outcomes(results) == ["DUPLICATE", "STORED"] for results in again)
    assert sum(row.count for row in await rows(world, counts)) == 10


async def test_an_event_without_an_id_is_known_by_what_it_says(world: World) -> None:
    one = event(properties={"a": 1, "b": 2})
    same = event(properties={"b": 2, "a": 1})
    others = [
        event(properties={"a": 1}),
        event(occurred_at=NOW),
        event(fan="x"),
        event("scan"),
        event(content="c", properties={"a": 1, "b": 2}),
    ]

    results = await send(world, one, same, *others)

    assert outcomes(results) == ["STORED", "DUPLICATE", *["STORED"] * 5]
    assert outcomes(await send(world, same, *others)) == ["DUPLICATE"] * 6


async def test_without_an_id_and_a_time_every_event_counts(world: World) -> None:
    results = await send(world, event(occurred_at=None), event(occurred_at=None))

    assert outcomes(results) == ["STORED", "STORED"]
    assert {row.occurred_at for row in await rows(world, events)} == {NOW}


async def test_the_same_id_in_another_brand_is_another_event(world: World) -> None:
    await send(world, event(event_id="e"))

    assert outcomes(await send(world, event(event_id="e", fan="g1/b2/d1#2"), path="g1/b2")) == ["STORED"]


@pytest.mark.parametrize(
    "ahead, clamped",
    [(timedelta(minutes=5), False), (timedelta(minutes=5, seconds=1), True), (timedelta(days=9), True)],
)
async def test_a_time_beyond_five_minutes_ahead_is_put_back_and_marked(
    world: World, ahead: timedelta, clamped: bool
) -> None:
    (result,) = await send(world, event(occurred_at=NOW + ahead))

    (stored,) = await rows(world, events)
    assert (result.clamped, stored.clamped) == (clamped, clamped)
    assert stored.occurred_at == (NOW if clamped else NOW + ahead)


async def test_late_events_count_on_the_brands_day_they_happened(world: World) -> None:
    late = datetime(2026, 2, 1, 15, 59, 59, tzinfo=UTC), datetime(2026, 2, 1, 16, 0, tzinfo=UTC)

    await send(
        world, *(event(occurred_at=moment) for moment in late), event(occurred_at=datetime(2001, 1, 1, tzinfo=UTC))
    )

    days = {row.day: row.count for row in await rows(world, counts)}
    assert days == {date(2026, 2, 1): 1, date(2026, 2, 2): 1, date(2001, 1, 1): 1}


async def test_whoever_nobody_knew_becomes_a_fan_once(world: World) -> None:
    account = await account_of(world)
    before = len(await rows(world, fans))
    batch = [event(fan=f"new{n % 3}", event_id=f"{n}", account_id=account, scene="s") for n in range(9)]

    await asyncio.gather(*(send(world, *batch) for _ in range(4)))

    made = await rows(world, fans, fans.c.source_scene == "s")
    assert len(await rows(world, fans)) - before == len(made) == 3
    assert {fan.source_account_id for fan in made} == {account}
    assert sum(row.count for row in await rows(world, counts)) == 9


async def test_a_batch_of_any_size_takes_the_same_statements(world: World) -> None:
    asked = []
    for size in (2, 500):
        batch = [
            event(fan=f"f{size}-{n % 100}", event_id=f"{size}-{n}", name=("h5_view", "follow")[n % 2])
            for n in range(size)
        ]
        with statements_of(world.services.database) as seen:
            results = await send(world, *batch)
        assert outcomes(results) == ["STORED"] * size
        asked.append(len(seen))
    assert asked[0] == asked[1] <= 22, asked


async def test_definitions_hold_strictly_or_leniently(world: World) -> None:
    brand = await brand_of(world)
    wanted = [
        Property("sku", PropertyType.STRING, required=True, choices=["a", "b"]),
        Property("count", PropertyType.INTEGER),
        Property("price", PropertyType.NUMBER),
        Property("gift", PropertyType.BOOLEAN),
        Property("due", PropertyType.DATETIME),
    ]
    async with world.services.database.writing(EVERYTHING) as session:
        await define(session, "test", brand, NewDefinition(brand.id, "strict_one", wanted, SchemaMode.STRICT))
        await define(session, "test", brand, NewDefinition(brand.id, "lenient_one", wanted))
    right = {"sku": "a", "count": 1, "price": 1.5, "gift": False, "due": "2026-01-01T00:00:00Z"}
    wrong: dict[str, dict[str, Any]] = {
        "properties.sku": {"sku": None},
        "properties.count": {"count": 1.5},
        "properties.price": {"price": True},
        "properties.gift": {"gift": "yes"},
        "properties.due": {"due": "2026-01-01"},
        "properties.more": {"more": 1},
    }

    for name in ("strict_one", "lenient_one"):
        assert outcomes(await send(world, event(name, properties=right))) == ["STORED"]
    for field, part in wrong.items():
        strict, lenient = await send(
            world, *(event(name, properties={**right, **part}) for name in ("strict_one", "lenient_one"))
        )
        assert [problem.field for problem in strict.problems] == [field]
        assert (strict.outcome, lenient.outcome) == (EventOutcome.REJECTED, EventOutcome.STORED)
        assert [violation.field for violation in lenient.violations] == [field]
    marked = [row.violations[0]["field"] for row in await rows(world, events, events.c.violations.is_not(None))]
    assert sorted(marked) == sorted(wrong)


async def test_of_two_with_one_id_the_first_that_names_somebody_counts(world: World) -> None:
    nobody = [EventIdentity(IdentityKind.PHONE, "13800000000")]

    results = await send(
        world,
        event(event_id="e1", identities=nobody),
        event(event_id="e1", identities=nobody),
        event(event_id="e1"),
        event(event_id="e1"),
        event(event_id="e2", identities=nobody),
        event(event_id="e2", identities=nobody),
    )

    assert outcomes(results) == ["REJECTED", "REJECTED", "STORED", "DUPLICATE", "REJECTED", "REJECTED"]
    assert [[problem.field for problem in result.problems] for result in results[-2:]] == [["identities"]] * 2
    assert outcomes(await send(world, event(event_id="e1"), event(event_id="e2"))) == ["DUPLICATE", "STORED"]


async def test_a_name_nobody_defined_is_refused_and_leaves_nothing(world: World) -> None:
    before = await snapshot(world)

    results = await send(world, event("no_such"), event("h5_view", identities=[]), event(content="x" * 129))

    assert [(r.problems[0].field, r.problems[0].code) for r in results] == [
        ("name", "EVENT_NOT_DEFINED"),
        ("identities", "BAD_USER_INPUT"),
        ("content", "BAD_USER_INPUT"),
    ]
    assert await snapshot(world) == before


async def test_a_fan_speaks_of_themselves_and_of_what_a_device_sees(world: World) -> None:
    fan = Sender("fan", world.fans["g1/b1/d1#2"])
    said = [EventContent(name, event_id="e") for name in ("h5_view", "order_paid", "follow")]

    results = await send(world, *said, sender=fan)
    server = await send(world, event("order_paid", event_id="e"))

    assert outcomes(results) == ["STORED", "REJECTED", "REJECTED"]
    assert outcomes(server) == ["STORED"]  # a fan cannot use up the id of what a server is about to say
    assert {row.fan_id for row in await rows(world, events, events.c.name == "h5_view")} == {fan.fan_id}


async def test_the_follow_state_is_right_in_whatever_order_its_events_come(world: World) -> None:
    account = await account_of(world)
    day = timedelta(days=1)
    history = [
        event("follow", event_id="1", occurred_at=NOW - 9 * day, account_id=account, scene="first"),
        event("unfollow", event_id="2", occurred_at=NOW - 7 * day, account_id=account),
        event("follow", event_id="3", occurred_at=NOW - 5 * day, account_id=account, scene="second"),
        event("follow", event_id="4", occurred_at=NOW - 4 * day),
        event("unfollow", event_id="5", occurred_at=NOW - 3 * day, account_id=account),
    ]
    for part in ([4], [2], [0, 1], [3], [2, 0]):
        await send(world, *(history[n] for n in part))

    (fan,) = await rows(world, fans, fans.c.id == world.fans["g1/b1/d1#1"])
    assert (fan.subscribed, fan.follow_count, fan.source_account_id, fan.source_scene) == (True, 3, account, "first")
    assert (fan.followed_at, fan.last_followed_at, fan.unfollowed_at) == (
        NOW - 9 * day,
        NOW - 4 * day,
        NOW - 3 * day,
    )
    await send(world, event("unfollow", event_id="6", occurred_at=NOW - 2 * day))
    (fan,) = await rows(world, fans, fans.c.id == world.fans["g1/b1/d1#1"])
    assert (fan.subscribed, fan.follow_count, fan.unfollowed_at) == (False, 3, NOW - 2 * day)
    assert len(await rows(world, follows)) == 6


async def test_event_at_least_k_times_within_n_days_is_read_off_the_counters(world: World) -> None:
    brand = await brand_of(world)
    day = timedelta(days=1)
    batch = [
        event("scan", fan=f"g1/b1/d1#{n}", occurred_at=NOW - d * day)
        for n, ds in ((1, (0, 1, 2)), (2, (0, 6, 7)), (3, (8,)))
        for d in ds
    ]
    await send(world, *batch)

    async with world.services.database.reading(EVERYTHING) as session:
        found = {}
        for days, least in ((1, 1), (3, 3), (7, 2), (8, 3), (9, 1)):
            wanted = counters.happened(brand.id, "scan", counters.first_day(brand, days, NOW), least)
            ids: set[Any] = set((await session.execute(wanted)).scalars())
            found[days, least] = sorted(n for n in (1, 2, 3) if world.fans[f"g1/b1/d1#{n}"] in ids)
        since = counters.first_day(brand, 7, NOW)
        summary = await counters.counts_by_fan(session, [world.fans["g1/b1/d1#2"]], since)
    assert found == {(1, 1): [1, 2], (3, 3): [1], (7, 2): [1, 2], (8, 3): [1, 2], (9, 1): [1, 2, 3]}
    assert summary == {world.fans["g1/b1/d1#2"]: {"scan": 2}}


async def test_what_fails_half_way_leaves_nothing_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await snapshot(world)

    async def fail(*rest: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("domain.events.ingest.storing.announce", fail)
        with pytest.raises(RuntimeError):
            await send(world, event("follow", fan="stranger", event_id="e"))

    assert await snapshot(world) == before
    assert outcomes(await send(world, event("follow", fan="stranger", event_id="e"))) == ["STORED"]


async def test_counters_are_what_is_stored(world: World) -> None:
    batches = [
        [event(fan=f"f{n % 7}", event_id=f"{b}-{n % 40}", occurred_at=NOW - timedelta(hours=n)) for n in range(60)]
        for b in range(4)
    ]
    await asyncio.gather(*(send(world, *batch) for batch in batches))

    async with world.services.database.reading(EVERYTHING) as session:
        stored = (await session.execute(select(events.c.fan_id, func.count()).group_by(events.c.fan_id))).all()
        counted = (
            await session.execute(select(counts.c.fan_id, func.sum(counts.c.count)).group_by(counts.c.fan_id))
        ).all()
    assert dict(map(tuple, stored)) == dict(map(tuple, counted))
    assert sum(total for _, total in stored) == 160
