"""Ordering gifts for points, by fans and for them."""

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from domain.errors import NotFound
from domain.fans.changing import fans_to_change
from domain.fans.models import Fan
from domain.idempotency import Answer, run_once
from domain.ids import FanId, GiftId, Int64
from domain.inputs import said
from domain.mall import redeeming
from domain.mall.delivery import Delivery, sealed
from domain.mall.models import Gift
from domain.mall.queries import gifts as gift_queries
from domain.mall.queries import redemptions as queries
from domain.mall.redeeming import Wish
from resolvers.context import Context
from resolvers.fans import own_fan_id
from resolvers.keys import minor_of, once_of

WRITE = "redemption:write"


@dataclass(frozen=True)
class MyWish:
    """A gift the caller wants, and what they were told it costs."""

    gift_id: GiftId = said("The gift.")
    points: Int64 = said("What one piece costs in points, as it was shown: another price is refused.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    quantity: int = said("How many pieces, 1 to 100.", 1)
    cash: Decimal = said("What one piece costs in money besides, as it was shown.", Decimal(0))
    delivery: Delivery | None = said("Where it goes; without it, it is collected or needs no way.", None)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


@dataclass(frozen=True)
class WishOfFan:
    """A gift for a fan, and what they were told it costs."""

    fan_id: FanId = said("The fan who gets it and whose points pay for it.")
    gift_id: GiftId = said("The gift.")
    points: Int64 = said("What one piece costs in points, as it was shown: another price is refused.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    quantity: int = said("How many pieces, 1 to 100.", 1)
    cash: Decimal = said("What one piece costs in money besides, as it was shown.", Decimal(0))
    delivery: Delivery | None = said("Where it goes; without it, it is collected or needs no way.", None)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def redeem_gift_for_me(context: Context, input: MyWish) -> dict[str, Any]:
    """Order a gift for my points. They are set aside now and spent when the gift goes out."""
    return await _redeem(context, "redeemGiftForMe", input, own_fan_id(context), "fan:read")


async def redeem_gift(context: Context, input: WishOfFan) -> dict[str, Any]:
    """Order a gift for a fan's points. They are set aside now and spent when the gift goes out."""
    return await _redeem(context, "redeemGift", input, input.fan_id, WRITE)


async def _redeem(
    context: Context, mutation: str, input: MyWish | WishOfFan, fan_id: int, permission: str
) -> dict[str, Any]:
    async with context.transaction(dry_run=input.dry_run) as session:
        fan, gift = await _fan_and_gift(context, session, fan_id, input.gift_id, permission)
        wish = await _wish(context, session, gift, input)

        async def effect() -> Answer:
            principal = context.viewer.principal
            done = await redeeming.redeem(session, principal, fan, gift, wish, request_key=input.idempotency_key)
            return Answer(asdict(done))

        answer, replayed = await run_once(session, once_of(context, gift.group_id, mutation, input), effect)
        made = (await queries.redemptions_by_id(session, context.scope, [answer["id"]])).get(answer["id"])
    shown = None if input.dry_run and not replayed else made
    return {"redemption": shown, "points": answer["points"], "balance": answer["balance"], "replayed": replayed}


async def _fan_and_gift(context: Context, session: Any, fan_id: int, gift_id: int, permission: str) -> tuple[Fan, Gift]:
    fan = (await fans_to_change(session, context.scope, [fan_id], permission)).get(fan_id)
    if fan is None or fan.erased_at is not None:
        raise NotFound("No such fan.", field=("input", "fanId"))
    gift = (await gift_queries.gifts_by_id(session, context.scope, [gift_id])).get(gift_id)
    if gift is None or gift.brand_id != fan.brand_id:
        raise NotFound("No such gift.", field=("input", "giftId"))
    return fan, gift


async def _wish(context: Context, session: Any, gift: Gift, input: MyWish | WishOfFan) -> Wish:
    keys = await context.services.vault.of_group(session, gift.group_id)
    delivery = None if input.delivery is None else sealed(keys, input.delivery)
    return Wish(input.quantity, input.points, minor_of(input.cash, gift.currency, "cash"), delivery)
