"""recordOrders: each row has its own outcome, and the same key has one effect (M01 to M03, M05, M06, M08)."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from domain.fans.models import Fan
from domain.idempotency import Idempotency
from domain.orders.models import SPENT, Order, OrderLine
from domain.tables import table_of
from schema.ids import encode
from tests.cast import EVERYTHING, snapshot
from tests.world import Client, World

fans, orders, order_lines, keys = table_of(Fan), table_of(Order), table_of(OrderLine), table_of(Idempotency)
RECORD = """mutation($i: RecordOrdersInput!) { recordOrders(input: $i) { replayed userErrors { code field message }
  results { index outcome userErrors { code field message }
    order { id number state itemCount amount { amount currency } dealer { code }
      fan { nickname spend { amount } orderCount }
      lines(first: 3) { position title quantity productCode amount { amount } } } }
  } }"""
FAN = {"kind": "EXTERNAL_ID", "value": "g1/b1/d1#1", "issuer": "test"}
OTHER = {"kind": "EXTERNAL_ID", "value": "g1/b1/d1#2", "issuer": "test"}
Answer = dict[str, Any]


def order(number: str = "N1", **more: Any) -> dict[str, Any]:
    """Return an order of 10 yuan of the first fan."""
    return {"number": number, "fan": FAN, "placedAt": "2026-02-01T08:00:00+08:00", "amount": "10.00", **more}


async def record(client: Client, rows: list[Any], key: str = "k", who: str = "SERVICE", **more: Any) -> Answer:
    """Send a batch of the brand g1/b1 and return the payload."""
    given = {"brandId": client.world.id("Brand", "g1/b1"), "source": "pos", "idempotencyKey": key, "orders": rows}
    data = await client.data(who, RECORD, i={**given, **more})
    found: Answer = data["recordOrders"]
    return found


def outcomes(answer: Answer) -> list[str]:
    return [row["outcome"] for row in answer["results"]]


async def spend_of(world: World, name: str) -> tuple[int, int]:
    """Return what the fan has spent, in minor units, and their paid orders, as the row says."""
    async with world.services.database.reading(EVERYTHING) as session:
        row = (await session.execute(select(fans).where(fans.c.id == world.fans[name]))).one()
        return row.spend, row.order_count


async def sums_hold(world: World) -> None:
    """Assert that every fan's spend and order count are what their orders say."""
    paid = orders.c.state.in_([state.value for state in SPENT])
    per_fan = select(orders.c.fan_id, func.sum(orders.c.amount).label("spend"), func.count().label("orders"))
    async with world.services.database.reading(EVERYTHING) as session:
        said = {row.id: (row.spend, row.order_count) for row in await session.execute(select(fans))}
        found = {row.fan_id: row for row in await session.execute(per_fan.where(paid).group_by(orders.c.fan_id))}
    assert said == {fan: (int(found[fan].spend), found[fan].orders) if fan in found else (0, 0) for fan in said}


async def count(world: World, table: Any) -> int:
    async with world.services.database.reading(EVERYTHING) as session:
        return int((await session.execute(select(func.count()).select_from(table))).scalar_one())


async def test_an_order_is_recorded_with_its_lines_and_the_fan_has_spent_it(client: Client) -> None:
    lines = [
        {"title": "茶", "quantity": 2, "amount": "6.50", "productCode": "TEA"},
        {"title": "杯", "quantity": 1, "amount": 3.5},
    ]

    answer = await record(client, [order(lines=lines, dealerId=client.world.id("Dealer", "g1/b1/d1"))])

    assert (answer["replayed"], answer["userErrors"]) == (False, [])
    (row,) = answer["results"]
    recorded = row.pop("order")
    assert row == {"index": 0, "outcome": "CREATED", "userErrors": []}
    assert recorded.pop("id")
    assert recorded == {
        "number": "N1",
        "state": "PAID",
        "itemCount": 3,
        "amount": {"amount": "10.00", "currency": "CNY"},
        "dealer": {"code": "d1"},
        "fan": {"nickname": "粉丝 g1/b1/d1#1", "spend": {"amount": "20.00"}, "orderCount": 2},
        "lines": [
            {"position": 1, "title": "茶", "quantity": 2, "productCode": "TEA", "amount": {"amount": "6.50"}},
            {"position": 2, "title": "杯", "quantity": 1, "productCode": None, "amount": {"amount": "3.50"}},
        ],
    }
    await sums_hold(client.world)


