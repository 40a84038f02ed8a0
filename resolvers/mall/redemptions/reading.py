"""Reading redemptions: lists for staff and fans, and what belongs to each."""

from collections.abc import Sequence

from authz.viewer import FanViewer
from domain import audit
from domain.fans.models import Fan
from domain.fans.queries import fans_by_id
from domain.ids import RedemptionId
from domain.mall.delivery import Delivery, opened
from domain.mall.models import Gift, Redemption, RedemptionState
from domain.mall.queries import gifts as gift_queries
from domain.mall.queries import redemptions as queries
from domain.mall.queries.redemptions import RedemptionFilter, RedemptionSort
from domain.page import Page, PageArgs, Window
from resolvers.context import Context
from resolvers.fans import own_fan_id

PERSONAL = "fan:read_personal"


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
