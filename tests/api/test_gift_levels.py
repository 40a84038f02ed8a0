"""Gifts that ask for a level: shown with their gate, refused below it, and had by who reaches it."""

from typing import Any

import pytest

from domain.levels.models import Demotion
from tests.cast import changed, snapshot
from tests.growing import LADDER, give_ladder, grow, settle
from tests.mall import balances, create, give_points, offer, redeem, refused, stock_of, update
from tests.world import Client

ME, OTHER = "g1/b1/d1#1", "g1/b1/d1#2"
OFFER = """query($id: ID!) { giftOffer(id: $id) { leastLevel { code growth } standing { bars } } }"""
OFFERS = "{ giftOffers(first: 20) { nodes { title leastLevel { code } standing { bars } } } }"
LEVELS = "query($b: ID!) { levels(brandId: $b, first: 20) { nodes { id code } } }"
GIFT = "query($id: ID!) { gift(id: $id) { leastLevel { code brand { code } } } }"


async def level_ids(client: Client, brand: str = "g1/b1") -> dict[str, str]:
    """Return the ids of a brand's levels by their codes."""
    rows = (await client.data("HQ1", LEVELS, b=client.world.id("Brand", brand)))["levels"]["nodes"]
    return {row["code"]: row["id"] for row in rows}


async def gated(client: Client, code: str = "SILVER", **given: Any) -> str:
    """Put a gift on sale that asks for a level, with points for both fans."""
    await give_ladder(client.world)
    for fan in (ME, OTHER):
        await give_points(client.world, fan, 600)
    return await offer(client, leastLevelId=(await level_ids(client))[code], **given)


async def test_a_gift_shows_its_gate_and_opens_for_who_reaches_the_level(client: Client) -> None:
    gift = await gated(client)
    await grow(client.world, ME, 499)
    before = await snapshot(client.world)

    assert refused(await redeem(client, gift, ME)) == ("GIFT_LEVEL_TOO_LOW", ["input", "giftId"])
    assert refused(await redeem(client, gift, OTHER)) == ("GIFT_LEVEL_TOO_LOW", ["input", "giftId"])
    assert changed(before, await snapshot(client.world)) == set()
    shown = (await client.data(ME, OFFER, id=gift))["giftOffer"]
    assert shown == {"leastLevel": {"code": "SILVER", "growth": 500}, "standing": {"bars": ["LEVEL_TOO_LOW"]}}
    assert (await client.data("B1", GIFT, id=gift))["gift"]["leastLevel"] == {"code": "SILVER", "brand": {"code": "b1"}}

    await grow(client.world, ME, 1)

    assert (await client.data(ME, OFFER, id=gift))["giftOffer"]["standing"] == {"bars": []}
    assert (await redeem(client, gift, ME))["userErrors"] == []
    assert (await balances(client.world, ME)).held == 60
    assert await stock_of(client.world, gift) == 9


async def test_the_first_level_is_everybodys_and_a_higher_level_than_asked_will_do(client: Client) -> None:
    gift = await gated(client, "REGISTERED")
    assert (await redeem(client, gift, OTHER))["userErrors"] == []
    await update(client, gift, leastLevelId=(await level_ids(client))["BRONZE"])
    await grow(client.world, ME, 2_000)

    assert refused(await redeem(client, gift, OTHER))[0] == "GIFT_LEVEL_TOO_LOW"
    assert (await redeem(client, gift, ME))["userErrors"] == []
    await update(client, gift, leastLevelId=None)
    assert (await redeem(client, gift, OTHER))["userErrors"] == []


async def test_a_level_that_is_lost_closes_the_gate_and_one_that_is_kept_does_not(client: Client) -> None:
    gift = await gated(client)
    await grow(client.world, ME, 500)
    await grow(client.world, ME, -100)
    assert (await redeem(client, gift, ME))["userErrors"] == []

    await give_ladder(client.world, demotion=Demotion.AT_ONCE)

    assert refused(await redeem(client, gift, ME))[0] == "GIFT_LEVEL_TOO_LOW"


async def test_a_gate_holds_when_its_level_is_taken_off_the_ladder(client: Client) -> None:
    gift = await gated(client)
    ladder = {code: growth for code, growth in LADDER.items() if code != "SILVER"}
    await give_ladder(client.world, ladder=ladder)
    await grow(client.world, ME, 1_999)
    assert refused(await redeem(client, gift, ME))[0] == "GIFT_LEVEL_TOO_LOW"

    await grow(client.world, ME, 1)
    await settle(client.world)

    assert (await redeem(client, gift, ME))["userErrors"] == []


@pytest.mark.parametrize("brand", ["g1/b2", "g2/b1"])
async def test_a_gift_asks_for_a_level_of_its_own_brand_that_is_on_the_ladder(client: Client, brand: str) -> None:
    await give_ladder(client.world)
    await give_ladder(client.world, brand)
    own = await level_ids(client)
    foreign = await level_ids(client, brand) if brand.startswith("g1") else {"GOLD": "TGV2ZWw6OTk5OTk"}
    before = await snapshot(client.world)

    made = await create(client, leastLevelId=foreign["GOLD"])

    assert made["userErrors"][0]["code"] == "BAD_USER_INPUT"
    assert changed(before, await snapshot(client.world)) == set()
    gift = await offer(client, leastLevelId=own["GOLD"])
    assert refused(await update(client, gift, leastLevelId=foreign["GOLD"]))[0] == "BAD_USER_INPUT"


async def test_a_list_of_gates_costs_the_same_statements_whatever_its_size(client: Client) -> None:
    await gated(client)
    level = (await level_ids(client))["GOLD"]
    client.statements.clear()
    await client.data(ME, OFFERS)
    one = len(client.statements)
    for number in range(5):
        await offer(client, code=f"c{number}", leastLevelId=level)
    client.statements.clear()

    assert len((await client.data(ME, OFFERS))["giftOffers"]["nodes"]) == 6
    assert len(client.statements) == one
