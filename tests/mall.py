"""A mall to test in: gifts made, stocked and put on sale as staff do it."""

from typing import Any

from tests.world import Client

CREATE = """mutation($i: CreateGiftInput!) { createGift(input: $i) { userErrors { code field message }
  gift { id code title description imageUrl category state points cash { amount currency } stock stocked perFanLimit
    saleFrom saleUntil brand { code } } } }"""
UPDATE = """mutation($i: UpdateGiftInput!) { updateGift(input: $i) { userErrors { code field message }
  gift { title points cash { amount } state perFanLimit saleFrom saleUntil } } }"""
STOCK = """mutation($i: AddGiftStockInput!) { addGiftStock(input: $i) { userErrors { code field message }
  stock replayed gift { stock stocked } } }"""
Answer = dict[str, Any]


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
