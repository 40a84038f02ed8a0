"""Redemptions: ordering gifts for points, and what becomes of the orders."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from authz.viewer import FanViewer
from domain import audit
from domain.errors import BadInput, NotFound
from domain.fans.models import Fan
from domain.fans.queries import fans_by_any_id, fans_by_id
from domain.idempotency import Answer, run_once
from domain.ids import FanId, GiftId, Int64, RedemptionId
from domain.inputs import said
from domain.mall import redeeming, redemptions
from domain.mall.delivery import Delivery, opened, sealed
from domain.mall.models import Gift, Redemption, RedemptionState
from domain.mall.queries import gifts as gift_queries
from domain.mall.queries import redemptions as queries
from domain.mall.queries.redemptions import RedemptionFilter, RedemptionSort
from domain.mall.redeeming import Wish
from domain.money import to_minor
from domain.page import Page, PageArgs, Window
from resolvers.context import Context
from resolvers.fans import own_fan_id
from resolvers.mall.keys import once_of

WRITE, PERSONAL = "redemption:write", "fan:read_personal"
BY_FAN = "cancelled by the fan"


async def get_redemption(context: Context, *, id: RedemptionId) -> Redemption:
    """Return a redemption."""
    async with context.reading() as session:
        return await queries.get_redemption(session, context.scope, id)


async def list_redemptions(
    context: Context,
    *,
    page: PageArgs,
    filter: RedemptionFilter | None = None,
    order_by: RedemptionSort = RedemptionSort.CREATED_AT_DESC,
) -> Page[Redemption]:
    """List the redemptions the caller may see."""
    async with context.reading() as session:
        return await queries.list_redemptions(session, context.scope, page, filter, order_by)


def cut_redemptions(
    context: Context,
    *,
    page: PageArgs,
    filter: RedemptionFilter | None = None,
    order_by: RedemptionSort = RedemptionSort.CREATED_AT_DESC,
) -> Window:
    """Return the page of `list_redemptions` before it is read."""
    return queries.cut_redemptions(context.scope, page, filter, order_by)


async def my_redemptions(context: Context, *, page: PageArgs, state: RedemptionState | None = None) -> Page[Redemption]:
    """List my own redemptions, newest first."""
    wanted, newest = RedemptionFilter(fan_id=own_fan_id(context), state=state), RedemptionSort.CREATED_AT_DESC
    async with context.reading() as session:
        return await queries.list_redemptions(session, context.scope, page, wanted, newest)


async def my_redemption(context: Context, *, id: RedemptionId) -> Redemption:
    """Return one of my own redemptions."""
    own_fan_id(context)
    return await get_redemption(context, id=id)


async def gifts_of(context: Context, redemptions: Sequence[Redemption]) -> Sequence[Gift | None]:
    """The gift as it is now."""
    async with context.reading() as session:
        found = await gift_queries.gifts_by_id(session, context.scope, {one.gift_id for one in redemptions})
    return [found.get(one.gift_id) for one in redemptions]


async def fans_of(context: Context, redemptions: Sequence[Redemption]) -> Sequence[Fan | None]:
    """The fan who ordered it, where the caller may see them."""
    async with context.reading() as session:
        found = await fans_by_id(session, context.scope, {one.fan_id for one in redemptions})
    return [found.get(one.fan_id) for one in redemptions]


async def deliveries_of(context: Context, redemptions: Sequence[Redemption]) -> Sequence[Delivery | None]:
    """Where it goes, for a caller who may read personal data (each reading is recorded); null where it is collected."""
    own = isinstance(context.viewer, FanViewer)
    shown = {
        one.id: one
        for one in redemptions
        if one.delivery_cipher is not None and (own or context.scope.holds(PERSONAL, one))
    }
    if not shown:
        return [None] * len(redemptions)
    async with context.reading() as session:
        groups = {one.group_id for one in shown.values()}
        keys = {group_id: await context.services.vault.of_group(session, group_id) for group_id in groups}
    if not own:
        await _record_reading(context, list(shown.values()))
    found = {id_: opened(keys[one.group_id], one.delivery_cipher or b"") for id_, one in shown.items()}
    return [found.get(one.id) for one in redemptions]


async def _record_reading(context: Context, read: Sequence[Redemption]) -> None:
    by_brand: dict[tuple[int, int], list[int]] = {}
    for one in read:
        by_brand.setdefault((one.group_id, one.brand_id), []).append(one.id)
    deeds = [
        audit.Deed(group_id, brand_id, PERSONAL, f"Brand:{brand_id}", {"redemptions": ids, "field": "delivery"})
        for (group_id, brand_id), ids in by_brand.items()
    ]
    async with context.transaction() as session:
        await audit.record(session, context.viewer.principal, deeds)


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
    fan = (await fans_by_any_id(session, context.scope, [fan_id], permission)).get(fan_id)
    if fan is None or fan.erased_at is not None:
        raise NotFound("No such fan.", field=("input", "fanId"))
    gift = (await gift_queries.gifts_by_id(session, context.scope, [gift_id])).get(gift_id)
    if gift is None or gift.brand_id != fan.brand_id:
        raise NotFound("No such gift.", field=("input", "giftId"))
    return fan, gift


async def _wish(context: Context, session: Any, gift: Gift, input: MyWish | WishOfFan) -> Wish:
    keys = await context.services.vault.of_group(session, gift.group_id)
    delivery = None if input.delivery is None else sealed(keys, input.delivery)
    return Wish(input.quantity, input.points, _minor(input.cash, gift.currency, "cash"), delivery)


def _minor(amount: Decimal, currency: str, name: str) -> int:
    try:
        return to_minor(amount, currency)
    except ValueError as error:
        raise BadInput(f"{name} {error}.", field=("input", name)) from error


@dataclass(frozen=True)
class Fulfilment:
    """That a gift went out, or was handed over."""

    redemption_id: RedemptionId = said("The redemption.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    carrier: str | None = said("Who carries it, 1 to 64 characters.", None)
    tracking_number: str | None = said("The carrier's number of it, 1 to 64 characters.", None)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


@dataclass(frozen=True)
class Cancelling:
    """That a redemption is cancelled, and why."""

    redemption_id: RedemptionId = said("The redemption.")
    reason: str = said("Why, 1 to 200 characters; the fan sees it.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


@dataclass(frozen=True)
class MyCancelling:
    """That the caller does not want a gift any more."""

    redemption_id: RedemptionId = said("The redemption.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


@dataclass(frozen=True)
class Payment:
    """That what a redemption costs in money was paid."""

    redemption_id: RedemptionId = said("The redemption.")
    amount: Decimal = said("What was paid, in the redemption's currency; all it costs, at once.")
    payment_reference: str = said("The payment's own number, 1 to 128 characters: it pays one redemption.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def fulfil_redemption(context: Context, input: Fulfilment) -> dict[str, Any]:
    """Say that a gift went out: its points are spent for good."""

    async def fulfil(session: Any, principal: str, redemption: Redemption) -> None:
        sent = {"carrier": input.carrier, "tracking_number": input.tracking_number}
        await redemptions.fulfil(session, principal, redemption, **sent)

    return await _once(context, "fulfilRedemption", input, WRITE, fulfil)


async def cancel_redemption(context: Context, input: Cancelling) -> dict[str, Any]:
    """Cancel a redemption that did not go out: points return to where they came from, pieces to the stock.

    Money that was paid is for the caller to pay back.
    """

    async def cancel(session: Any, principal: str, redemption: Redemption) -> None:
        await redemptions.cancel(session, principal, redemption, reason=input.reason)

    return await _once(context, "cancelRedemption", input, WRITE, cancel)


async def cancel_my_redemption(context: Context, input: MyCancelling) -> dict[str, Any]:
    """Cancel one of my redemptions that did not go out and has no money paid: my points return to where they were."""
    own_fan_id(context)

    async def cancel(session: Any, principal: str, redemption: Redemption) -> None:
        await redemptions.cancel(session, principal, redemption, reason=BY_FAN, paid_too=False)

    return await _once(context, "cancelMyRedemption", input, queries.REDEMPTION, cancel)


async def record_redemption_payment(context: Context, input: Payment) -> dict[str, Any]:
    """Record that what a redemption costs in money was paid, as the payment system says."""

    async def pay(session: Any, principal: str, redemption: Redemption) -> None:
        cash = _minor(input.amount, redemption.currency, "amount")
        await redemptions.pay(session, principal, redemption, cash=cash, reference=input.payment_reference)

    return await _once(context, "recordRedemptionPayment", input, WRITE, pay)


Act = Callable[[Any, str, Redemption], Awaitable[None]]


async def _once(context: Context, mutation: str, input: Any, permission: str, act: Act) -> dict[str, Any]:
    """Do something with a redemption once a key, and answer with the redemption as it is now."""
    async with context.transaction(dry_run=input.dry_run) as session:
        wanted = input.redemption_id
        found = (await queries.redemptions_by_id(session, context.scope, [wanted], permission)).get(wanted)
        if found is None:
            raise NotFound("No such redemption.", field=("input", "redemptionId"))

        async def effect() -> Answer:
            await act(session, context.viewer.principal, found)
            return Answer({"id": wanted})

        _, replayed = await run_once(session, once_of(context, found.group_id, mutation, input), effect)
        now = await queries.get_redemption(session, context.scope, wanted)
    return {"redemption": now, "replayed": replayed}
