"""recordOrderRefunds: an order is never paid back more than it cost, nor a refund recorded twice (M01 to M06)."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from domain.orders.models import Order, OrderRefund
from domain.points.ledger.models import PointTransfer
from domain.tables import table_of
from schema.ids import decode, encode
from tests.cast import EVERYTHING, changed, snapshot
from tests.earning import give, granted, has, rule, sound
from tests.world import Client

ME = "g1/b1/d1#1"
# of what the source `test` sold to each fan, the number is the fan's name
MINE, OF_ANOTHER_BRAND = ME, "g1/b2/d1#1"
ORDERS = """mutation($i: RecordOrdersInput!) { recordOrders(input: $i) { userErrors { code }
  results { userErrors { code } order { id } } } }"""
REFUNDS = """mutation($i: RecordOrderRefundsInput!) { recordOrderRefunds(input: $i) { replayed
  userErrors { code field } results { index outcome userErrors { code field }
    order { number state amount { amount } refunded { amount currency } } } } }"""
Answer = dict[str, Any]
orders, refunds, transfers = table_of(Order), table_of(OrderRefund), table_of(PointTransfer)


async def sell(client: Client, number: str = "N1", state: str = "PAID", source: str = "pos") -> int:
    """Record an order of 10 yuan of the first fan and return its number in the database."""
    fan = {"kind": "EXTERNAL_ID", "value": ME, "issuer": "test"}
    row = {"number": number, "fan": fan, "placedAt": "2026-02-01T00:00:00Z", "amount": "10.00", "state": state}
    place = {"brandId": client.world.id("Brand", "g1/b1"), "source": source}
    given = {**place, "idempotencyKey": f"{source} sold {number} {state}", "orders": [row]}
    (made,) = (await client.data("SERVICE", ORDERS, i=given))["recordOrders"]["results"]
    assert made["userErrors"] == []
    return decode(made["order"]["id"], "id")[1]


def refund(number: str = "R1", amount: str = "4.00", order: str = "N1") -> dict[str, Any]:
    """Return a refund of 4 yuan."""
    return {"orderNumber": order, "number": number, "amount": amount}


async def record(client: Client, rows: list[Any], key: str = "k", who: str = "SERVICE", **more: Any) -> Answer:
    """Send refunds of orders of the brand g1/b1 and return the payload."""
    given = {"brandId": client.world.id("Brand", "g1/b1"), "source": "pos", "idempotencyKey": key, "refunds": rows}
    found: Answer = (await client.data(who, REFUNDS, i={**given, **more}))["recordOrderRefunds"]
    return found


def outcomes(answer: Answer) -> list[str]:
    """Return what came of each row."""
    assert answer["userErrors"] == []
    return [row["outcome"] for row in answer["results"]]


def refused(answer: Answer) -> list[tuple[str, str, list[str]]]:
    """Return outcome, code and field of the rows, each of which was refused for one reason."""
    assert answer["userErrors"] == []
    found = [(row["outcome"], row["userErrors"]) for row in answer["results"]]
    return [(outcome, error["code"], error["field"]) for outcome, (error,) in found]


def no(code: str, field: str, index: int = 0) -> tuple[str, str, list[str]]:
    """Return what is told of a row that is refused."""
    return "REJECTED", code, ["input", "refunds", str(index), field]


async def paid_back(client: Client, order: int) -> tuple[str, int, list[tuple[str, int]]]:
    """Return the order's state, what of it was paid back as its row says, and its refunds, in minor units."""
    async with client.world.services.database.reading(EVERYTHING) as session:
        row = (await session.execute(select(orders).where(orders.c.id == order))).one()
        wanted = select(refunds.c.number, refunds.c.amount).where(refunds.c.order_id == order)
        return row.state, row.refunded, [tuple(one) for one in await session.execute(wanted.order_by(refunds.c.number))]


async def spend_of(client: Client) -> tuple[str, int]:
    """Return what the first fan has spent and how many orders of theirs count."""
    document = "query($id: ID!) { fan(id: $id) { spend { amount } orderCount } }"
    found = (await client.data("B1", document, id=client.world.id("Fan", ME)))["fan"]
    return found["spend"]["amount"], found["orderCount"]


