"""Earning by event (M16): once for each event and rule, exact at the caps and in the brand's days."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from domain.events.models import FanEvent
from domain.points.earning import consumer
from domain.points.earning.by_event import Noted, earn_by_events
from domain.points.earning.consumer import Earner
from domain.points.programme.queries import programme_of
from domain.tables import table_of
from tests.cast import EVERYTHING, changed, snapshot
from tests.earning import counted, did, give, granted, has, install, refer, rule, send, sound
from tests.statements import statements_of
from tests.world import Client, World

FAN, OTHER = "g1/b1/d1#1", "g1/b1/d1#2"
NOON = datetime(2026, 5, 1, 4, tzinfo=UTC)


async def earn(world: World, *noted: Noted) -> int:
    async with world.services.database.writing(EVERYTHING) as session:
        programme = await programme_of(session, world.nodes["g1/b1"])
        return len(await earn_by_events(session, programme, noted))


async def test_the_first_sign_in_of_a_day_earns_whichever_platform_it_is_on(client: Client) -> None:
    await install(client, "ZIPPO")
    # 23:30 and 23:59 of the 30th in Shanghai, and 0:00 of the 1st
    times = ("2026-04-30T15:30:00Z", "2026-04-30T15:59:59Z", "2026-04-30T16:00:00Z")

    await send(client, *(did("sign_in", at, properties={"platform": n}) for n, at in enumerate(times)))
    await give(client.world)

    rows = await granted(client.world)
    assert [(row.granted_points, row.granted_growth) for row in rows] == [(1, 3), (0, 0), (1, 3)]
    assert rows[1].cuts == [{"cap": "FREQUENCY", "resetsAt": "2026-04-30T16:00:00+00:00"}]
    balances = await has(client.world, rows[0].fan_id)
    assert (balances.spendable, balances.growth) == (2, 6)
    await sound(client.world)


async def test_a_note_that_comes_again_gives_nothing_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await install(client, "ZIPPO")
    await send(client, did("post", "2026-05-01T04:00:00Z"))

    async def lost(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(consumer, "mark_sent", lost)
        with pytest.raises(ConnectionError):
            await Earner(client.world.services.database, lease_seconds=0).run_once()
    before = await snapshot(client.world)
    await give(client.world)

    (row,) = await granted(client.world)
    assert (await has(client.world, row.fan_id)).spendable == 2
    assert changed(before, await snapshot(client.world)) == {"outbox"}


async def test_a_cap_is_used_up_exactly_by_twenty_at_once(client: Client) -> None:
    world = client.world
    await install(client, "COMMUNITY")
    fan = world.fans[FAN]

    async def one(n: int) -> None:
        await earn(world, Noted(1_000 + n, fan, "post", NOON))

    await asyncio.gather(*(one(n) for n in range(20)))

    rows = await granted(world, fan)
    assert sorted(row.granted_points for row in rows) == [0] * 15 + [3] * 5
    assert {row.granted_growth for row in rows} == {3}
    assert (await has(world, fan)).spendable == 15
    assert {(row.period, row.times, row.points, row.growth) for row in await counted(world)} == {
        (period, 20, 15, 60) for period in ("DAY", "MONTH", "EVER")
    }
    await sound(world)


async def test_a_thousand_events_take_as_many_statements_as_ten(client: Client) -> None:
    world = client.world
    await install(client, "COMMUNITY")
    fans = [world.fans[name] for name in world.fans if name.startswith("g1/b1/")]

    def noted(first: int, count: int) -> list[Noted]:
        return [Noted(first + n, fans[n % len(fans)], "post", NOON) for n in range(count)]

    await earn(world, *noted(1, 10))
    with statements_of(world.services.database) as few:
        await earn(world, *noted(100, 10))
    with statements_of(world.services.database) as many:
        await earn(world, *noted(1_000, 1_000))

    assert len(many) == len(few)
    await sound(world)


async def test_both_earn_when_who_was_brought_registers_and_only_once(client: Client) -> None:
    world = client.world
    await install(client, "ZIPPO")
    old, new = world.fans[FAN], world.fans[OTHER]
    # nobody has brought the first one
    assert await earn(world, Noted(1, old, "register", NOON)) == 0

    assert await earn(world, Noted(2, new, "register", NOON), Noted(3, new, "register", NOON)) == 2
    assert await earn(world, Noted(4, new, "register", NOON)) == 0

    for fan in (old, new):
        balances = await has(world, fan)
        assert (balances.spendable, balances.growth) == (3, 5)
    await sound(world)


async def test_who_is_said_to_be_brought_only_after_they_registered_earns_all_the_same(client: Client) -> None:
    world = client.world
    await install(client, "ZIPPO")
    await send(client, did("register", "2026-05-01T04:00:00Z"), did("register", "2026-05-02T04:00:00Z"))
    await give(world)
    new = await fan_of_events(world)
    assert await granted(world) == []

    await refer(world, world.fans[FAN], new)
    await give(world)

    assert [(row.fan_id, row.granted_points) for row in await granted(world)] == [(new, 3), (world.fans[FAN], 3)]
    await sound(world)


async def fan_of_events(world: World) -> int:
    """Return the one fan who did something."""
    events = table_of(FanEvent)
    async with world.services.database.reading(EVERYTHING) as session:
        return int((await session.execute(select(events.c.fan_id).distinct())).scalar_one())


async def test_what_a_rule_does_not_count_earns_nothing(client: Client) -> None:
    world = client.world
    await rule(client, "spring", "like", points=1, startsAt="2026-04-01T00:00:00Z", endsAt="2026-05-01T04:00:00Z")
    fan = world.fans[FAN]

    assert await earn(world, Noted(1, fan, "like", NOON), Noted(2, fan, "comment", NOON)) == 0
    assert await earn(world, Noted(3, world.fans["g1/b2/d1#1"], "like", datetime(2026, 4, 2, tzinfo=UTC))) == 0
    assert await earn(world, Noted(4, 10**9, "like", datetime(2026, 4, 2, tzinfo=UTC))) == 0
    assert await earn(world, Noted(5, fan, "like", datetime(2026, 4, 1, tzinfo=UTC))) == 1
