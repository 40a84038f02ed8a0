"""Points and growth: what fans have, what moved them, and what staff change by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain.access.rules import Node
from domain.errors import BadInput, Forbidden, NotFound
from domain.fans.changing import fans_to_change
from domain.fans.models import Fan
from domain.fans.queries import fans_by_any_id, fans_by_id, get_fan
from domain.idempotency import Answer, run_once
from domain.ids import BrandId, FanId, Int64, PointAdjustmentId
from domain.inputs import said
from domain.page import Page, PageArgs, Window
from domain.points.ledger import adjusting, history
from domain.points.ledger.adjusting import Adjustment
from domain.points.ledger.history import AdjustmentFilter
from domain.points.ledger.models import PointAdjustment
from domain.points.ledger.queries import Expiring, balances_by_fan, expiring_by_fan
from domain.points.ledger.rules import Balances
from domain.points.programme.queries import programme_of
from domain.points.programme.rules import Programme
from domain.points.programme.service import ProgrammeChange, update_programme
from domain.tenancy.models import Brand
from domain.tenancy.queries import brands_by_id
from resolvers.context import Context
from resolvers.fans import own_fan_id
from resolvers.keys import once_of

READ, ADJUST, APPROVE, KEEP = history.READ, "points:adjust", "points:approve", "points_programme:write"


async def balances_of(context: Context, fans: Sequence[Fan]) -> Sequence[Balances | None]:
    """What they have of points and growth."""
    readable = [fan.id for fan in fans if _may_read(context, fan)]
    async with context.reading() as session:
        found = await balances_by_fan(session, readable)
    return [found.get(fan.id) for fan in fans]


async def expiring_of(context: Context, fans: Sequence[Fan], *, first: int = 10) -> Sequence[list[Expiring] | None]:
    """How many of their points expire when, soonest first (at most 100)."""
    if not 1 <= first <= 100:
        raise BadInput("first must be between 1 and 100.", field=("first",))
    readable = [fan.id for fan in fans if _may_read(context, fan)]
    async with context.reading() as session:
        found = await expiring_by_fan(session, readable, first=first)
    return [found.get(fan.id, []) if fan.id in set(readable) else None for fan in fans]


def _may_read(context: Context, fan: Fan) -> bool:
    return context.scope.holds(READ, fan) or getattr(context.viewer, "fan_id", None) == fan.id


async def list_point_transfers(context: Context, *, page: PageArgs, fan_id: FanId) -> Page[Any]:
    """List what moved a fan's points and growth, newest first."""
    async with context.reading() as session:
        found = (await fans_by_any_id(session, context.scope, [fan_id], READ)).get(fan_id)
        if found is None:
            raise NotFound(field=("fanId",))
        return await history.list_transfers(session, found.id, page)


async def my_point_transfers(context: Context, *, page: PageArgs) -> Page[Any]:
    """List what moved my points and growth, newest first."""
    async with context.reading() as session:
        fan = await get_fan(session, context.scope, own_fan_id(context))
        return await history.list_transfers(session, fan.id, page)


async def get_points_programme(context: Context, *, brand_id: BrandId) -> Programme:
    """Return the rules of a brand's points programme; a brand that said nothing has the usual ones, as version 0."""
    async with context.reading() as session:
        return await programme_of(session, (await _brand(session, context, brand_id, ("brandId",))).id)


async def update_points_programme(context: Context, input: ProgrammeChange) -> dict[str, Any]:
    """Change the rules of a brand's points programme; what was granted before stays as it was."""
    async with context.transaction() as session:
        brand = await _brand(session, context, input.brand_id, ("input", "brandId"))
        if not context.scope.holds(KEEP, Node(brand.group_id, brand.id)):
            raise Forbidden("A brand's programme is kept by those who may write it in the whole brand.")
        await update_programme(session, context.viewer.principal, await programme_of(session, brand.id), input)
        return {"programme": await programme_of(session, brand.id)}