async def test_an_order_is_paid_back_in_part_and_then_wholly(client: Client) -> None:
    order = await sell(client)
    assert await spend_of(client) == ("20.00", 2)

    part = await record(client, [refund()], "1")
    spent = await spend_of(client)
    rest = await record(client, [refund("R2", "6.00")], "2")

    told = {"number": "N1", "state": "PAID", "amount": {"amount": "10.00"}}
    some = {**told, "refunded": {"amount": "4.00", "currency": "CNY"}}
    whole = {**told, "state": "REFUNDED", "refunded": {"amount": "10.00", "currency": "CNY"}}
    for answer, now in ((part, some), (rest, whole)):
        assert (answer["userErrors"], answer["replayed"]) == ([], False)
        assert answer["results"] == [{"index": 0, "outcome": "CREATED", "userErrors": [], "order": now}]
    assert await paid_back(client, order) == ("REFUNDED", 1000, [("R1", 400), ("R2", 600)])
    # an order counts as spend until nothing is left of it
    assert (spent, await spend_of(client)) == (("20.00", 2), ("10.00", 1))


async def test_more_than_is_left_is_refused_and_nothing_written(client: Client) -> None:
    order = await sell(client)
    await record(client, [refund()], "1")
    before = await snapshot(client.world)

    answer = await record(client, [refund("R2", "6.01")], "2")

    assert refused(answer) == [no("REFUND_TOO_LARGE", "amount")]
    assert changed(before, await snapshot(client.world)) == set()
    assert outcomes(await record(client, [refund("R2", "6.00")], "2")) == ["CREATED"]
    assert await paid_back(client, order) == ("REFUNDED", 1000, [("R1", 400), ("R2", 600)])


async def test_the_rows_of_a_batch_share_what_is_left_of_the_order(client: Client) -> None:
    order = await sell(client)

    answer = await record(client, [refund("R1"), refund("R2", "6.01"), refund("R3", "6"), refund("R4", "0.01")])

    assert outcomes(answer) == ["CREATED", "REJECTED", "CREATED", "REJECTED"]
    for index in (1, 3):
        (error,) = answer["results"][index]["userErrors"]
        assert ("REJECTED", error["code"], error["field"]) == no("REFUND_TOO_LARGE", "amount", index)
    assert await paid_back(client, order) == ("REFUNDED", 1000, [("R1", 400), ("R3", 600)])


async def test_where_one_row_may_refuse_all_nothing_is_written(client: Client) -> None:
    await sell(client)
    rows = [refund("R1"), refund("R2", "6.01")]
    before = await snapshot(client.world)

    answer = await record(client, rows, errorPolicy="REJECT_EVERYTHING")

    assert outcomes(answer) == ["REJECTED", "REJECTED"]
    assert [[error["code"] for error in row["userErrors"]] for row in answer["results"]] == [[], ["REFUND_TOO_LARGE"]]
    assert changed(before, await snapshot(client.world)) == set()


async def test_of_refunds_at_once_no_more_goes_through_than_was_paid(client: Client) -> None:
    order = await sell(client)

    answers = await asyncio.gather(*(record(client, [refund(f"R{n}")], f"k{n}") for n in range(5)))

    ends = sorted(row["outcome"] for answer in answers for row in answer["results"])
    assert ends == ["CREATED"] * 2 + ["REJECTED"] * 3
    state, refunded, rows = await paid_back(client, order)
    assert (state, refunded, [amount for _, amount in rows]) == ("PAID", 800, [400, 400])


async def test_the_same_key_again_gets_the_same_answer_and_writes_nothing(client: Client) -> None:
    await sell(client)
    first = await record(client, [refund()])
    before = await snapshot(client.world)

    second = await record(client, [refund()])

    assert (outcomes(first), first["replayed"]) == (["CREATED"], False)
    assert second == {**first, "replayed": True}
    assert changed(before, await snapshot(client.world)) == set()


async def test_a_refund_that_is_known_is_unchanged_under_any_key(client: Client) -> None:
    order = await sell(client)
    for number, amount in (("R1", "4.00"), ("R2", "6.00")):
        await record(client, [refund(number, amount)], number)
    before = await snapshot(client.world)

    # also of an order of which nothing is left
    answer = await record(client, [refund(), refund("R2", "6"), refund()], "again")

    assert outcomes(answer) == ["UNCHANGED"] * 3
    assert [row["userErrors"] for row in answer["results"]] == [[]] * 3
    assert [row["order"]["refunded"]["amount"] for row in answer["results"]] == ["10.00"] * 3
    assert changed(before, await snapshot(client.world)) == set()
    assert await paid_back(client, order) == ("REFUNDED", 1000, [("R1", 400), ("R2", 600)])


