"""Gifts, as staff keep them and as fans see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from authz.viewer import FanViewer
from domain import clock
from domain.access.rules import Node
from domain.errors import Forbidden, NotFound
from domain.idempotency import Answer, run_once
from domain.ids import GiftId, Int64
from domain.inputs import said
from domain.levels import queries as level_queries
from domain.levels.models import Level
from domain.mall import gifts
from domain.mall.gates import too_high
from domain.mall.gifts import GiftChange, NewGift
from domain.mall.models import Gift
from domain.mall.queries import gifts as queries
from domain.mall.queries.gifts import GiftFilter, GiftSort, OfferFilter
from domain.mall.queries.redemptions import taken_by_gift
from domain.mall.rules import Standing, standing
from domain.page import Page, PageArgs, Window
from domain.points.ledger.service import balances_by_fan
from domain.tenancy.queries import brands_by_id
from resolvers.context import Context
from resolvers.keys import once_of

KEEP = "gift:write"


async def get_gift(context: Context, *, id: GiftId) -> Gift:
    """Return a gift."""
    async with context.reading() as session:
        return await queries.get_gift(session, context.scope, id)


async def list_gifts(context: Context, *, page: PageArgs, filter: GiftFilter | None = None) -> Page[Gift]:
    """List the gifts of the brands the caller has to do with, newest first."""
    async with context.reading() as session:
        return await queries.list_gifts(session, context.scope, page, filter)


def cut_gifts(context: Context, *, page: PageArgs, filter: GiftFilter | None = None) -> Window:
    """Return the page of `list_gifts` before it is read."""
    return queries.cut_gifts(context.scope, page, filter)


async def get_offer(context: Context, *, id: GiftId) -> Gift:
    """Return a gift that is on sale now."""
    async with context.reading() as session:
        return await queries.get_offer(session, context.scope, _fan(context).brand_id, id)


async def list_offers(
    context: Context,
    *,
    page: PageArgs,
    filter: OfferFilter | None = None,
    order_by: GiftSort = GiftSort.NEWEST,
) -> Page[Gift]:
    """List the brand's gifts that are on sale now."""
    async with context.reading() as session:
        return await queries.list_offers(session, context.scope, page, _fan(context).brand_id, filter, order_by)


async def standings_of(context: Context, gifts: Sequence[Gift]) -> Sequence[Standing]:
    """Where I stand with it: how many I have, and what keeps me from one more."""
    now = clock.now()
    fan_id = _fan(context).fan_id
    async with context.reading() as session:
        taken = await taken_by_gift(session, fan_id, [gift.id for gift in gifts])
        points = (await balances_by_fan(session, [fan_id]))[fan_id].active
        gated = await too_high(session, fan_id, gifts)
    return [
        standing(gift, taken=taken.get(gift.id, 0), points=points, now=now, level_too_low=gift.id in gated)
        for gift in gifts
    ]


async def least_levels_of(context: Context, gifts: Sequence[Gift]) -> Sequence[Level | None]:
    """The level a fan has to stand on, or above, to have it; null where any will do."""
    wanted = {gift.least_level_id for gift in gifts if gift.least_level_id is not None}
    async with context.reading() as session:
        found = await level_queries.levels_by_id(session, context.scope, wanted, "gift:read")
    return [found.get(gift.least_level_id or 0) for gift in gifts]


async def least_levels_of_offers(context: Context, gifts: Sequence[Gift]) -> Sequence[Level | None]:
    """The level I have to stand on, or above, to have it; null where any will do."""
    wanted = {gift.least_level_id for gift in gifts if gift.least_level_id is not None}
    async with context.reading() as session:
        found = await level_queries.levels_of_brand(session, _fan(context).brand_id, wanted)
    return [found.get(gift.least_level_id or 0) for gift in gifts]


def _fan(context: Context) -> FanViewer:
    if not isinstance(context.viewer, FanViewer):
        raise Forbidden("Only a fan has a mall of their own.")
    return context.viewer


async def create_gift(context: Context, input: NewGift) -> dict[str, Any]:
    """Make a gift of a brand. It is a DRAFT without stock."""
    async with context.transaction() as session:
        brand = (await brands_by_id(session, context.scope, [input.brand_id])).get(input.brand_id)
        if brand is None:
            raise NotFound("No such brand.", field=("input", "brandId"))
        _check_keeper(context, brand.group_id, brand.id)
        made = await gifts.create_gift(session, context.viewer.principal, brand, input)
        return {"gift": await queries.get_gift(session, context.scope, made)}


async def update_gift(context: Context, input: GiftChange) -> dict[str, Any]:
    """Change a gift, put it on sale or take it off. What was redeemed before stays as it was."""
    async with context.transaction() as session:
        gift = await _kept_gift(context, session, input.gift_id)
        await gifts.update_gift(session, context.viewer.principal, gift, input)
        return {"gift": await queries.get_gift(session, context.scope, gift.id)}


@dataclass(frozen=True)
class GiftStock:
    """Pieces of a gift that come in, or go out otherwise than to a fan."""

    gift_id: GiftId = said("The gift.")
    quantity: Int64 = said("How many pieces come in; less than 0 where they go out.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def add_gift_stock(context: Context, input: GiftStock) -> dict[str, Any]:
    """Put pieces of a gift in, or take some out; never more than there are."""
    async with context.transaction(dry_run=input.dry_run) as session:
        gift = await _kept_gift(context, session, input.gift_id)

        async def effect() -> Answer:
            return Answer({"stock": await gifts.add_gift_stock(session, principal, gift, input.quantity)})

        principal = context.viewer.principal
        answer, replayed = await run_once(session, once_of(context, gift.group_id, "addGiftStock", input), effect)
        now = await queries.get_gift(session, context.scope, gift.id)
    return {"gift": now, "stock": answer["stock"], "replayed": replayed}


async def _kept_gift(context: Context, session: Any, gift_id: int) -> Gift:
    gift = (await queries.gifts_by_id(session, context.scope, [gift_id])).get(gift_id)
    if gift is None:
        raise NotFound("No such gift.", field=("input", "giftId"))
    _check_keeper(context, gift.group_id, gift.brand_id)
    return gift


def _check_keeper(context: Context, group_id: int, brand_id: int) -> None:
    if not context.scope.holds(KEEP, Node(group_id, brand_id)):
        raise Forbidden("A brand's gifts are kept by those who may write gifts in the whole brand.")