async def test_the_same_key_has_one_effect_and_one_answer(client: Client) -> None:
    first = await record(client, [order()])
    before = await snapshot(client.world)

    second = await record(client, [order()])

    assert first["replayed"] is False
    assert second == {**first, "replayed": True}
    assert await snapshot(client.world) == before


async def test_the_same_key_with_another_input_is_a_conflict_and_changes_nothing(client: Client) -> None:
    await record(client, [order()])
    before = await snapshot(client.world)

    for rows, more in (([order(amount="11")], {}), ([order()], {"source": "mall"}), ([order(), order("N2")], {})):
        answer = await record(client, rows, **more)
        assert [(e["code"], e["field"]) for e in answer["userErrors"]] == [
            ("IDEMPOTENCY_CONFLICT", ["input", "idempotencyKey"])
        ]
        assert answer["results"] is None

    assert await snapshot(client.world) == before


async def test_a_key_belongs_to_its_caller(client: Client) -> None:
    await record(client, [order()])

    answer = await record(client, [order("N2")], who="B1")

    assert (answer["replayed"], outcomes(answer)) == (False, ["CREATED"])


async def test_twenty_at_once_under_one_key_have_one_effect(client: Client) -> None:
    answers = await asyncio.gather(*(record(client, [order()]) for _ in range(20)))

    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 19
    assert len({answer["results"][0]["order"]["id"] for answer in answers}) == 1
    assert await count(client.world, orders) == 21
    assert await spend_of(client.world, "g1/b1/d1#1") == (2000, 2)


async def test_twenty_batches_at_once_of_one_fan_lose_no_spend(client: Client) -> None:
    batches = [[order(f"N{n}-{m}", amount=f"{n}.0{m}") for m in range(3)] for n in range(20)]

    answers = await asyncio.gather(*(record(client, rows, f"k{n}") for n, rows in enumerate(batches)))

    assert all(outcomes(answer) == ["CREATED"] * 3 for answer in answers)
    wanted = sum(Decimal(row["amount"]) for rows in batches for row in rows) * 100
    assert await spend_of(client.world, "g1/b1/d1#1") == (1000 + wanted, 61)
    await sums_hold(client.world)


async def test_a_dry_run_answers_and_writes_nothing_and_leaves_the_key_free(client: Client) -> None:
    before = await snapshot(client.world)

    dry = await record(client, [order(), order("N2", amount="-1")], dryRun=True)

    assert outcomes(dry) == ["CREATED", "REJECTED"]
    assert [row["order"] for row in dry["results"]] == [None, None]
    assert await snapshot(client.world) == before
    real = await record(client, [order("N3")])
    assert (real["replayed"], outcomes(real)) == (False, ["CREATED"])


@pytest.mark.parametrize("policy", ["REJECT_EVERYTHING", "REJECT_FAILED_ROWS", "IGNORE_FAILED"])
async def test_an_input_that_is_refused_as_a_whole_leaves_the_key_free(client: Client, policy: str) -> None:
    before = await snapshot(client.world)
    refused = await record(client, [order(amount="-1")], errorPolicy=policy)
    assert outcomes(refused) == ["REJECTED"]
    assert await snapshot(client.world) == before

    mended = await record(client, [order()], errorPolicy=policy)

    assert (mended["replayed"], outcomes(mended)) == (False, ["CREATED"])


async def test_each_error_policy_does_what_it_says(client: Client) -> None:
    nowhere = {"dealerId": encode("Dealer", 2**40)}
    rows = [order("A"), order("B", amount="-1"), order("C", **nowhere)]
    before = await snapshot(client.world)

    strict = await record(client, rows, "1", errorPolicy="REJECT_EVERYTHING")
    assert outcomes(strict) == ["REJECTED"] * 3
    assert [len(row["userErrors"]) for row in strict["results"]] == [0, 1, 1]
    assert await snapshot(client.world) == before

    usual = await record(client, rows, "2")
    assert outcomes(usual) == ["CREATED", "REJECTED", "REJECTED"]
    assert [row["userErrors"] for row in usual["results"]] == [
        [],
        [{"code": "BAD_USER_INPUT", "field": ["input", "orders", "1", "amount"],
          "message": "amount must be an amount of zero or more."}],
        [{"code": "NOT_FOUND", "field": ["input", "orders", "2", "dealerId"],
          "message": "dealerId no such dealer or store of this brand."}],
    ]  # fmt: skip

    lenient = await record(client, rows, "3", errorPolicy="IGNORE_FAILED")
    assert outcomes(lenient) == ["UNCHANGED", "REJECTED", "CREATED"]
    assert lenient["results"][2]["order"]["dealer"] is None
    assert lenient["results"][2]["userErrors"][0]["code"] == "NOT_FOUND"
    await sums_hold(client.world)


