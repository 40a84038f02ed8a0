"""The Zippo programme through the API: two platforms, 15 natural days after receipt, returns before and after."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain import clock
from domain.points import upkeep
from domain.points.ledger.rules import Balances
from tests.domain.test_resolution import count, merges
from tests.earning import at, did, give, granted, has, install, send, sound
from tests.world import Client

ORDERS = """mutation($i: RecordOrdersInput!) { recordOrders(input: $i) {
  userErrors { code field message } results { outcome userErrors { field message } } } }"""
REFUNDS = """mutation($i: RecordOrderRefundsInput!) { recordOrderRefunds(input: $i) {
  userErrors { code field message } results { outcome userErrors { field message } } } }"""
# received at 23:59 of the 1st in Shanghai: the 15th natural day after begins at 0:00 of the 16th
RECEIVED, DAY_BEFORE, DUE = "2026-05-01T15:59:00Z", "2026-05-15T15:59:59Z", "2026-05-15T16:00:00Z"
# 0:30 and 23:59:59 of the 1st in Shanghai, which are two days in UTC, and the midnight after
EARLY, LATE, MIDNIGHT = "2026-04-30T16:30:00Z", "2026-05-01T15:59:59Z", "2026-05-01T16:00:00Z"
# one person's openids, each with the platform that gave it
ACCOUNT, MINI_PROGRAM = ("o-account", "wx-account"), ("o-mini", "wx-mini")


class Club:
    """The club of brand b1, a fan in it, and the clock."""

    def __init__(self, client: Client) -> None:
        self.client, self.keys = client, 0

    async def _send(self, mutation: str, what: str, row: dict[str, Any], now: str) -> None:
        self.keys += 1
        place = {"brandId": self.client.world.id("Brand", "g1/b1"), "source": "tmall"}
        with clock.at(at(now)):
            given = {**place, what: [row], "idempotencyKey": f"k{self.keys}"}
            (made,) = (await self.client.data("SERVICE", mutation, i=given)).values()
            assert made["userErrors"] == []
            assert [row["userErrors"] for row in made["results"]] == [[]], made
            await self.work()

    async def order(self, now: str = RECEIVED, **given: Any) -> None:
        """Record an order of 109.90 yuan, received, and let the worker see it."""
        fan = {"kind": "EXTERNAL_ID", "value": "g1/b1/d1#1", "issuer": "test"}
        row = {"number": "T1", "fan": fan, "placedAt": "2026-04-28T04:00:00Z", "amount": "109.90"}
        await self._send(ORDERS, "orders", {**row, "state": "RECEIVED", "receivedAt": RECEIVED, **given}, now)

    async def refund(self, number: str, amount: str, now: str) -> None:
        """Record what was paid back, and let the worker see it."""
        await self._send(REFUNDS, "refunds", {"orderNumber": "T1", "number": number, "amount": amount}, now)

    async def work(self) -> None:
        await give(self.client.world)
        await upkeep.tend(self.client.world.services.database)

    async def has(self, now: str) -> Balances:
        """Return what the fan has when the worker has done its work at a moment."""
        with clock.at(at(now)):
            await self.work()
        return await has(self.client.world, self.client.world.fans["g1/b1/d1#1"])


@pytest.fixture
async def club(client: Client) -> AsyncIterator[Club]:
    """Yield the club with its programme; after the test the books are right."""
    await install(client, "ZIPPO")
    yield Club(client)
    await sound(client.world)


async def test_signing_in_on_both_platforms_in_one_natural_day_earns_once(club: Club) -> None:
    first, second = did("sign_in", "2026-05-01T01:00:00Z"), did("sign_in", "2026-05-01T02:00:00Z")
    next_day = did("sign_in", "2026-05-01T16:00:00Z")

    # the club's message comes before that of the mini-program where the fan signed in earlier
    await send(club.client, {**second, "properties": {"platform": "club"}})
    await give(club.client.world)
    await send(club.client, {**first, "properties": {"platform": "mini_program"}}, next_day)
    await give(club.client.world)

    rows = await granted(club.client.world)
    assert sorted((row.granted_points, row.granted_growth) for row in rows) == [(0, 0), (1, 3), (1, 3)]
    balances = await has(club.client.world, rows[0].fan_id)
    assert (balances.spendable, balances.growth) == (2, 6)


def signed_in(at: str, openid: str, platform: str) -> dict[str, Any]:
    """Return the sign-in of the person whose openids of all platforms are joined by one unionid."""
    event, union = did("sign_in", at, openid, platform), {"kind": "UNIONID", "value": "u-1", "issuer": "open"}
    return {**event, "identities": [*event["identities"], union], "properties": {"platform": platform}}


@pytest.mark.parametrize("known_as_two", [False, True], ids=["new", "known as two"])
@pytest.mark.parametrize(
    "first, second", [(ACCOUNT, MINI_PROGRAM), (MINI_PROGRAM, ACCOUNT)], ids=["account first", "mini-program first"]
)
async def test_whichever_platform_a_person_signs_in_on_first_earns_and_the_other_does_the_next_day(
    club: Club, first: tuple[str, str], second: tuple[str, str], known_as_two: bool
) -> None:
    world = club.client.world
    if known_as_two:
        await send(club.client, *(did("h5_view", "2026-04-29T04:00:00Z", *who) for who in (first, second)))

    for at_, who in ((EARLY, first), (LATE, second), (MIDNIGHT, second)):
        await send(club.client, signed_in(at_, *who))
        await give(world)

    rows = await granted(world)
    told = [(row.occurred_at, row.granted_points, row.granted_growth, row.cuts) for row in rows]
    again = [{"cap": "FREQUENCY", "resetsAt": at(MIDNIGHT).isoformat()}]
    assert told == [(at(EARLY), 1, 3, None), (at(LATE), 0, 0, again), (at(MIDNIGHT), 1, 3, None)]
    (fan_id,) = {row.fan_id for row in rows}
    balances = await has(world, fan_id)
    assert (balances.spendable, balances.growth) == (2, 6)
    assert await count(world, merges) == known_as_two


async def test_an_order_is_granted_when_the_fifteenth_natural_day_after_receipt_begins(club: Club) -> None:
    await club.order()

    before, after = await club.has(DAY_BEFORE), await club.has(DUE)

    assert (before.spendable, before.pending, before.growth, before.growth_pending) == (0, 10, 0, 10)
    assert (after.spendable, after.pending, after.growth, after.growth_pending) == (10, 0, 10, 0)


async def test_an_order_that_was_not_received_earns_nothing_yet(club: Club) -> None:
    await club.order(state="PAID", receivedAt=None)
    assert await granted(club.client.world) == []

    await club.order(now="2026-05-02T04:00:00Z", state="RECEIVED", receivedAt=RECEIVED)

    assert (await club.has(DAY_BEFORE)).pending == 10


async def test_a_return_before_the_day_cancels_what_waits(club: Club) -> None:
    await club.order()

    await club.refund("R1", "109.90", "2026-05-10T04:00:00Z")

    balances = await club.has(DUE)
    assert (balances.pending, balances.spendable, balances.growth_pending, balances.growth) == (0, 0, 0, 0)


async def test_a_return_in_part_before_the_day_leaves_what_the_rest_earns(club: Club) -> None:
    await club.order()

    await club.refund("R1", "35", "2026-05-10T04:00:00Z")

    # 74.90 yuan are left
    balances = await club.has(DUE)
    assert (balances.spendable, balances.growth) == (7, 7)


async def test_returns_after_the_day_take_back_in_proportion_and_each_once(club: Club) -> None:
    await club.order()
    await club.has(DUE)

    for _ in range(2):
        await club.refund("R1", "35", "2026-05-20T04:00:00Z")
        assert (await club.has("2026-05-20T04:00:01Z")).spendable == 7
    await club.refund("R2", "5", "2026-05-21T04:00:00Z")
    half = await club.has("2026-05-21T04:00:01Z")
    await club.refund("R3", "69.90", "2026-05-22T04:00:00Z")

    # 69.90 yuan are left after the second
    assert (half.spendable, half.growth) == (6, 6)
    balances = await club.has("2026-05-22T04:00:01Z")
    assert (balances.spendable, balances.growth) == (0, 0)
    (row,) = await granted(club.client.world)
    assert (row.granted_points, row.taken_points, row.taken_growth) == (10, 10, 10)


@pytest.mark.parametrize("state", ["CANCELLED", "REFUNDED"])
async def test_an_order_that_is_given_up_whole_takes_everything_back(club: Club, state: str) -> None:
    await club.order()
    await club.has(DUE)

    await club.order(now="2026-05-20T04:00:00Z", state=state)
    await club.order(now="2026-05-21T04:00:00Z", state=state, amount="109.80")

    assert (await club.has("2026-05-21T04:00:00Z")).spendable == 0


async def test_an_order_paid_back_in_part_before_it_was_received_earns_by_the_rest(club: Club) -> None:
    await club.order(state="PAID", receivedAt=None)
    await club.refund("R1", "50", "2026-05-01T05:00:00Z")

    await club.order(now="2026-05-02T04:00:00Z")

    # 59.90 yuan
    assert (await club.has(DUE)).spendable == 5


async def test_an_order_that_is_told_late_is_granted_at_once(club: Club) -> None:
    await club.order(now="2026-06-01T04:00:00Z")

    balances = await club.has("2026-06-01T04:00:00Z")
    assert (balances.spendable, balances.pending) == (10, 0)


async def test_a_post_and_a_verified_product_earn_what_the_club_says(club: Club) -> None:
    product = {"serial": "Z-1", "product": "ZIPPO-1941"}
    await send(
        club.client,
        did("post", "2026-05-01T04:00:00Z"),
        did("product_verified", "2026-05-01T05:00:00Z", properties=product),
    )
    await give(club.client.world)

    rows = await granted(club.client.world)
    assert [(row.event, row.granted_points, row.granted_growth) for row in rows] == [
        ("post", 2, 5),
        ("product_verified", 5, 50),
    ]
    assert (await has(club.client.world, rows[0].fan_id)).growth == 55