async def test_a_refund_sent_twice_in_one_batch_is_recorded_once(client: Client) -> None:
    order = await sell(client)

    answer = await record(client, [refund(), refund(), refund(amount="5.00")])

    assert outcomes(answer) == ["CREATED", "UNCHANGED", "REJECTED"]
    assert [error["code"] for error in answer["results"][2]["userErrors"]] == ["REFUND_DIFFERS"]
    assert await paid_back(client, order) == ("PAID", 400, [("R1", 400)])


@pytest.mark.parametrize("amount", ["3.99", "4.01", "400"])
async def test_another_amount_under_a_known_number_is_refused(client: Client, amount: str) -> None:
    await sell(client)
    await record(client, [refund()], "1")
    before = await snapshot(client.world)

    answer = await record(client, [refund(amount=amount)], "2")

    assert refused(answer) == [no("REFUND_DIFFERS", "amount")]
    assert changed(before, await snapshot(client.world)) == set()


async def test_a_number_names_a_refund_within_its_order_only(client: Client) -> None:
    one, other, elsewhere = await sell(client), await sell(client, "N2"), await sell(client, source="mall")

    answer = await record(client, [refund(), refund(amount="5.00", order="N2")])
    from_mall = await record(client, [refund(amount="6.00")], source="mall", key="mall")

    assert (outcomes(answer), outcomes(from_mall)) == (["CREATED", "CREATED"], ["CREATED"])
    found = [await paid_back(client, order) for order in (one, other, elsewhere)]
    assert found == [("PAID", amount, [("R1", amount)]) for amount in (400, 500, 600)]


@pytest.mark.parametrize("who", ["SERVICE", "B1"])
async def test_an_order_of_another_brand_is_like_one_that_is_not(client: Client, who: str) -> None:
    before = await snapshot(client.world)

    foreign, unknown, other_source = [
        await record(client, [refund(order=number)], who=who, source=source)
        for number, source in ((OF_ANOTHER_BRAND, "test"), ("nobody's", "test"), (MINE, "pos"))
    ]

    assert refused(foreign) == [no("NOT_FOUND", "orderNumber")]
    assert foreign == unknown == other_source
    assert foreign["results"][0]["order"] is None
    assert changed(before, await snapshot(client.world)) == set()
    # the own order under the same source is there to be found
    assert outcomes(await record(client, [refund(order=MINE)], who=who, source="test")) == ["CREATED"]


async def test_a_brand_that_is_foreign_is_refused_like_one_that_is_not(client: Client) -> None:
    before = await snapshot(client.world)
    row = refund(order=OF_ANOTHER_BRAND)

    for who, brand in (("SERVICE", "g1/b2"), ("B1", "g1/b2"), ("B10", "g1/b2"), ("G2", "g1/b2"), ("B1", "g2/b1")):
        for place in (client.world.id("Brand", brand), encode("Brand", 2**40)):
            answer = await record(client, [row], who=who, source="test", brandId=place)
            assert answer["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", "brandId"]}], (who, brand)
            assert answer["results"] is None

    assert changed(before, await snapshot(client.world)) == set()
    own = await record(client, [row], who="B2", source="test", brandId=client.world.id("Brand", "g1/b2"))
    assert outcomes(own) == ["CREATED"]


@pytest.mark.parametrize("state", ["CREATED", "CANCELLED", "REFUNDED"])
async def test_nothing_is_paid_back_of_an_order_that_is_not_paid_or_given_up(client: Client, state: str) -> None:
    await sell(client, state=state)
    before = await snapshot(client.world)

    answer = await record(client, [refund()])

    assert refused(answer) == [no("NOT_REFUNDABLE", "orderNumber")]
    assert changed(before, await snapshot(client.world)) == set()


async def test_nothing_more_is_paid_back_of_an_order_of_which_nothing_is_left(client: Client) -> None:
    await sell(client)
    await record(client, [refund(amount="10.00")], "1")
    before = await snapshot(client.world)

    answer = await record(client, [refund("R2", "0.01")], "2")

    assert refused(answer) == [no("NOT_REFUNDABLE", "orderNumber")]
    assert changed(before, await snapshot(client.world)) == set()


async def test_an_order_is_paid_back_wherever_it_stands_once_it_is_paid(client: Client) -> None:
    for state in ("PAID", "SHIPPED", "RECEIVED", "COMPLETED"):
        order = await sell(client, state, state)

        assert outcomes(await record(client, [refund(order=state)], state)) == ["CREATED"]
        # in part it stays where it was
        assert await paid_back(client, order) == (state, 400, [("R1", 400)])