async def test_a_dealer_of_another_brand_is_no_dealer(client: Client) -> None:
    foreign = [order("A", dealerId=client.world.id("Dealer", place)) for place in ("g1/b2/d1", "g2/b1/d1")]
    unknown = order("A", dealerId=encode("Dealer", 2**40))
    store = order("A", dealerId=client.world.id("Dealer", "g1/b1/d11"), storeId=client.world.id("Store", "g1/b1/d1/s1"))

    answer = await record(client, [*foreign, unknown, store])

    errors = [row["userErrors"][0] for row in answer["results"]]
    assert outcomes(answer) == ["REJECTED"] * 4
    assert {(error["code"], error["message"]) for error in errors} == {
        ("NOT_FOUND", "dealerId no such dealer or store of this brand.")
    }


async def test_a_brand_that_is_foreign_is_refused_like_one_that_is_not(client: Client) -> None:
    before = await snapshot(client.world)

    for who, brands in (("SERVICE", ("g1/b2", "g2/b1")), ("B2", ("g1/b1",)), ("B10", ("g1/b1",))):
        for brand in (*(client.world.id("Brand", name) for name in brands), encode("Brand", 2**40), encode("Fan", 1)):
            answer = await record(client, [order()], who=who, brandId=brand)
            assert [(e["code"], e["field"]) for e in answer["userErrors"]] == [("NOT_FOUND", ["input", "brandId"])]

    assert await snapshot(client.world) == before


