"""Levels of brands, and where fans stand."""

from collections.abc import Sequence
from typing import Any

from domain.access.rules import Node
from domain.errors import Forbidden, NotFound
from domain.fans.models import Fan
from domain.fans.queries import get_fan
from domain.ids import BrandId
from domain.levels import preview, queries
from domain.levels.definitions import NewLadder, set_ladder
from domain.levels.models import Level
from domain.levels.queries import Kept, Place
from domain.page import Page, PageArgs, Window
from domain.tenancy.models import Brand
from domain.tenancy.queries import brands_by_id
from resolvers.context import Context
from resolvers.fans import own_fan_id

DEFINE = "level:write"


async def list_levels(context: Context, *, page: PageArgs, brand_id: BrandId | None = None) -> Page[Level]:
    """List the levels of the brands whose fans the caller may see, lowest first, those archived too."""
    async with context.reading() as session:
        return await queries.list_levels(session, context.scope, page, brand_id)


def cut_levels(context: Context, *, page: PageArgs, brand_id: BrandId | None = None) -> Window:
    """Return the page of `list_levels` before it is read."""
    return queries.cut_levels(context.scope, page, brand_id)


async def level_programme(context: Context, *, brand_id: BrandId) -> Kept:
    """Return how a brand keeps its levels, and which are in force."""
    async with context.reading() as session:
        if not await queries.may_read(session, context.scope, brand_id):
            raise NotFound(field=("brandId",))
        return await queries.programme_of(session, brand_id)


async def set_levels(context: Context, input: NewLadder) -> dict[str, Any]:
    """Say which levels a brand's fans reach, all at once; fans whose level that changes follow within minutes."""
    async with context.transaction(dry_run=input.dry_run) as session:
        brand = await _brand(context, session, input.brand_id)
        await set_ladder(session, context.viewer.principal, brand, input)
        moves = await preview.moves(session, brand.id) if input.dry_run else None
        return {"programme": await queries.programme_of(session, brand.id), "moves": moves}


async def _brand(context: Context, session: Any, brand_id: int) -> Brand:
    brand = (await brands_by_id(session, context.scope, [brand_id])).get(brand_id)
    if brand is None:
        raise NotFound("No such brand.", field=("input", "brandId"))
    if not context.scope.holds(DEFINE, Node(brand.group_id, brand.id)):
        raise Forbidden("A brand's levels are set by those who may set them in the whole brand.")
    return brand


async def places_of(context: Context, fans: Sequence[Fan]) -> Sequence[Place | None]:
    """Where they stand on their brand's ladder; null where the brand has no levels."""
    async with context.reading() as session:
        found = await queries.places_by_fan(session, fans)
    return [found.get(fan.id) for fan in fans]


async def my_levels(context: Context) -> Sequence[Level]:
    """List the levels of the caller's brand, lowest first."""
    async with context.reading() as session:
        fan = await get_fan(session, context.scope, own_fan_id(context))
        return (await queries.programme_of(session, fan.brand_id)).levels
