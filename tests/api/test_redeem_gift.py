"""redeemGift and redeemGiftForMe: at the price seen, once a key, never more than there is (M01 to M06, M12, M14)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from domain import clock
from schema.ids import encode
from tests.cast import snapshot
from tests.mall import (
    REDEEM,
    REDEEM_FOR_ME,
    act,
    add_stock,
    balances,
    give_points,
    offer,
    redeem,
    refused,
    stock_holds,
    stock_of,
    update,
)
from tests.world import Client

ME, OTHER, ABROAD = "g1/b1/d1#1", "g1/b1/d1#2", "g1/b2/d1#1"
DELIVERY = {"recipient": "王芳", "phone": "+86 138-0000-1234", "address": "广州市天河区体育西路 1 号"}


async def test_a_redemption_holds_the_points_and_takes_the_pieces(client: Client) -> None:
    gift = await offer(client)
    await give_points(client.world, ME, 150)

    answer = await redeem(client, gift, ME, quantity=2, delivery=DELIVERY)

    order = answer.pop("redemption")
    assert answer == {"userErrors": [], "points": 120, "balance": 30, "replayed": False}
    assert order.pop("redemptionId")
    assert len(order.pop("number")) == 18
    assert order == {
        "giftId": gift,
        "title": "杯子",
        "quantity": 2,
        "points": 120,
        "cash": {"amount": "0.00", "currency": "CNY"},
        "state": "CREATED",
        "payUntil": None,
        "paidAt": None,
        "carrier": None,
        "trackingNumber": None,
        "cancelReason": None,
        "delivery": {**DELIVERY, "phone": "13800001234"},
    }
    held = await balances(client.world, ME)
    assert (held.active, held.held, held.spent) == (30, 120, 0)
    assert await stock_of(client.world, gift) == 8
    await stock_holds(client.world)


async def test_who_is_charged_for_three_pieces_is_given_three_or_none(client: Client) -> None:
    gift = await offer(client, stock=4)
    await give_points(client.world, ME, 600)

    order = (await redeem(client, gift, ME, quantity=3))["redemption"]
    short = await redeem(client, gift, ME, quantity=3)
    done = (await act(client, "B1", "fulfilRedemption", redemptionId=order["redemptionId"]))["redemption"]

    assert refused(short)[0] == "GIFT_OUT_OF_STOCK"
    assert (done["state"], done["quantity"], done["points"]) == ("FULFILLED", 3, 180)
    has = await balances(client.world, ME)
    assert (has.active, has.held, has.spent) == (420, 0, 180)
    assert await stock_of(client.world, gift) == 1
    await stock_holds(client.world)


async def test_the_same_key_is_one_order_and_another_input_under_it_is_refused(client: Client) -> None:
    gift = await offer(client)
    await give_points(client.world, ME, 200)

    first, again = [await redeem(client, gift, ME, idempotencyKey="k") for _ in range(2)]
    other = await redeem(client, gift, ME, idempotencyKey="k", quantity=2)

    assert (first["replayed"], again["replayed"]) == (False, True)
    assert first["redemption"] == again["redemption"]
    assert refused(other) == ("IDEMPOTENCY_CONFLICT", ["input", "idempotencyKey"])
    assert await stock_of(client.world, gift) == 9
    assert (await balances(client.world, ME)).held == 60


async def test_a_key_that_many_send_at_once_has_one_effect(client: Client) -> None:
    gift = await offer(client)
    await give_points(client.world, ME, 1000)
    wanted = {"giftId": gift, "points": 60, "idempotencyKey": "k"}

    answers = await asyncio.gather(*(client.ask(ME, REDEEM_FOR_ME, i=wanted) for _ in range(10)))

    done = [answer["data"]["redeemGiftForMe"] for answer in answers if "errors" not in answer]
    busy = [answer["errors"][0]["extensions"]["code"] for answer in answers if "errors" in answer]
    assert len({one["redemption"]["number"] for one in done}) == 1
    assert [one["replayed"] for one in done].count(False) == 1
    assert set(busy) <= {"CONFLICT"}
    assert await stock_of(client.world, gift) == 9


async def test_two_fans_may_use_the_same_key(client: Client) -> None:
    gift = await offer(client)
    for who in (ME, OTHER):
        await give_points(client.world, who, 60)

    answers = [await redeem(client, gift, who, idempotencyKey="k") for who in (ME, OTHER)]

    assert [answer["replayed"] for answer in answers] == [False, False]


async def test_what_is_refused_writes_nothing_and_burns_no_key(client: Client) -> None:
    gift, dear = await offer(client, stock=3), await offer(client, code="dear", points=200)
    limited = await offer(client, code="limited", perFanLimit=1)
    none = await offer(client, code="none", stock=0)
    off = await offer(client, code="off")
    await update(client, off, state="OFF_SALE")
    await give_points(client.world, ME, 150)
    before = await snapshot(client.world)

    async def refusal(wanted: str, **given: Any) -> tuple[str, list[str] | None]:
        return refused(await redeem(client, wanted, ME, idempotencyKey="k", **given))

    assert await refusal(dear, points=200) == ("INSUFFICIENT_POINTS", ["input", "giftId"])
    assert await refusal(gift, quantity=4) == ("GIFT_OUT_OF_STOCK", ["input", "giftId"])
    assert await refusal(none) == ("GIFT_OUT_OF_STOCK", ["input", "giftId"])
    assert await refusal(off) == ("GIFT_NOT_ON_SALE", ["input", "giftId"])
    assert await refusal(limited, quantity=2) == ("GIFT_LIMIT_REACHED", ["input", "giftId"])
    for quantity in (0, -1, 101):
        assert await refusal(gift, quantity=quantity) == ("BAD_USER_INPUT", ["input", "quantity"])
    for points in (59, 0, -60, 2**62):
        assert await refusal(gift, points=points) == ("PRICE_CHANGED", ["input", "points"])
    assert await refusal(gift, cash="1.00") == ("PRICE_CHANGED", ["input", "cash"])
    assert await refusal(gift, cash="0.001") == ("BAD_USER_INPUT", ["input", "cash"])
    for name, value in (("recipient", " "), ("phone", "unknown"), ("address", "x" * 501)):
        wrong = {**DELIVERY, name: value}
        assert await refusal(gift, delivery=wrong) == ("BAD_USER_INPUT", ["input", "delivery", name])
    assert await snapshot(client.world) == before

    assert (await redeem(client, gift, ME, idempotencyKey="k"))["replayed"] is False


async def test_a_price_that_changed_since_it_was_seen_is_refused(client: Client) -> None:
    gift = await offer(client)
    await give_points(client.world, ME, 150)
    await update(client, gift, points=50)

    assert refused(await redeem(client, gift, ME, points=60)) == ("PRICE_CHANGED", ["input", "points"])
    assert (await redeem(client, gift, ME, points=50))["balance"] == 100


async def test_a_time_on_sale_ends_to_the_moment(client: Client) -> None:
    gift = await offer(client, saleFrom="2026-03-01T00:00:00Z", saleUntil="2026-03-02T00:00:00Z")
    await give_points(client.world, ME, 150)

    for at, code in (
        (datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), "GIFT_NOT_ON_SALE"),
        (datetime(2026, 3, 2, tzinfo=UTC), "GIFT_NOT_ON_SALE"),
    ):
        with clock.at(at):
            assert refused(await redeem(client, gift, ME))[0] == code
    with clock.at(datetime(2026, 3, 1, tzinfo=UTC)):
        assert (await redeem(client, gift, ME))["userErrors"] == []


async def test_a_gift_of_another_brand_is_not_there(client: Client) -> None:
    foreign = await offer(client, brand="g1/b2", who="B2")
    await give_points(client.world, ME, 150)

    for wanted in (foreign, encode("Gift", 2**40)):
        assert refused(await redeem(client, wanted, ME)) == ("NOT_FOUND", ["input", "giftId"])


async def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(client: Client) -> None:
    gift = await offer(client)
    await give_points(client.world, ME, 150)
    before = await snapshot(client.world)

    answer = await redeem(client, gift, ME, dryRun=True, quantity=2, idempotencyKey="k")

    assert answer == {"userErrors": [], "points": 120, "balance": 30, "replayed": False, "redemption": None}
    assert refused(await redeem(client, gift, ME, dryRun=True, quantity=3))[0] == "INSUFFICIENT_POINTS"
    assert await snapshot(client.world) == before
    assert (await redeem(client, gift, ME, quantity=2, idempotencyKey="k"))["replayed"] is False


async def test_staff_order_for_a_fan_of_theirs_and_it_is_in_the_audit_log(client: Client) -> None:
    gift = await offer(client)
    world = client.world
    await give_points(world, ME, 60)
    wanted = {"giftId": gift, "points": 60, "idempotencyKey": "k"}
    before = await snapshot(world)

    for who, fan in (("B1", ABROAD), ("B2", ME), ("G2", ME), ("SERVICE", ABROAD)):
        answer = await client.data(who, REDEEM, i={**wanted, "fanId": world.id("Fan", fan)})
        code, field = refused(answer["redeemGift"])
        assert code == "NOT_FOUND", who
        assert field in (["input", "fanId"], ["input", "giftId"]), who
    for who in ("D1", "S1", "ANALYST", "B1READ"):
        assert await client.codes(who, REDEEM, i={**wanted, "fanId": world.id("Fan", ME)}) == ["FORBIDDEN"]
    assert await snapshot(world) == before

    answer = (await client.data("B1", REDEEM, i={**wanted, "fanId": world.id("Fan", ME)}))["redeemGift"]

    assert (answer["userErrors"], answer["balance"], answer["redemption"]["gift"]) == ([], 0, {"id": gift})
    (entry,) = (await client.data("B1", "{ auditLog(last: 1) { nodes { action } } }"))["auditLog"]["nodes"]
    assert entry["action"] == "redemption:create"


async def test_forty_at_once_for_sixty_of_a_hundred_points_are_one(client: Client) -> None:
    gift = await offer(client, stock=100)
    await give_points(client.world, ME, 100)

    answers = await asyncio.gather(*(ordered(client, gift, ME) for _ in range(40)))

    assert answers.count("done") == 1
    assert set(answers) <= {"done", "INSUFFICIENT_POINTS"}
    held = await balances(client.world, ME)
    assert (held.active, held.held) == (40, 60)
    await stock_holds(client.world)


async def test_of_ten_pieces_two_hundred_at_once_get_ten(client: Client) -> None:
    gift = await offer(client, stock=10)
    crowd = [f"g1/b1/{dealer}#{number}" for dealer in ("d1", "d11") for number in (1, 2, 3, 4)]
    for who in crowd:
        await give_points(client.world, who, 60 * 200)

    answers = await asyncio.gather(*(ordered(client, gift, crowd[n % len(crowd)]) for n in range(200)))

    assert answers.count("done") == 10
    assert set(answers) == {"done", "GIFT_OUT_OF_STOCK"}
    assert await stock_of(client.world, gift) == 0
    await stock_holds(client.world)
    held = [(await balances(client.world, who)).held for who in crowd]
    assert sum(held) == 600


async def test_a_fan_who_asks_thirty_times_at_once_gets_as_many_as_the_limit(client: Client) -> None:
    gift = await offer(client, stock=100, perFanLimit=3)
    await give_points(client.world, ME, 60 * 100)

    answers = await asyncio.gather(*(ordered(client, gift, ME) for _ in range(30)))

    assert answers.count("done") == 3
    assert set(answers) == {"done", "GIFT_LIMIT_REACHED"}
    assert await stock_of(client.world, gift) == 97
    offered = await client.data(ME, "{ giftOffers(first: 1) { nodes { standing { taken left bars } } } }")
    assert offered["giftOffers"]["nodes"] == [{"standing": {"taken": 3, "left": 0, "bars": ["LIMIT_REACHED"]}}]


async def test_while_stock_comes_and_goes_the_sums_hold(client: Client) -> None:
    gift = await offer(client, stock=5)
    for who in (ME, OTHER):
        await give_points(client.world, who, 60 * 10)

    await asyncio.gather(
        *(ordered(client, gift, (ME, OTHER)[n % 2]) for n in range(10)),
        *(add_stock(client, gift, (1, -1)[n % 2], f"s{n}") for n in range(6)),
    )

    await stock_holds(client.world)


async def ordered(client: Client, gift: str, who: str) -> str:
    """Order one piece and return `done`, or why not."""
    answer = await redeem(client, gift, who)
    return refused(answer)[0] if answer["userErrors"] else "done"
