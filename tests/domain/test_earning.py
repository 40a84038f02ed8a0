"""Earning by event and by order (M16): once for each thing and rule, exact at the caps and in the brand's days."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.events.models import FanEvent
from domain.fans.models import Fan
from domain.orders.models import OrderState
from domain.orders.refunds import RefundBatch, record_refunds
from domain.orders.rules import IdentityInput, OrderInput, RefundInput
from domain.orders.service import OrderBatch, record_orders
from domain.outbox.models import Outbox
from domain.persons.models import IdentityKind
from domain.points.earning import by_order, consumer
from domain.points.earning.by_event import Noted, earn_by_events
from domain.points.earning.by_order import earn_by_orders
from domain.points.earning.consumer import Earner
from domain.points.earning.granting import grant
from domain.points.ledger.rules import Spend
from domain.points.ledger.service import spend
from domain.points.programme.models import ClawBackPolicy, ExpiryPolicy, PointsProgramme
from domain.points.programme.queries import programme_of
from domain.points.programme.rules import Programme
from domain.tables import table_of
from domain.tenancy.models import Brand
from tests.cast import EVERYTHING, changed, snapshot
from tests.conftest import DATABASE
from tests.domain.test_mall import merge
from tests.earning import counted, did, give, granted, has, install, refer, rule, send, sound
from tests.statements import statements_of
from tests.world import Client, World

outbox = table_of(Outbox)
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


@pytest.mark.parametrize("cap", ["dailyPointsCap", "monthlyPointsCap", "dailyGrowthCap", "monthlyGrowthCap"])
async def test_each_cap_is_used_up_exactly_by_twenty_at_once(client: Client, cap: str) -> None:
    world = client.world
    given: dict[str, Any] = {"points": 3, "growth": 3, cap: 16}
    await rule(client, "post", "post", **given)
    fan = world.fans[FAN]

    await asyncio.gather(*(earn(world, Noted(1_000 + n, fan, "post", NOON)) for n in range(20)))

    rows = await granted(world, fan)
    capped, free = ("points", "growth") if "Points" in cap else ("growth", "points")
    assert sorted(getattr(row, f"granted_{capped}") for row in rows) == [0] * 14 + [1] + [3] * 5
    assert [getattr(row, f"granted_{free}") for row in rows] == [3] * 20
    holds = await has(world, fan)
    assert {"points": holds.spendable, "growth": holds.growth} == {capped: 16, free: 60}
    await sound(world)


@pytest.mark.parametrize("server_zone", ["America/Los_Angeles", "Pacific/Kiritimati", "Asia/Shanghai"])
async def test_days_and_months_are_the_brands_wherever_the_server_stands(
    client: Client, monkeypatch: pytest.MonkeyPatch, server_zone: str
) -> None:
    world = client.world
    await rule(client, "post", "post", points=3, dailyPointsCap=4, monthlyPointsCap=6)
    fan = world.fans[FAN]
    # the last tenth of a second of April in Shanghai, and the first moment of May
    may = datetime(2026, 4, 30, 16, tzinfo=UTC)
    april = may - timedelta(milliseconds=100)

    monkeypatch.setenv("TZ", server_zone)
    time.tzset()
    try:
        noted = [Noted(1_000 + n, fan, "post", (april, may)[n % 2]) for n in range(20)]
        await asyncio.gather(*(earn(world, one) for one in noted))
        later = may + timedelta(days=1)
        await asyncio.gather(*(earn(world, Noted(2_000 + n, fan, "post", later)) for n in range(4)))
    finally:
        monkeypatch.undo()
        time.tzset()

    by_day: dict[date, int] = {}
    for row in await granted(world, fan):
        by_day[row.day] = by_day.get(row.day, 0) + row.granted_points
    # of May, what the month's cap leaves
    assert by_day == {date(2026, 4, 30): 4, date(2026, 5, 1): 4, date(2026, 5, 2): 2}
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


async def test_one_thing_that_cannot_be_granted_holds_up_no_other(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = client.world
    await rule(client, "like", "like", points=1)
    await send(client, *(did("like", "2026-05-01T04:00:00Z", openid=f"o-{n}") for n in range(5)))
    bad = (await notes(world))[0].payload["events"][3][0]

    async def earn_but_one(session: AsyncSession, programme: Programme, noted: Sequence[Noted]) -> object:
        if any(one.event_id == bad for one in noted):
            raise ArithmeticError
        return await earn_by_events(session, programme, noted)

    # the clock stands still, or what failed would be due again on a slow machine
    with monkeypatch.context() as patch, clock.at(clock.now()):
        patch.setattr(consumer, "earn_by_events", earn_but_one)
        await give(world)
    (row,) = await notes(world)
    assert (len(await granted(world)), row.attempts, row.error, row.sent_at) == (4, 1, "ArithmeticError", None)

    with clock.at(clock.now() + timedelta(minutes=1)):
        await give(world)
    assert len(await granted(world)) == 5


async def notes(world: World) -> list[Any]:
    """Return what was noted for earning."""
    async with world.services.database.reading(EVERYTHING) as session:
        return list(await session.execute(select(outbox).where(outbox.c.consumer == "points").order_by(outbox.c.id)))


async def ordered(world: World, *rows: OrderInput) -> list[int]:
    """Record orders of brand b1 and return their ids; what is noted of them stays."""
    async with world.services.database.writing(EVERYTHING) as session:
        brand = await session.get_one(Brand, world.nodes["g1/b1"])
        made = await record_orders(session, world.services.vault, "test", brand, OrderBatch("shop", rows))
        assert [row.problems for row in made] == [[]] * len(rows)
        return [row.id or 0 for row in made]


def order(number: str, state: OrderState = OrderState.RECEIVED, yuan: int = 100, who: str = FAN) -> OrderInput:
    fan = IdentityInput(IdentityKind.EXTERNAL_ID, who, "test")
    return OrderInput(number, fan, NOON, Decimal(yuan), state, received_at=NOON)


async def look_at(world: World, *order_ids: int) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        await earn_by_orders(session, await programme_of(session, world.nodes["g1/b1"]), order_ids)


async def test_notes_of_one_order_come_to_the_same_in_any_order_and_at_once(client: Client) -> None:
    world = client.world
    await rule(client, "buy", "order_received", points=1, growth=2, perAmount="10")
    (one,) = await ordered(world, order("1"))

    await asyncio.gather(*(look_at(world, one) for _ in range(8)))
    assert (await has(world, world.fans[FAN])).spendable == 10
    await ordered(world, order("1", OrderState.CANCELLED))
    await asyncio.gather(*(look_at(world, one) for _ in range(8)))
    # a message of the order as it was comes once more
    await ordered(world, order("1", OrderState.PAID))
    await look_at(world, one)

    balances = await has(world, world.fans[FAN])
    assert (balances.spendable, balances.growth) == (0, 0)
    await sound(world)


async def test_two_hundred_orders_take_as_many_statements_as_two(client: Client) -> None:
    world = client.world
    await rule(client, "buy", "order_paid", points=1, perAmount="10")
    few = await ordered(world, *(order(f"few{n}", OrderState.PAID) for n in range(2)))
    many = await ordered(world, *(order(f"many{n}", OrderState.PAID) for n in range(200)))
    await look_at(world, *few[:1])

    with statements_of(world.services.database) as of_few:
        await look_at(world, few[1])
    with statements_of(world.services.database) as of_many:
        await look_at(world, *many)

    assert len(of_many) == len(of_few)
    assert (await has(world, world.fans[FAN])).spendable == 2_020


async def test_a_rule_by_order_gives_its_share_and_leaves_what_cost_nothing(client: Client) -> None:
    world = client.world
    await rule(client, "first", "order_received", points=50, frequency="ONCE")
    one, two, gift = await ordered(world, order("1"), order("2"), order("3", yuan=0, who=OTHER))
    await look_at(world, one, two, gift)

    async with world.services.database.writing(EVERYTHING) as session:
        brand = await session.get_one(Brand, world.nodes["g1/b1"])
        await record_refunds(session, "test", brand, RefundBatch("shop", [RefundInput("1", "R1", Decimal(50))]))
    await look_at(world, one, two, gift)

    assert (await has(world, world.fans[FAN])).spendable == 25
    assert (await has(world, world.fans[OTHER])).spendable == 50


@pytest.mark.parametrize(
    "policy, spendable, negative", [("DEBT", 0, 4), ("WITHIN_BALANCE", 0, 0), ("ONLY_PENDING", 6, 0)]
)
async def test_what_was_spent_goes_back_as_the_programme_says(
    client: Client, policy: str, spendable: int, negative: int
) -> None:
    world = client.world
    await rule(client, "buy", "order_received", points=1, perAmount="10")
    (one,) = await ordered(world, order("1"))
    await look_at(world, one)
    async with world.services.database.writing(EVERYTHING) as session:
        place: dict[str, Any] = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"]}
        session.add(PointsProgramme(**place, expiry=ExpiryPolicy.NEVER, claw_back=ClawBackPolicy(policy)))
        await session.flush()
        programme = await programme_of(session, world.nodes["g1/b1"])
        await spend(session, programme, Spend(world.fans[FAN], 4, "test:cup"), actor="test")

    await ordered(world, order("1", OrderState.CANCELLED))
    await look_at(world, one)

    balances = await has(world, world.fans[FAN])
    assert (balances.active, balances.negative) == (spendable, negative)
    await sound(world)


async def test_who_was_merged_away_or_erased_meanwhile_is_who_they_are_now_or_nobody(client: Client) -> None:
    world = client.world
    await install(client, "COMMUNITY")
    (one,) = await ordered(world, order("1"))
    await merge(world, OTHER, FAN)

    assert await earn(world, Noted(1, world.fans[FAN], "post", NOON)) == 1
    await look_at(world, one)
    assert {row.fan_id for row in await granted(world)} == {world.fans[OTHER]}

    async with world.services.database.writing(EVERYTHING) as session:
        erased = table_of(Fan).c.id == world.fans[OTHER]
        await session.execute(update(table_of(Fan)).where(erased).values(erased_at=NOON))
    assert await earn(world, Noted(2, world.fans[FAN], "post", NOON)) == 0
    assert await earn(world, Noted(3, world.fans[OTHER], "post", NOON)) == 0
    await sound(world)


async def test_a_refund_takes_back_what_a_rule_gave_that_is_disabled_by_now(client: Client) -> None:
    world = client.world
    rule_id = await rule(client, "buy", "order_received", points=1, perAmount="10")
    await ordered(world, order("1"))
    await give(world)
    disable = "mutation($i: DisablePointRuleInput!) { disablePointRule(input: $i) { userErrors { code } } }"
    await client.data("HQ1", disable, i={"ruleId": rule_id})

    await ordered(world, order("1", OrderState.CANCELLED))
    await give(world)

    assert (await has(world, world.fans[FAN])).spendable == 0
    await sound(world)


@pytest.mark.skipif(DATABASE == "sqlite", reason="one writer at a time")
async def test_an_order_cancelled_while_it_is_granted_is_taken_back_by_whichever_worker(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = client.world
    await rule(client, "buy", "order_received", points=1, perAmount="10")
    (one,) = await ordered(world, order("1"))
    looked, real, turns = asyncio.Event(), grant, iter(range(9))

    async def slow(*given: Any, **more: Any) -> Any:
        if next(turns) == 0:
            looked.set()
            await asyncio.sleep(1)
        return await real(*given, **more)

    async def cancel_and_look() -> None:
        await looked.wait()
        await ordered(world, order("1", OrderState.CANCELLED))
        await look_at(world, one)

    monkeypatch.setattr(by_order, "grant", slow)
    await asyncio.gather(look_at(world, one), cancel_and_look())

    assert (await has(world, world.fans[FAN])).spendable == 0
    await sound(world)
