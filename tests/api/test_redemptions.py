"""fulfilRedemption, cancelRedemption, recordRedemptionPayment and lists: what becomes of orders, and who sees them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from domain import clock
from domain.audit import AuditEntry
from domain.mall.upkeep import expire_unpaid
from domain.points.ledger.models import PointLot
from domain.tables import table_of
from schema.ids import encode
from tests.cast import EVERYTHING, snapshot
from tests.mall import act, balances, give_points, offer, redeem, refused, stock_holds, stock_of, update
from tests.world import Client, World

ME, OTHER, STRANGER = "g1/b1/d1#1", "g1/b1/d11#1", "g1/b2/d1#1"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
DELIVERY = {"recipient": "王芳", "phone": "13800001234", "address": "广州"}
LIST = """query($filter: RedemptionFilterInput) { redemptions(first: 20, filter: $filter) {
  totalCount nodes { number state fan { id } gift { code } dealer { code } } } }"""
MINE = (
    "query($state: RedemptionState) { myRedemptions(first: 20, state: $state) { totalCount nodes { number state } } }"
)


async def order(client: Client, who: str = ME, gift: str | None = None, **given: Any) -> dict[str, Any]:
    """Order a piece of a new gift, or of this one, with points for it; return the order as the fan sees it."""
    wanted = gift or await offer(client, code=f"for {who}".replace("/", "-").replace("#", "-").replace(" ", "-"))
    await give_points(client.world, who, 60, "/".join(who.split("/")[:2]))
    found: dict[str, Any] = (await redeem(client, wanted, who, **given))["redemption"]
    return found


async def test_a_gift_that_went_out_has_its_points_spent(client: Client) -> None:
    made = await order(client)

    answer = await act(
        client, "B1", "fulfilRedemption", redemptionId=made["redemptionId"], carrier="SF", trackingNumber="SF1"
    )

    assert (answer["userErrors"], answer["replayed"]) == ([], False)
    done = answer["redemption"]
    assert (done["state"], done["carrier"], done["trackingNumber"]) == ("FULFILLED", "SF", "SF1")
    have = await balances(client.world, ME)
    assert (have.active, have.held, have.spent) == (0, 0, 60)
    await stock_holds(client.world)


async def test_a_cancelled_one_gives_points_and_pieces_back_once(client: Client) -> None:
    made = await order(client)
    of = {"redemptionId": made["redemptionId"], "reason": "out of colour", "idempotencyKey": "k"}

    first, again = [await act(client, "B1", "cancelRedemption", **of) for _ in range(2)]
    other_key = await act(client, "B1", "cancelRedemption", **of | {"idempotencyKey": "other"})

    assert (first["replayed"], again["replayed"]) == (False, True)
    assert (first["redemption"]["state"], first["redemption"]["cancelReason"]) == ("CANCELLED", "out of colour")
    assert refused(other_key)[0] == "REDEMPTION_ENDED"
    have = await balances(client.world, ME)
    assert (have.active, have.held, have.spent) == (60, 0, 0)
    assert await stock_of(client.world, made["giftId"]) == 10
    await stock_holds(client.world)


async def test_points_return_to_the_lots_they_came_from(client: Client) -> None:
    gift = await offer(client)
    for points in (20, 30, 40):
        await give_points(client.world, ME, points)
    before = await lots(client.world)
    made = (await redeem(client, gift, ME))["redemption"]
    assert [left for _, left, _ in await lots(client.world)] == [0, 0, 30]

    answer = await act(client, ME, "cancelMyRedemption", redemptionId=made["redemptionId"])

    assert answer["userErrors"] == []
    assert await lots(client.world) == before


async def lots(world: World) -> list[tuple[int, int, datetime | None]]:
    """Return what is left of each lot, and until when."""
    table = table_of(PointLot)
    columns = (table.c.id, table.c.remaining, table.c.expires_at)
    async with world.services.database.reading(EVERYTHING) as session:
        return [tuple(row) for row in await session.execute(select(*columns).order_by(table.c.id))]


async def test_of_twenty_who_end_it_at_once_one_does(client: Client) -> None:
    made = await order(client)
    of = made["redemptionId"]

    async def end(number: int) -> str:
        kind, more = (("cancelRedemption", {"reason": "x"}), ("fulfilRedemption", {}))[number % 2]
        answer = await act(client, "B1", kind, redemptionId=of, **more)
        return refused(answer)[0] if answer["userErrors"] else "done"

    ends = await asyncio.gather(*(end(number) for number in range(20)))

    assert sorted(ends) == ["REDEMPTION_ENDED"] * 19 + ["done"]
    have = await balances(client.world, ME)
    assert (have.active + have.spent, have.held) == (60, 0)
    await stock_holds(client.world)


async def test_what_is_ended_stays_so(client: Client) -> None:
    sent = await order(client)
    await act(client, "B1", "fulfilRedemption", redemptionId=sent["redemptionId"])
    before = await snapshot(client.world)

    for mutation, more in (("fulfilRedemption", {}), ("cancelRedemption", {"reason": "x"})):
        answer = await act(client, "B1", mutation, redemptionId=sent["redemptionId"], **more)
        assert refused(answer)[0] == "REDEMPTION_ENDED"
    assert refused(await act(client, ME, "cancelMyRedemption", redemptionId=sent["redemptionId"]))[0] == (
        "REDEMPTION_ENDED"
    )
    assert await snapshot(client.world) == before


async def test_a_fan_cancels_their_own_and_nobody_elses(client: Client) -> None:
    made = await order(client)
    before = await snapshot(client.world)

    for who in (OTHER, STRANGER):
        answer = await act(client, who, "cancelMyRedemption", redemptionId=made["redemptionId"])
        assert refused(answer) == ("NOT_FOUND", ["input", "redemptionId"])
    dry = await act(client, ME, "cancelMyRedemption", redemptionId=made["redemptionId"], dryRun=True)
    assert dry["redemption"]["state"] == "CANCELLED"
    assert await snapshot(client.world) == before

    answer = await act(client, ME, "cancelMyRedemption", redemptionId=made["redemptionId"])

    assert (answer["redemption"]["state"], answer["redemption"]["cancelReason"]) == (
        "CANCELLED",
        "cancelled by the fan",
    )
    assert (await balances(client.world, ME)).active == 60


async def test_a_gift_with_a_limit_may_be_had_again_after_a_cancelled_one(client: Client) -> None:
    gift = await offer(client, perFanLimit=1)
    first = await order(client, gift=gift)
    assert refused(await redeem(client, gift, ME))[0] == "GIFT_LIMIT_REACHED"

    await act(client, ME, "cancelMyRedemption", redemptionId=first["redemptionId"])

    assert (await redeem(client, gift, ME))["userErrors"] == []


async def test_money_is_paid_before_the_gift_goes_out(client: Client) -> None:
    gift = await offer(client, cash="9.90")
    made = await order(client, gift=gift, cash="9.90")
    of = made["redemptionId"]
    assert made["cash"] == {"amount": "9.90", "currency": "CNY"}
    assert made["payUntil"] is not None

    assert refused(await act(client, "B1", "fulfilRedemption", redemptionId=of))[0] == "REDEMPTION_UNPAID"
    short = await act(client, "B1", "recordRedemptionPayment", redemptionId=of, amount="9.89", paymentReference="P1")
    assert refused(short) == ("BAD_USER_INPUT", ["input", "amount"])
    paid, again = [
        await act(client, "SERVICE", "recordRedemptionPayment", redemptionId=of, amount="9.90", paymentReference="P1")
        for _ in range(2)
    ]
    other = await act(client, "B1", "recordRedemptionPayment", redemptionId=of, amount="9.90", paymentReference="P2")

    assert (paid["redemption"]["payUntil"], paid["redemption"]["paidAt"] is None) == (None, False)
    assert again["redemption"] == paid["redemption"]
    assert refused(other)[0] == "REDEMPTION_PAID"
    assert refused(await act(client, ME, "cancelMyRedemption", redemptionId=of))[0] == "REDEMPTION_PAID"
    assert (await act(client, "B1", "fulfilRedemption", redemptionId=of))["redemption"]["state"] == "FULFILLED"


async def test_a_payment_pays_one_redemption_and_only_what_costs_money(client: Client) -> None:
    gift = await offer(client, cash="1.00")
    one, other = [await order(client, gift=gift, cash="1.00") for _ in range(2)]
    free = await order(client, OTHER)
    pay = {"amount": "1.00", "paymentReference": "P1"}
    await act(client, "B1", "recordRedemptionPayment", redemptionId=one["redemptionId"], **pay)

    twice = await act(client, "B1", "recordRedemptionPayment", redemptionId=other["redemptionId"], **pay)
    nothing = await act(client, "B1", "recordRedemptionPayment", redemptionId=free["redemptionId"], **pay)

    assert refused(twice) == ("BAD_USER_INPUT", ["input", "paymentReference"])
    assert refused(nothing) == ("BAD_USER_INPUT", ["input", "amount"])


async def test_what_is_not_paid_in_time_is_given_back_once(client: Client) -> None:
    gift = await offer(client, cash="1.00")
    with clock.at(NOW):
        late, paid = [await order(client, gift=gift, cash="1.00") for _ in range(2)]
        free = await order(client, OTHER)
    pay = {"amount": "1.00", "paymentReference": "P1"}
    await act(client, "B1", "recordRedemptionPayment", redemptionId=paid["redemptionId"], **pay)

    with clock.at(NOW + timedelta(minutes=29)):
        assert await expire_unpaid(client.world.services.database) == 0
    with clock.at(NOW + timedelta(minutes=30)):
        runs = await asyncio.gather(*(expire_unpaid(client.world.services.database) for _ in range(3)))

    assert sum(runs) == 1
    states = {row["number"]: row["state"] for row in (await client.data("B1", LIST))["redemptions"]["nodes"]}
    assert states == {late["number"]: "CANCELLED", paid["number"]: "CREATED", free["number"]: "CREATED"}
    have = await balances(client.world, ME)
    assert (have.active, have.held) == (60, 60)
    await stock_holds(client.world)
    answer = await act(
        client, "B1", "recordRedemptionPayment", redemptionId=late["redemptionId"], amount="1.00", paymentReference="P2"
    )
    # the money is there, and somebody has to pay it back: the payment is known, and what was cancelled stays so
    assert (answer["redemption"]["state"], answer["redemption"]["paidAt"] is None) == ("CANCELLED", False)
    assert await balances(client.world, ME) == have
    await stock_holds(client.world)
    assert "redemption:pay_late" in await deeds_of(client)
    again, other = [
        await act(client, "B1", "recordRedemptionPayment", redemptionId=late["redemptionId"], amount="1.00", **by)
        for by in ({"paymentReference": "P2"}, {"paymentReference": "P3"})
    ]
    assert again["redemption"] == answer["redemption"]
    assert refused(other)[0] == "REDEMPTION_PAID"


async def deeds_of(client: Client) -> set[str]:
    actions = select(table_of(AuditEntry).c.action)
    async with client.world.services.database.reading(EVERYTHING) as session:
        return set((await session.execute(actions)).scalars())


async def test_a_payment_and_the_end_of_its_time_at_once_are_one_of_both(client: Client) -> None:
    gift = await offer(client, cash="1.00", stock=20)
    with clock.at(NOW):
        made = [await order(client, gift=gift, cash="1.00") for _ in range(6)]

    async def pay(number: int) -> bool:
        of = {"redemptionId": made[number]["redemptionId"], "amount": "1.00", "paymentReference": f"P{number}"}
        return not (await act(client, "B1", "recordRedemptionPayment", **of))["userErrors"]

    with clock.at(NOW + timedelta(hours=1)):
        *paid, expired = await asyncio.gather(*map(pay, range(6)), expire_unpaid(client.world.services.database))
        expired += await expire_unpaid(client.world.services.database)

    # what came too late is written down too, and keeps nothing from being given back
    assert paid == [True] * 6
    nodes = (await client.data("B1", LIST))["redemptions"]["nodes"]
    assert sorted(row["state"] for row in nodes) == ["CANCELLED"] * expired + ["CREATED"] * (6 - expired)
    have = await balances(client.world, ME)
    assert (have.active, have.held) == (60 * expired, 60 * (6 - expired))
    await stock_holds(client.world)


async def test_each_sees_the_redemptions_of_their_fans(client: Client) -> None:
    gift = await offer(client, stock=20)
    mine = await order(client, gift=gift)
    theirs = await order(client, OTHER, gift=gift)
    foreign = await offer(client, brand="g1/b2", who="B2")
    abroad = await order(client, STRANGER, gift=foreign)
    known = {mine["number"]: "me", theirs["number"]: "other", abroad["number"]: "abroad"}

    async def seen(who: str, **wanted: Any) -> set[str]:
        found = (await client.data(who, LIST, filter=wanted))["redemptions"]
        assert found["totalCount"] == len(found["nodes"])
        return {known[row["number"]] for row in found["nodes"]}

    assert await seen("HQ1") == {"me", "other", "abroad"}
    assert await seen("B1") == {"me", "other"}
    assert await seen("D1") == {"me"}
    assert await seen("D11") == {"other"}
    assert await seen("S1") == {"me"}
    assert await seen("B2") == {"abroad"}
    assert await seen("G2") == set()
    assert await seen("HQ1", brandId=client.world.id("Brand", "g1/b2")) == {"abroad"}
    assert await seen("B1", fanId=client.world.id("Fan", OTHER)) == {"other"}
    assert await seen("B1", giftId=foreign) == set()
    assert await seen("B1", giftId=gift, state="CREATED") == {"me", "other"}
    assert await seen("B1", state="FULFILLED") == set()
    assert await seen("B1", number=mine["number"]) == {"me"}
    assert (await client.data(ME, MINE))["myRedemptions"]["nodes"] == [{"number": mine["number"], "state": "CREATED"}]
    assert (await client.data(ME, MINE, state="CANCELLED"))["myRedemptions"]["totalCount"] == 0
    assert (await client.data("g1/b1/d1#2", MINE))["myRedemptions"]["totalCount"] == 0


async def test_one_out_of_scope_is_like_one_that_is_not(client: Client) -> None:
    made = await order(client)
    one, own = (
        "query($id: ID!) { redemption(id: $id) { number } }",
        "query($id: ID!) { myRedemption(id: $id) { number } }",
    )
    before = await snapshot(client.world)

    for who, document in (("B2", one), ("D11", one), ("G2", one), (OTHER, own), (STRANGER, own)):
        foreign = await client.ask(who, document, id=made["redemptionId"])
        unused = await client.ask(who, document, id=encode("Redemption", 2**40))
        assert foreign == unused
        assert foreign["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    for who in ("B2", "B10", "G2"):
        answer = await act(client, who, "cancelRedemption", redemptionId=made["redemptionId"], reason="x")
        assert refused(answer) == ("NOT_FOUND", ["input", "redemptionId"])
    assert await snapshot(client.world) == before
    assert (await client.data(ME, own, id=made["redemptionId"]))["myRedemption"] == {"number": made["number"]}


async def test_where_it_goes_is_for_who_may_read_personal_data_and_each_reading_is_recorded(client: Client) -> None:
    made = await order(client, delivery=DELIVERY)
    document = "query($id: ID!) { redemption(id: $id) { delivery { recipient phone address } } }"

    for who, shown in (("B1READ", None), ("S1", None), ("B1", DELIVERY), ("D1", DELIVERY)):
        found = await client.data(who, document, id=made["redemptionId"])
        assert found["redemption"]["delivery"] == shown, who

    log = (await client.data("B1", "{ auditLog(last: 2) { nodes { action principal detail } } }"))["auditLog"]["nodes"]
    assert [entry["action"] for entry in log] == ["fan:read_personal"] * 2
    assert [entry["detail"]["field"] for entry in log] == ["delivery"] * 2


async def test_a_list_costs_the_same_statements_whatever_its_size(client: Client) -> None:
    gift = await offer(client)
    document = """query($n: Int) { redemptions(first: $n) { nodes { fan { id } gift { code } brand { code }
      dealer { code } delivery { phone } } } }"""
    for _ in range(5):
        await order(client, gift=gift, delivery=DELIVERY)
    costs = []

    for first in (1, 5):
        await client.data("B1", document, n=first)
        client.statements.clear()
        assert len((await client.data("B1", document, n=first))["redemptions"]["nodes"]) == first
        costs.append(len(client.statements))

    assert costs[0] == costs[1]


async def test_what_is_changed_of_a_gift_changes_no_order(client: Client) -> None:
    made = await order(client)
    await update(client, made["giftId"], title="新杯", points=999)

    answer = await act(client, "B1", "fulfilRedemption", redemptionId=made["redemptionId"])

    assert (answer["redemption"]["title"], answer["redemption"]["points"]) == ("杯子", 60)


async def test_a_redemption_is_on_the_timeline_of_its_fan(client: Client) -> None:
    made = await order(client)
    document = """query($fan: ID!) { timeline(fanId: $fan, first: 5, kinds: [REDEMPTION]) { totalCount nodes {
      kind name product number itemCount amount { amount } redemptionId } } }"""

    found = (await client.data("B1", document, fan=client.world.id("Fan", ME)))["timeline"]

    assert found["nodes"] == [
        {
            "kind": "REDEMPTION",
            "name": "CREATED",
            "product": "杯子",
            "number": made["number"],
            "itemCount": 1,
            "amount": {"amount": "0.00"},
            "redemptionId": made["redemptionId"],
        }
    ]
    mine = await client.data(ME, "{ myTimeline(first: 5, kinds: [REDEMPTION]) { nodes { name product number } } }")
    assert mine["myTimeline"]["nodes"] == [{"name": "CREATED", "product": "杯子", "number": made["number"]}]
