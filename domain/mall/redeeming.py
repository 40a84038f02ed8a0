"""Ordering a gift: what it costs in points is held, and the pieces are taken, in one transaction."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.errors import BadInput, Conflict, NotFound
from domain.fans.models import Fan
from domain.mall.deeds import record
from domain.mall.gates import is_met, too_high
from domain.mall.gifts import gifts
from domain.mall.models import Gift, GiftState, Redemption, RedemptionState
from domain.mall.rules import MAX_QUANTITY, REFUSALS, PriceChanged, bars
from domain.points.ledger.rules import InsufficientPoints, Spend
from domain.points.ledger.service import hold
from domain.points.programme.queries import programme_of
from domain.tables import table_of

redemptions, fans = table_of(Redemption), table_of(Fan)
# how long a fan has to pay what a gift costs besides points; then others may have it
PAY_WITHIN = timedelta(minutes=30)
# neither 0 and O nor 1, I and L: people read numbers out
_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


@dataclass(frozen=True)
class Wish:
    """What a fan wants: how many pieces, and what they were told that one costs, money in minor units.

    `delivery` is where it goes, sealed.
    """

    quantity: int
    points: int
    cash: int
    delivery: bytes | None = None


@dataclass(frozen=True)
class Redeemed:
    """What came of a wish: the redemption, what it costs in points in all, and what the fan may spend after it."""

    id: int
    points: int
    balance: int


async def redeem(
    session: AsyncSession, principal: str, fan: Fan, gift: Gift, wish: Wish, *, request_key: str
) -> Redeemed:
    """Order a gift for a fan of its brand and set the points aside.

    Raises GiftNotOnSale, GiftOutOfStock, GiftLimitReached, GiftLevelTooLow, PriceChanged, InsufficientPoints and
    BadInput.
    """
    if not 1 <= wish.quantity <= MAX_QUANTITY:
        raise BadInput(f"quantity must be between 1 and {MAX_QUANTITY}.", field=("input", "quantity"))
    await _stay(session, fan)
    # what is refused as it was read needs no lock; what others change meanwhile is found by the statements below
    taken = 0 if gift.per_fan_limit is None else await _taken(session, fan.id, gift.id)
    _check(gift, wish, taken=taken, level_too_low=bool(await too_high(session, fan.id, [gift])))
    number, points = _number(), gift.points * wish.quantity
    price = Spend(fan.id, points, f"redemption:{number}", gift.title, f"Gift:{gift.id}")
    programme = await programme_of(session, fan.brand_id)
    try:
        # the fan's account is locked from here on: what they have of the gift stays as it is counted
        held = await hold(session, programme, price, actor=principal, request_key=request_key)
    except InsufficientPoints as error:
        raise InsufficientPoints(field=("input", "giftId")) from error
    await _take_stock(session, fan, gift, wish)
    row = _row(fan, gift, wish) | {"number": number, "hold_id": held.transfer_id}
    made = await session.execute(insert(redemptions).values(**row).returning(redemptions.c.id))
    redemption_id = int(made.scalar_one())
    await record(session, principal, fan, redemption_id, "redemption:create", {"fan": fan.id, "points": points})
    return Redeemed(redemption_id, points, held.balance)


def _row(fan: Fan, gift: Gift, wish: Wish) -> dict[str, Any]:
    now, cash = clock.now(), gift.cash * wish.quantity
    row = {name: getattr(fan, name) for name in ("group_id", "brand_id", "dealer_id", "store_id")}
    return row | {
        "fan_id": fan.id,
        "gift_id": gift.id,
        "title": gift.title,
        "quantity": wish.quantity,
        "points": gift.points * wish.quantity,
        "cash": cash,
        "currency": gift.currency,
        "state": RedemptionState.CREATED.value,
        "pay_until": now + PAY_WITHIN if cash else None,
        "delivery_cipher": wish.delivery,
        "created_at": now,
    }


async def _stay(session: AsyncSession, fan: Fan) -> None:
    """Hold the fan there until the end: a merge or an erasure waits. Raises Conflict where one came first."""
    there = select(fans.c.id).where(fans.c.id == fan.id, fans.c.erased_at.is_(None))
    if (await session.execute(there.with_for_update(read=True, key_share=True))).first() is None:
        raise NotFound("No such fan.", field=("input", "fanId")) if fan.erased_at is not None else Conflict


def _check(gift: Any, wish: Wish, *, taken: int, level_too_low: bool) -> None:
    """Raise the first thing that keeps a fan who has `taken` pieces from what they want."""
    found = bars(gift, taken=taken, quantity=wish.quantity, now=clock.now(), level_too_low=level_too_low)
    if found:
        raise REFUSALS[found[0]](field=("input", "giftId"))
    for name, seen, costs in (("points", wish.points, gift.points), ("cash", wish.cash, gift.cash)):
        if seen != costs:
            raise PriceChanged(field=("input", name))


async def _take_stock(session: AsyncSession, fan: Fan, gift: Gift, wish: Wish) -> None:
    """Take the pieces, in one statement that holds the gift to everything it was found by. Raises what is not so."""
    taken = await _taken(session, fan.id, gift.id)
    asked, now = taken + wish.quantity, clock.now()
    so = (
        gifts.c.state == GiftState.ON_SALE.value,
        or_(gifts.c.sale_from.is_(None), gifts.c.sale_from <= now),
        or_(gifts.c.sale_until.is_(None), gifts.c.sale_until > now),
        gifts.c.stock >= wish.quantity,
        or_(gifts.c.per_fan_limit.is_(None), gifts.c.per_fan_limit >= asked),
        gifts.c.points == wish.points,
        gifts.c.cash == wish.cash,
        # a level changes while the account is locked, as it is here
        is_met(fan.id),
    )
    take = update(gifts).where(gifts.c.id == gift.id, *so).values(stock=gifts.c.stock - wish.quantity)
    if (await session.execute(take.returning(gifts.c.id))).first() is None:
        current = (await session.execute(select(gifts).where(gifts.c.id == gift.id))).one()
        _check(current, wish, taken=taken, level_too_low=bool(await too_high(session, fan.id, [current])))
        # another change was committed between the two statements
        raise Conflict


async def _taken(session: AsyncSession, fan_id: int, gift_id: int) -> int:
    mine = (redemptions.c.fan_id == fan_id, redemptions.c.gift_id == gift_id)
    counted = redemptions.c.state != RedemptionState.CANCELLED.value
    total = select(func.coalesce(func.sum(redemptions.c.quantity), 0)).where(*mine, counted)
    return int((await session.execute(total)).scalar_one())


def _number() -> str:
    """Return an order number: the day, and letters that nobody guesses and two orders a day do not share."""
    return f"{clock.now():%y%m%d}{''.join(secrets.choice(_LETTERS) for _ in range(12))}"
