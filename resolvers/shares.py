"""Cascades: kept in SQL, shaped by the graph. A fan the caller may not see is counted, never shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.access.rules import Node
from domain.errors import NotFound
from domain.fans.models import Fan
from domain.fans.queries import fans_by_id
from domain.ids import BrandId, CascadeId, FanId
from domain.page import Page, PageArgs
from domain.shares import queries
from domain.shares.models import Cascade
from domain.shares.queries import CascadeSort
from graph.shares import cascade_breadths, paths
from resolvers.context import Context


@dataclass(frozen=True)
class Generation:
    """How many fans a cascade, or a downline, has at one distance from its start."""

    number: int
    fan_count: int


@dataclass(frozen=True)
class Shape:
    """A cascade as the graph sees it now; it may lag behind the size by what is still on its way there."""

    depth: int
    fan_count: int
    breadth: list[Generation]


@dataclass(frozen=True)
class Step:
    """One fan on a path; `fan` is None where the caller may not see them."""

    position: int
    fan: Fan | None


async def get_cascade(context: Context, *, id: CascadeId) -> Cascade:
    """Return a cascade."""
    async with context.reading() as session:
        return await queries.get_cascade(session, context.scope, id)


async def list_cascades(
    context: Context,
    *,
    page: PageArgs,
    brand_id: BrandId | None = None,
    source: str | None = None,
    code: str | None = None,
    order_by: CascadeSort = CascadeSort.SIZE_DESC,
) -> Page[Cascade]:
    """List cascades, the largest first unless asked otherwise."""
    async with context.reading() as session:
        return await queries.list_cascades(session, context.scope, page, brand_id, source, code, order_by)


async def shapes_of(context: Context, cascades: Sequence[Cascade]) -> Sequence[Shape | None]:
    """Its depth and breadth, from the graph."""
    found: dict[int, list[int]] = {}
    shown = _graph_readable(context, cascades)
    for brand_id in {cascade.brand_id for cascade in shown}:
        asked = [(cascade.id, cascade.seed_fan_id) for cascade in shown if cascade.brand_id == brand_id]
        found |= await cascade_breadths(context.services.graph, brand_id, asked)
    return [_shape(found[cascade.id]) if cascade.id in found else None for cascade in cascades]


def _graph_readable(context: Context, cascades: Sequence[Cascade]) -> list[Cascade]:
    """Keep the cascades of brands whose graph the caller may ask; holding the right at another brand is not enough."""
    return [c for c in cascades if context.scope.holds("graph:read", Node(c.group_id, c.brand_id))]


def _shape(breadths: list[int]) -> Shape:
    generations = [Generation(number, count) for number, count in enumerate(breadths)]
    return Shape(len(breadths) - 1, sum(breadths), generations)


async def seeds_of(context: Context, cascades: Sequence[Cascade]) -> Sequence[Fan | None]:
    """The fan it started from, where the caller may see them."""
    async with context.reading() as session:
        found = await fans_by_id(session, context.scope, {cascade.seed_fan_id for cascade in cascades})
    return [found.get(cascade.seed_fan_id) for cascade in cascades]


async def paths_of(context: Context, cascades: Sequence[Cascade], *, fan_id: FanId) -> Sequence[list[Step] | None]:
    """The way from the seed to a fan; null where the cascade has not reached them."""
    async with context.reading() as session:
        if fan_id not in await fans_by_id(session, context.scope, [fan_id]):
            raise NotFound(field=("fanId",))
    found: dict[tuple[int, int], list[int] | None] = {}
    shown = _graph_readable(context, cascades)
    for brand_id in {cascade.brand_id for cascade in shown}:
        asked = [(cascade.id, cascade.seed_fan_id, fan_id) for cascade in shown if cascade.brand_id == brand_id]
        found |= await paths(context.services.graph, brand_id, asked)
    ways = [found.get((cascade.id, fan_id)) for cascade in cascades]
    async with context.reading() as session:
        seen = await fans_by_id(session, context.scope, {fan for way in ways for fan in way or ()})
    return [None if way is None else _steps(way, seen) for way in ways]


def _steps(path: Sequence[int], seen: dict[int, Fan]) -> list[Step]:
    return [Step(position, seen.get(fan)) for position, fan in enumerate(path)]
