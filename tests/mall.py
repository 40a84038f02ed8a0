"""A mall to test in: gifts made, stocked and put on sale as staff do it, and fans with points."""

import itertools
from typing import Any

import pytest
from sqlalchemy import func, select

from domain.fans.models import Fan
from domain.mall.models import Gift, GiftState, Redemption
from domain.mall.redeeming import Wish
from domain.mall.redeeming import redeem as order
from domain.points.ledger.rules import Balances, Earn
from domain.points.ledger.service import balances_by_fan, earn
from domain.points.programme.queries import programme_of
from domain.tables import table_of
from schema.ids import decode
from tests.cast import EVERYTHING
from tests.world import Client, World

gifts, redemptions = table_of(Gift), table_of(Redemption)

CREATE = """mutation($i: CreateGiftInput!) { createGift(input: $i) { userErrors { code field message }
  gift { id code title description imageUrl category state points cash { amount currency } stock stocked perFanLimit
    saleFrom saleUntil brand { code } } } }"""
UPDATE = """mutation($i: UpdateGiftInput!) { updateGift(input: $i) { userErrors { code field message }
  gift { title points cash { amount } state perFanLimit saleFrom saleUntil } } }"""
STOCK = """mutation($i: AddGiftStockInput!) { addGiftStock(input: $i) { userErrors { code field message }
  stock replayed gift { stock stocked } } }"""
ORDER = """redemption { redemptionId giftId number title quantity points cash { amount currency } state payUntil paidAt
  carrier trackingNumber cancelReason delivery { recipient phone address } }"""
OF_STAFF = ORDER.replace("redemptionId giftId", "id gift { id }")
REDEEM_FOR_ME = f"""mutation($i: RedeemGiftForMeInput!) {{ redeemGiftForMe(input: $i) {{
  userErrors {{ code field message }} points balance replayed {ORDER} }} }}"""
REDEEM = f"""mutation($i: RedeemGiftInput!) {{ redeemGift(input: $i) {{
  userErrors {{ code field message }} points balance replayed {OF_STAFF} }} }}"""
Answer = dict[str, Any]
_KEYS = itertools.count()


async def create(client: Client, who: str = "B1", brand: str = "g1/b1", **given: Any) -> Answer:
    """Make a gift and return the payload."""
    wanted = {"brandId": client.world.id("Brand", brand), "code": "cup", "title": "杯子", "points": 60}
    data = await client.data(who, CREATE, i={**wanted, **given})
    found: Answer = data["createGift"]
    return found


async def update(client: Client, gift: str, who: str = "B1", **given: Any) -> Answer:
    """Change a gift and return the payload."""
    found: Answer = (await client.data(who, UPDATE, i={"giftId": gift, **given}))["updateGift"]
    return found


async def add_stock(client: Client, gift: str, quantity: int, key: str = "k", who: str = "B1", **given: Any) -> Answer:
    """Put pieces in and return the payload."""
    wanted = {"giftId": gift, "quantity": quantity, "idempotencyKey": key, **given}
    found: Answer = (await client.data(who, STOCK, i=wanted))["addGiftStock"]
    return found


async def offer(client: Client, *, stock: int = 10, brand: str = "g1/b1", who: str = "B1", **given: Any) -> str:
    """Make a gift, stock it and put it on sale; return its id."""
    made = await create(client, who, brand, **given)
    gift: str = made["gift"]["id"]
    if stock:
        assert (await add_stock(client, gift, stock, f"stock of {gift}", who))["userErrors"] == []
    assert (await update(client, gift, who, state="ON_SALE"))["userErrors"] == []
    return gift


def refused(payload: Answer) -> tuple[str, list[str] | None]:
    """Return code and field of the one refusal of a payload."""
    (error,) = payload["userErrors"]
    return error["code"], error["field"]


async def give_points(world: World, who: str, points: int, brand: str = "g1/b1") -> None:
    """Let a fan have earned points."""
    async with world.services.database.writing(EVERYTHING) as session:
        programme = await programme_of(session, world.nodes[brand])
        await earn(
            session,
            programme,
            [Earn(world.fans[who], f"mall:{next(_KEYS)}", points=points, reason="test")],
            actor="test",
        )


async def balances(world: World, who: str) -> Balances:
    """Return what a fan has."""
    async with world.services.database.reading(EVERYTHING) as session:
        return (await balances_by_fan(session, [world.fans[who]]))[world.fans[who]]


async def redeem(client: Client, gift: str, who: str, **given: Any) -> Answer:
    """Order a gift as the fan and return the payload; under a key of its own where none is given."""
    wanted = {"giftId": gift, "points": 60, "idempotencyKey": f"k{next(_KEYS)}", **given}
    return await _patiently(client, who, REDEEM_FOR_ME, wanted)


async def act(client: Client, who: str, mutation: str, **given: Any) -> Answer:
    """Do something with a redemption and return the payload; under a key of its own where none is given."""
    kind = mutation[0].upper() + mutation[1:]
    shown = ORDER if "#" in who else OF_STAFF
    document = (
        f"mutation($i: {kind}Input!) {{ {mutation}(input: $i) {{ userErrors {{ code field }} replayed {shown} }} }}"
    )
    wanted = {"idempotencyKey": f"k{next(_KEYS)}", **given}
    return await _patiently(client, who, document, wanted)


async def _patiently(client: Client, who: str, document: str, wanted: Answer) -> Answer:
    """Return the payload of a mutation, sent again under its key where others were in the way."""
    for _ in range(50):
        answer = await client.ask(who, document, i=wanted)
        if "errors" not in answer:
            (payload,) = answer["data"].values()
            return dict(payload)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["CONFLICT"], answer
    pytest.fail("others were in the way fifty times")


async def sell_everywhere(world: World) -> None:
    """Let every brand have a gift on sale, and every fan order a piece of it."""
    brands = {path: number for path, number in world.nodes.items() if path.count("/") == 1}
    for path, brand in brands.items():
        async with world.services.database.writing(EVERYTHING) as session:
            row: dict[str, Any] = {"group_id": world.nodes[path.partition("/")[0]], "brand_id": brand, "code": "cup"}
            row |= {
                "points": 60,
                "title": "cup",
                "currency": "CNY",
                "state": GiftState.ON_SALE,
                "stock": 50,
                "stocked": 50,
            }
            gift = Gift(**row)
            session.add(gift)
            await session.flush()
            for who in (name for name in world.fans if name.startswith(f"{path}/")):
                fan, wanted = await session.get_one(Fan, world.fans[who]), Earn(world.fans[who], f"sold:{who}", 60)
                await earn(session, await programme_of(session, brand), [wanted], actor="test")
                await order(session, "test", fan, gift, Wish(1, 60, 0), request_key=who)


async def stock_holds(world: World) -> None:
    """Assert that of each gift what is left and what was taken is all there ever was."""
    taken = select(redemptions.c.gift_id, func.sum(redemptions.c.quantity)).where(redemptions.c.state != "CANCELLED")
    async with world.services.database.reading(EVERYTHING) as session:
        gone = {row[0]: int(row[1]) for row in await session.execute(taken.group_by(redemptions.c.gift_id))}
        for row in await session.execute(select(gifts)):
            assert row.stock + gone.get(row.id, 0) == row.stocked, row.code


async def stock_of(world: World, gift: str) -> int:
    """Return how many pieces are left."""
    async with world.services.database.reading(EVERYTHING) as session:
        wanted = select(gifts.c.stock).where(gifts.c.id == decode(gift, "id")[1])
        return int((await session.execute(wanted)).scalar_one())
