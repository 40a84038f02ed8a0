"""createGift, updateGift, addGiftStock and the lists of gifts: for staff, and for fans what is on sale."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from domain import clock
from schema.ids import encode
from tests.cast import codes, snapshot
from tests.mall import CREATE, STOCK, UPDATE, add_stock, create, give_points, offer, refused, update
from tests.world import Client

FAN = "g1/b1/d1#1"
OFFERS = """query($first: Int, $after: String, $filter: OfferFilterInput, $orderBy: GiftSort! = NEWEST) {
  giftOffers(first: $first, after: $after, filter: $filter, orderBy: $orderBy) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { giftId title points cash { amount currency } stock perFanLimit standing { taken left bars } } } }"""
GIFTS = """query($filter: GiftFilterInput) { gifts(first: 20, filter: $filter) { totalCount nodes { code state } } }"""


async def offers(client: Client, who: str = FAN, **variables: Any) -> list[dict[str, Any]]:
    """Return what a fan is offered."""
    data = await client.data(who, OFFERS, **({"first": 20} | variables))
    found: list[dict[str, Any]] = data["giftOffers"]["nodes"]
    return found


async def test_a_gift_has_what_it_was_given_and_begins_as_a_draft_without_stock(client: Client) -> None:
    made = await create(
        client,
        title=" 马克杯 ",
        cash="9.90",
        perFanLimit=2,
        saleFrom="2026-01-01T00:00:00+08:00",
        saleUntil="2026-02-01T00:00:00+08:00",
        description="红",
        imageUrl="https://x/y.png",
        category="杯",
    )

    assert made["userErrors"] == []
    assert made["gift"].pop("id")
    assert made["gift"] == {
        "code": "cup",
        "title": "马克杯",
        "description": "红",
        "imageUrl": "https://x/y.png",
        "category": "杯",
        "state": "DRAFT",
        "points": 60,
        "cash": {"amount": "9.90", "currency": "CNY"},
        "stock": 0,
        "stocked": 0,
        "perFanLimit": 2,
        "saleFrom": "2025-12-31T16:00:00Z",
        "saleUntil": "2026-01-31T16:00:00Z",
        "brand": {"code": "b1"},
    }


@pytest.mark.parametrize(
    "field, value",
    [
        *(("code", ""), ("code", "-a"), ("code", "x" * 65), ("code", "茶")),
        *(("title", " "), ("title", "x" * 201), ("description", "x" * 2001), ("imageUrl", ""), ("category", "x" * 101)),
        *(("points", 0), ("points", -1), ("points", 10**12 + 1)),
        *(("cash", "-1"), ("cash", "0.001"), ("cash", "1e30")),
        *(("perFanLimit", 0), ("perFanLimit", -1)),
    ],
)
async def test_what_cannot_be_is_refused_by_name_and_writes_nothing(client: Client, field: str, value: Any) -> None:
    before = await snapshot(client.world)

    answer = await create(client, **{field: value})

    assert refused(answer) == ("BAD_USER_INPUT", ["input", field])
    assert await snapshot(client.world) == before


@pytest.mark.parametrize("points", [2**63, -(2**63) - 1, "7", "1.5", 1.5, 1e3, "x", True])
async def test_points_that_are_no_whole_number_of_64_bits_are_no_input(client: Client, points: Any) -> None:
    wanted = {"brandId": client.world.id("Brand", "g1/b1"), "code": "cup", "title": "x", "points": points}

    assert await client.codes("B1", CREATE, i=wanted) == ["BAD_USER_INPUT"]


async def test_a_window_that_ends_before_it_begins_is_refused(client: Client) -> None:
    answer = await create(client, saleFrom="2026-02-01T00:00:00Z", saleUntil="2026-02-01T00:00:00Z")

    assert refused(answer) == ("BAD_USER_INPUT", ["input", "saleUntil"])


async def test_a_code_is_taken_once_a_brand_however_many_ask_at_once(client: Client) -> None:
    answers = await asyncio.gather(*(create(client) for _ in range(6)))

    assert sorted(len(answer["userErrors"]) for answer in answers) == [0] + [1] * 5
    again = next(answer for answer in answers if answer["userErrors"])
    assert refused(again) == ("GIFT_CODE_TAKEN", ["input", "code"])
    assert (await create(client, "B2", "g1/b2"))["userErrors"] == []


async def test_gifts_are_kept_by_who_holds_the_brand(client: Client) -> None:
    gift = (await create(client))["gift"]["id"]
    before = await snapshot(client.world)
    new = {"brandId": client.world.id("Brand", "g1/b1"), "code": "x", "title": "x", "points": 1}
    change, stock = {"giftId": gift, "points": 1}, {"giftId": gift, "quantity": 1, "idempotencyKey": "x"}

    for who in ("D1", "S1", "B1READ", "ANALYST"):
        for document, given in ((CREATE, new), (UPDATE, change), (STOCK, stock)):
            assert await client.codes(who, document, i=given) == ["FORBIDDEN"], who
    for who in ("B2", "G2"):
        assert refused(await create(client, who)) == ("NOT_FOUND", ["input", "brandId"])
        assert refused(await update(client, gift, who, points=1)) == ("NOT_FOUND", ["input", "giftId"])
        assert refused(await add_stock(client, gift, 1, who=who)) == ("NOT_FOUND", ["input", "giftId"])
    assert refused(await update(client, encode("Gift", 2**40))) == ("NOT_FOUND", ["input", "giftId"])
    assert await snapshot(client.world) == before


async def test_a_change_leaves_what_it_does_not_name_and_goes_into_the_audit_log(client: Client) -> None:
    gift = (await create(client, cash="5", perFanLimit=3))["gift"]["id"]

    changed = await update(client, gift, points=80, perFanLimit=None, saleUntil="2027-01-01T00:00:00Z")

    assert changed["gift"] == {
        "title": "杯子",
        "points": 80,
        "cash": {"amount": "5.00"},
        "state": "DRAFT",
        "perFanLimit": None,
        "saleFrom": None,
        "saleUntil": "2027-01-01T00:00:00Z",
    }
    (entry,) = (await client.data("B1", "{ auditLog(last: 1) { nodes { action detail } } }"))["auditLog"]["nodes"]
    assert entry["action"] == "gift:update"
    assert entry["detail"]["before"] == {"points": 60, "per_fan_limit": 3, "sale_until": None}
    assert refused(await update(client, gift, title=None)) == ("BAD_USER_INPUT", ["input", "title"])
    assert refused(await update(client, gift, saleFrom="2027-01-01T00:00:00Z"))[1] == ["input", "saleUntil"]


async def test_a_gift_goes_on_sale_and_off_and_is_never_a_draft_again(client: Client) -> None:
    gift = (await create(client))["gift"]["id"]

    assert refused(await update(client, gift, state="OFF_SALE")) == ("BAD_USER_INPUT", ["input", "state"])
    for state in ("ON_SALE", "ON_SALE", "OFF_SALE", "ON_SALE"):
        assert (await update(client, gift, state=state))["gift"]["state"] == state
    assert refused(await update(client, gift, state="DRAFT")) == ("BAD_USER_INPUT", ["input", "state"])


async def test_stock_is_added_once_a_key_and_never_taken_below_nought(client: Client) -> None:
    gift = (await create(client))["gift"]["id"]

    first, again = [await add_stock(client, gift, 10, "a") for _ in range(2)]
    other = await add_stock(client, gift, 11, "a")
    taken, too_much = await add_stock(client, gift, -4, "b"), await add_stock(client, gift, -7, "c")

    assert (first["stock"], first["replayed"], again["stock"], again["replayed"]) == (10, False, 10, True)
    assert refused(other) == ("IDEMPOTENCY_CONFLICT", ["input", "idempotencyKey"])
    assert taken == {"userErrors": [], "stock": 6, "replayed": False, "gift": {"stock": 6, "stocked": 6}}
    assert refused(too_much) == ("GIFT_OUT_OF_STOCK", ["input", "quantity"])
    for quantity in (0, 10**9 + 1, 10**9):
        assert refused(await add_stock(client, gift, quantity, "d")) == ("BAD_USER_INPUT", ["input", "quantity"])
    for key in ("", " ", "x" * 129):
        assert refused(await add_stock(client, gift, 1, key)) == ("BAD_USER_INPUT", ["input", "idempotencyKey"])


async def test_stock_that_many_change_at_once_is_their_sum(client: Client) -> None:
    gift = (await create(client))["gift"]["id"]
    await add_stock(client, gift, 5, "first")

    answers = await asyncio.gather(*(add_stock(client, gift, -1, f"k{n}") for n in range(12)))

    assert sorted(len(answer["userErrors"]) for answer in answers) == [0] * 5 + [1] * 7
    assert (await add_stock(client, gift, 1, "last"))["gift"] == {"stock": 1, "stocked": 1}


async def test_a_dry_run_says_what_would_be_and_writes_nothing(client: Client) -> None:
    gift = (await create(client))["gift"]["id"]
    before = await snapshot(client.world)

    answer = await add_stock(client, gift, 10, dryRun=True)

    assert (answer["stock"], answer["replayed"]) == (10, False)
    assert await snapshot(client.world) == before
    assert (await add_stock(client, gift, 10))["replayed"] is False


async def test_a_fan_is_offered_what_their_brand_has_on_sale_now(client: Client) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with clock.at(now):
        cup = await offer(client, code="cup", perFanLimit=2)
        await offer(client, code="none", title="无", stock=0)
        await offer(client, code="later", saleFrom="2026-03-01T00:00:01Z")
        await offer(client, code="over", saleUntil="2026-03-01T00:00:00Z")
        await create(client, code="draft")
        await offer(client, code="dear", title="贵", points=61)
        await offer(client, brand="g1/b2", who="B2")
        await give_points(client.world, FAN, 60)

        found = await offers(client)

    assert [(gift["title"], gift["standing"]) for gift in found] == [
        ("贵", {"taken": 0, "left": None, "bars": ["POINTS_TOO_FEW"]}),
        ("无", {"taken": 0, "left": None, "bars": ["OUT_OF_STOCK"]}),
        ("杯子", {"taken": 0, "left": 2, "bars": []}),
    ]
    assert found[2] == {
        "giftId": cup,
        "title": "杯子",
        "points": 60,
        "cash": {"amount": "0.00", "currency": "CNY"},
        "stock": 10,
        "perFanLimit": 2,
        "standing": {"taken": 0, "left": 2, "bars": []},
    }


async def test_an_offer_is_found_by_its_id_while_it_is_one(client: Client) -> None:
    gift, foreign = await offer(client), await offer(client, brand="g1/b2", who="B2")
    draft = (await create(client, code="draft"))["gift"]["id"]
    one = "query($id: ID!) { giftOffer(id: $id) { title } }"

    assert (await client.data(FAN, one, id=gift))["giftOffer"] == {"title": "杯子"}
    answers = [await client.ask(FAN, one, id=wanted) for wanted in (foreign, draft, encode("Gift", 2**40))]
    assert [codes(answer) for answer in answers] == [["NOT_FOUND"]] * 3
    assert answers[0]["errors"] == answers[1]["errors"] == answers[2]["errors"]
    await update(client, gift, state="OFF_SALE")
    assert await client.codes(FAN, one, id=gift) == ["NOT_FOUND"]


async def test_offers_are_paged_sorted_and_filtered(client: Client) -> None:
    for number, points in enumerate((30, 10, 20, 10)):
        await offer(client, code=f"g{number}", points=points, category="杯" if number % 2 else None)

    cheapest = await offers(client, orderBy="CHEAPEST")
    dearest = await offers(client, orderBy="DEAREST")
    page = (await client.data(FAN, OFFERS, first=3, orderBy="CHEAPEST"))["giftOffers"]
    rest = await offers(client, first=3, orderBy="CHEAPEST", after=page["pageInfo"]["endCursor"])

    assert [gift["points"] for gift in cheapest] == [10, 10, 20, 30]
    assert dearest == cheapest[::-1]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (4, True)
    assert page["nodes"] + rest == cheapest
    assert len(await offers(client, filter={"category": "杯"})) == 2
    assert len(await offers(client, filter={"maxPoints": 19})) == 2
    assert await client.codes(FAN, OFFERS) == ["BAD_USER_INPUT"]


async def test_staff_see_the_gifts_of_their_brands_and_dealers_those_of_theirs(client: Client) -> None:
    await offer(client)
    await create(client, code="draft")
    await create(client, "B2", "g1/b2")

    async def seen(who: str, **wanted: Any) -> list[str]:
        found = (await client.data(who, GIFTS, filter=wanted))["gifts"]
        assert found["totalCount"] == len(found["nodes"])
        return [gift["code"] for gift in found["nodes"]]

    assert await seen("HQ1") == ["cup", "draft", "cup"]
    for who in ("B1", "D1", "S1", "SERVICE", "B1READ"):
        assert await seen(who) == ["draft", "cup"], who
    assert await seen("G2") == await seen("B10") == []
    assert await seen("HQ1", state="ON_SALE") == ["cup"]
    assert await seen("HQ1", brandId=client.world.id("Brand", "g1/b2")) == ["cup"]
    assert await seen("B1", brandId=client.world.id("Brand", "g1/b2")) == []
    assert await seen("B1", code="draft") == ["draft"]


async def test_a_page_of_offers_costs_the_same_statements_whatever_its_size(client: Client) -> None:
    for number in range(6):
        await offer(client, code=f"g{number}", perFanLimit=1)
    costs = []

    for first in (1, 6):
        client.statements.clear()
        assert len(await offers(client, first=first)) == first
        costs.append(len(client.statements))

    assert costs[0] == costs[1]