@dataclass(frozen=True)
class PointsAdjustment:
    """What a fan is to be given by hand, or, below 0, to lose."""

    fan_id: FanId = said("The fan.")
    reason: str = said("Why, 1 to 300 characters; it is kept for ever, so no personal data belongs in it.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    points: Int64 = said("Points to give; below 0, to take.", 0)
    growth: Int64 = said("Growth to give; below 0, to take.", 0)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def adjust_points(context: Context, input: PointsAdjustment) -> dict[str, Any]:
    """Give a fan points or growth by hand, or take some; above the brand's limit it waits for a second person."""
    async with context.transaction(dry_run=input.dry_run) as session:
        fan = (await fans_to_change(session, context.scope, [input.fan_id], ADJUST)).get(input.fan_id)
        if fan is None:
            raise NotFound("No such fan.", field=("input", "fanId"))
        programme = await programme_of(session, fan.brand_id)

        async def effect() -> Answer:
            wanted = Adjustment(fan.id, input.reason, input.points, input.growth)
            return Answer({"id": await adjusting.adjust(session, programme, wanted, actor=context.viewer.principal)})

        answer, replayed = await run_once(session, once_of(context, fan.group_id, "adjustPoints", input), effect)
        said_now = await _adjustment(session, context, answer["id"], ADJUST)
        balances = (await balances_by_fan(session, [fan.id]))[fan.id]
    return {"adjustment": said_now, "balances": balances, "replayed": replayed}


@dataclass(frozen=True)
class AdjustmentRef:
    """An adjustment that waits."""

    adjustment_id: PointAdjustmentId = said("The adjustment.")
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def approve_point_adjustment(context: Context, input: AdjustmentRef) -> dict[str, Any]:
    """Carry out an adjustment that another person proposed."""
    async with context.transaction(dry_run=input.dry_run) as session:
        found, programme = await _decidable(session, context, input.adjustment_id)
        await adjusting.approve(session, programme, found.id, actor=context.viewer.principal)
        return {"adjustment": await _adjustment(session, context, found.id, APPROVE)}


@dataclass(frozen=True)
class AdjustmentRefusal:
    """Why an adjustment that waits is not to be."""

    adjustment_id: PointAdjustmentId = said("The adjustment.")
    note: str | None = said("Why not, 1 to 300 characters.", None)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def reject_point_adjustment(context: Context, input: AdjustmentRefusal) -> dict[str, Any]:
    """Refuse an adjustment that was proposed."""
    async with context.transaction(dry_run=input.dry_run) as session:
        found, programme = await _decidable(session, context, input.adjustment_id)
        await adjusting.reject(session, programme, found.id, actor=context.viewer.principal, note=input.note)
        return {"adjustment": await _adjustment(session, context, found.id, APPROVE)}


async def list_point_adjustments(
    context: Context, *, page: PageArgs, filter: AdjustmentFilter | None = None
) -> Page[PointAdjustment]:
    """List adjustments by hand, newest first. They are the brand's: who has rights at a dealer only sees none."""
    async with context.reading() as session:
        return await history.list_adjustments(session, context.scope, page, filter)


def cut_point_adjustments(context: Context, *, page: PageArgs, filter: AdjustmentFilter | None = None) -> Window:
    """Return the page of `list_point_adjustments` before it is read."""
    return history.cut_adjustments(context.scope, page, filter)


async def fans_of(context: Context, adjustments: Sequence[PointAdjustment]) -> Sequence[Fan | None]:
    """The fan it is about, where the caller may see them."""
    async with context.reading() as session:
        owners = await history.fans_by_account(session, {row.account_id for row in adjustments})
        found = await fans_by_id(session, context.scope, set(owners.values()))
    return [found.get(owners.get(row.account_id, 0)) for row in adjustments]


async def _brand(session: Any, context: Context, brand_id: int, field: tuple[str, ...]) -> Brand:
    brand = (await brands_by_id(session, context.scope, [brand_id])).get(brand_id)
    if brand is None:
        raise NotFound("No such brand.", field=field)
    return brand


async def _decidable(session: Any, context: Context, adjustment_id: int) -> tuple[PointAdjustment, Programme]:
    found = (await history.adjustments_by_id(session, context.scope, [adjustment_id], APPROVE)).get(adjustment_id)
    if found is None:
        raise NotFound("No such adjustment.", field=("input", "adjustmentId"))
    return found, await programme_of(session, found.brand_id)


async def _adjustment(session: Any, context: Context, made: int, permission: str) -> PointAdjustment | None:
    return (await history.adjustments_by_id(session, context.scope, [made], permission)).get(made)