async def test_the_same_key_with_another_input_is_a_conflict_and_changes_nothing(client: Client) -> None:
    await sell(client)
    await record(client, [refund()])
    before = await snapshot(client.world)

    for rows, more in (
        ([refund(amount="4.01")], {}),
        ([refund("R2")], {}),
        ([refund(), refund("R2")], {}),
        ([refund()], {"source": "mall"}),
        ([refund()], {"errorPolicy": "REJECT_EVERYTHING"}),
    ):
        answer = await record(client, rows, **more)
        assert answer["userErrors"] == [{"code": "IDEMPOTENCY_CONFLICT", "field": ["input", "idempotencyKey"]}]
        assert answer["results"] is None

    assert changed(before, await snapshot(client.world)) == set()


@pytest.mark.parametrize(
    "field, row",
    [
        ("amount", refund(amount="0")),
        ("amount", refund(amount="-4.00")),
        ("amount", refund(amount="0.001")),
        ("number", refund(" ")),
        ("number", refund("x" * 129)),
        ("orderNumber", refund(order="")),
        ("refundedAt", {**refund(), "refundedAt": "2999-01-01T00:00:00Z"}),
    ],
)
async def test_a_row_that_makes_no_sense_is_refused_and_its_key_stays_free(
    client: Client, field: str, row: dict[str, Any]
) -> None:
    await sell(client)
    before = await snapshot(client.world)

    answer = await record(client, [row])

    assert refused(answer) == [no("BAD_USER_INPUT", field)]
    assert changed(before, await snapshot(client.world)) == set()
    mended = await record(client, [refund()])
    assert (mended["replayed"], outcomes(mended)) == (False, ["CREATED"])


async def test_what_an_order_earned_goes_back_with_each_refund_once(client: Client) -> None:
    await rule(client, "buy", "order_paid", points=1, perAmount="1", orderSource="pos")
    order = await sell(client)
    fan = client.world.fans[ME]
    await give(client.world)
    left = [(await has(client.world, fan)).active]

    for number, amount, keys in (("R1", "4.00", ("1", "1", "2")), ("R2", "6.00", ("3", "3", "4"))):
        for key in keys:
            await record(client, [refund(number, amount)], key)
            await give(client.world)
            left.append((await has(client.world, fan)).active)

    assert left == [10, 6, 6, 6, 0, 0, 0]
    async with client.world.services.database.reading(EVERYTHING) as session:
        mine = transfers.c.reference == f"Order:{order}"
        wanted = select(transfers.c.kind, transfers.c.points).where(mine).order_by(transfers.c.id)
        moves = [tuple(row) for row in await session.execute(wanted)]
    assert moves == [("EARN", 10), ("CLAW_BACK", -4), ("CLAW_BACK", -6)]
    (grant,) = await granted(client.world, fan)
    assert (grant.order_id, grant.granted_points, grant.taken_points) == (order, 10, 10)
    await sound(client.world)


async def test_a_refund_that_is_refused_takes_no_points_back(client: Client) -> None:
    await rule(client, "buy", "order_paid", points=1, perAmount="1", orderSource="pos")
    await sell(client)
    await give(client.world)

    assert refused(await record(client, [refund(amount="10.01")])) == [no("REFUND_TOO_LARGE", "amount")]

    assert await give(client.world) == 0
    assert (await has(client.world, client.world.fans[ME])).active == 10


async def test_what_was_paid_back_is_in_the_audit_log_once(client: Client) -> None:
    order = await sell(client)
    for key in ("1", "1", "2"):
        await record(client, [refund()], key)

    log = await client.data("B1", "{ auditLog(last: 2) { nodes { principal action detail } } }")

    sold, entry = log["auditLog"]["nodes"]
    assert (sold["action"], entry["action"]) == ("order:record", "order:refund")
    assert entry["principal"].startswith("api_key:")
    assert entry["detail"] == {"source": "pos", "orders": [order]}


@pytest.mark.parametrize("policy", ["REJECT_FAILED_ROWS", "REJECT_EVERYTHING"])
async def test_a_refused_row_shows_no_order(client: Client, policy: str) -> None:
    await sell(client)
    await sell(client, "N2", "CREATED")

    answer = await record(client, [refund(amount="10.01"), refund(order="N2")], errorPolicy=policy)

    assert outcomes(answer) == ["REJECTED", "REJECTED"]
    assert [row["order"] for row in answer["results"]] == [None, None]