async def test_an_order_sent_again_in_another_state_changes_what_was_spent(client: Client) -> None:
    spent = {"PAID": 2000, "SHIPPED": 2000, "REFUNDED": 1000, "COMPLETED": 2000, "CANCELLED": 1000, "CREATED": 1000}
    await record(client, [order()])

    for number, (state, spend) in enumerate(spent.items()):
        answer = await record(client, [order(state=state)], f"s{number}")

        assert outcomes(answer) == ["UNCHANGED" if state == "PAID" else "UPDATED"]
        assert await spend_of(client.world, "g1/b1/d1#1") == (spend, spend // 1000)
    await sums_hold(client.world)


async def test_an_order_that_turns_out_to_be_another_fans_moves_its_spend(client: Client) -> None:
    await record(client, [order()])

    answer = await record(client, [order(fan=OTHER)], "again")

    assert outcomes(answer) == ["UPDATED"]
    assert await spend_of(client.world, "g1/b1/d1#1") == (1000, 1)
    assert await spend_of(client.world, "g1/b1/d1#2") == (3000, 2)
    await sums_hold(client.world)


async def test_of_two_rows_with_one_number_the_later_counts(client: Client) -> None:
    answer = await record(client, [order(amount="1"), order(amount="2"), order(amount="-3")])

    assert outcomes(answer) == ["UNCHANGED", "CREATED", "REJECTED"]
    assert answer["results"][0]["order"] == answer["results"][1]["order"]
    assert answer["results"][1]["order"]["amount"]["amount"] == "2.00"
    assert await spend_of(client.world, "g1/b1/d1#1") == (1200, 2)


async def test_lines_sent_again_replace_those_before(client: Client) -> None:
    def lines(*titles: str) -> list[dict[str, Any]]:
        return [{"title": title, "quantity": 1, "amount": "1"} for title in titles]

    await record(client, [order(lines=lines("a", "b", "c"))])
    same = await record(client, [order(lines=lines("a", "b", "c"))], "2")
    fewer = await record(client, [order(lines=lines("c", "x"))], "3")
    silent = await record(client, [order(itemCount=2)], "4")

    assert (outcomes(same), outcomes(fewer), outcomes(silent)) == (["UNCHANGED"], ["UPDATED"], ["UNCHANGED"])
    assert [line["title"] for line in silent["results"][0]["order"]["lines"]] == ["c", "x"]


async def test_a_fan_nobody_knew_is_made_once(client: Client) -> None:
    new = {"kind": "PHONE", "value": "+86 139 0000 1111"}
    rows = [order("A", fan=new), order("B", fan={**new, "value": "13900001111"}),
            order("C", fan={**new, "value": "１３９００００１１１１"})]  # fmt: skip

    answer = await record(client, rows)

    assert outcomes(answer) == ["CREATED"] * 3
    assert {row["order"]["fan"]["orderCount"] for row in answer["results"]} == {3}
    assert await count(client.world, fans) == 21


async def test_phones_that_are_none_do_not_make_one_person_of_many(client: Client) -> None:
    rows = [order(text, fan={"kind": "PHONE", "value": text}) for text in ("unknown", "n/a", "+", "1", "1" * 16)]

    answer = await record(client, rows)

    assert outcomes(answer) == ["REJECTED"] * 5
    assert all(row["userErrors"][0]["field"][-2:] == ["fan", "value"] for row in answer["results"])
    assert await count(client.world, fans) == 20


AMOUNTS_TAKEN = {"0": "0.00", "-0": "0.00", "0.1": "0.10", "1e3": "1000.00", "1.230": "1.23", "10000000000000": None}
AMOUNTS_REFUSED = ["-1", "-0.01", "1e400", "NaN", "sNaN", "Infinity", "-Infinity", "1.234", str(2**63), "1e-400"]
AMOUNTS_REFUSED += ["10000000000000.01", "0." + "9" * 60, "1." + "0" * 40 + "1", "0E+99999"]


async def test_an_amount_is_one_the_currency_can_have_or_the_row_is_refused(client: Client) -> None:
    before = await snapshot(client.world)
    answer = await record(client, [order(f"R{n}", amount=a) for n, a in enumerate(AMOUNTS_REFUSED)])
    assert [a for a, row in zip(AMOUNTS_REFUSED, outcomes(answer), strict=True) if row != "REJECTED"] == []
    assert await snapshot(client.world) == before

    answer = await record(client, [order(f"T{n}", amount=a) for n, a in enumerate(AMOUNTS_TAKEN)])
    shown = [row["order"]["amount"]["amount"] for row in answer["results"]]
    assert shown == [wanted or "10000000000000.00" for wanted in AMOUNTS_TAKEN.values()]
    await sums_hold(client.world)


async def test_an_amount_that_is_no_number_is_refused_before_anything_runs(client: Client) -> None:
    given = {"brandId": client.world.id("Brand", "g1/b1"), "source": "x", "idempotencyKey": "x"}
    amounts: list[Any] = ["abc", "", True, None, [], {}, "1,5"]

    for amount in amounts:
        refused = await client.codes("SERVICE", RECORD, i={**given, "orders": [order(amount=amount)]})
        assert refused == ["BAD_USER_INPUT"], amount


@pytest.mark.parametrize(
    "field, row",
    [
        ("number", {"number": ""}),
        ("number", {"number": "   "}),
        ("number", {"number": "x" * 129}),
        ("fan.value", {"fan": {**FAN, "value": "x" * 256}}),
        ("fan.value", {"fan": {**FAN, "value": " "}}),
        ("fan.issuer", {"fan": {**FAN, "issuer": "x" * 129}}),
        ("placedAt", {"placedAt": "2100-01-01T00:00:00Z"}),
        ("itemCount", {"itemCount": -1}),
        ("storeId", {"storeId": encode("Store", 1)}),
        ("lines", {"lines": [{"title": "x", "quantity": 1, "amount": "1"}] * 101}),
        ("lines.0.title", {"lines": [{"title": "x" * 301, "quantity": 1, "amount": "1"}]}),
        ("lines.0.quantity", {"lines": [{"title": "x", "quantity": 0, "amount": "1"}]}),
        ("lines.0.amount", {"lines": [{"title": "x", "quantity": 1, "amount": "-1"}]}),
        ("lines.0.productCode", {"lines": [{"title": "x", "quantity": 1, "amount": "1", "productCode": "x" * 129}]}),
        ("lines", {"lines": [{"title": "x", "quantity": 2**31 - 1, "amount": "1"}] * 2}),
    ],
)
async def test_a_row_that_cannot_be_stored_is_refused_by_name(client: Client, field: str, row: dict[str, Any]) -> None:
    answer = await record(client, [order(**row), order("fine")])

    assert outcomes(answer) == ["REJECTED", "CREATED"]
    assert [error["field"] for error in answer["results"][0]["userErrors"]] == [
        ["input", "orders", "0", *field.split(".")]
    ]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01", "x", 5])
async def test_a_moment_that_is_none_is_bad_input(client: Client, moment: Any) -> None:
    given = {"brandId": client.world.id("Brand", "g1/b1"), "source": "x", "idempotencyKey": "x"}

    assert await client.codes("SERVICE", RECORD, i={**given, "orders": [order(placedAt=moment)]}) == ["BAD_USER_INPUT"]


async def test_text_that_cannot_be_stored_is_refused(client: Client) -> None:
    before = await snapshot(client.world)
    brand = client.world.id("Brand", "g1/b1")

    for text in ("a\\u0000b", "\\u{0}", "\\ud800"):
        query = f"""mutation {{ recordOrders(input: {{brandId: "{brand}", source: "x", idempotencyKey: "x", orders: [
          {{number: "{text}", fan: {{kind: DEVICE, value: "x"}}, placedAt: "2026-01-01T00:00:00Z", amount: 1}}]}})
          {{ userErrors {{ code field }} results {{ outcome }} }} }}"""
        response = await client.post("SERVICE", {"query": query})
        assert response.status_code in (200, 400)
        assert "BAD_USER_INPUT" in response.text
        assert "CREATED" not in response.text

    assert await snapshot(client.world) == before


@pytest.mark.parametrize(
    "field, more",
    [
        ("orders", {"orders": []}),
        ("source", {"source": " "}),
        ("source", {"source": "x" * 65}),
        ("idempotencyKey", {"idempotencyKey": ""}),
        ("idempotencyKey", {"idempotencyKey": "x" * 129}),
    ],
)
async def test_a_batch_needs_its_source_its_key_and_rows(client: Client, field: str, more: dict[str, Any]) -> None:
    answer = await record(client, **{"rows": [order()], **more} if "orders" not in more else {"rows": []})

    assert [error["field"] for error in answer["userErrors"]] == [["input", field]]


async def test_what_was_recorded_is_in_the_audit_log_once(client: Client) -> None:
    answer = await record(client, [order(), order("N2")])
    await record(client, [order(), order("N2")], "again")

    log = await client.data("B1", "{ auditLog(last: 1) { nodes { principal action detail } } }")

    (entry,) = log["auditLog"]["nodes"]
    assert entry["action"] == "order:record"
    assert entry["principal"].startswith("api_key:")
    assert len(entry["detail"]["orders"]) == 2
    assert {encode("Order", number) for number in entry["detail"]["orders"]} == {
        row["order"]["id"] for row in answer["results"]
    }


async def test_two_mutations_of_one_document_see_each_other_and_fail_apart(client: Client) -> None:
    brand = client.world.id("Brand", "g1/b1")
    fan = '{kind: EXTERNAL_ID, value: "g1/b1/d1#1", issuer: "test"}'

    def one(alias: str, amount: str, key: str) -> str:
        row = f'{{number: "N", fan: {fan}, placedAt: "2026-02-01T00:00:00Z", amount: "{amount}"}}'
        given = f'brandId: "{brand}", source: "pos", idempotencyKey: "{key}", orders: [{row}]'
        answer = "userErrors { code } results { outcome order { fan { spend { amount } } } }"
        return f"{alias}: recordOrders(input: {{{given}}}) {{ {answer} }}"

    data = await client.data(
        "SERVICE", f"mutation {{ {one('a', '1', 'a')} {one('b', '2', 'a')} {one('c', '3', 'c')} }}"
    )

    assert data["a"]["results"][0]["order"]["fan"]["spend"]["amount"] == "11.00"
    assert data["b"]["userErrors"] == [{"code": "IDEMPOTENCY_CONFLICT"}]
    assert data["c"]["results"][0] == {"outcome": "UPDATED", "order": {"fan": {"spend": {"amount": "13.00"}}}}
