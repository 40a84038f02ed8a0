"""What happened to a fan, in order, and what they did lately."""

from collections.abc import Sequence
from typing import Any

from authz.viewer import FanViewer
from domain.errors import BadInput, Forbidden
from domain.fans.models import Fan
from domain.fans.queries import get_fan
from domain.ids import FanId
from domain.page import Page, PageArgs
from domain.ranges import TimeRange
from domain.timeline import queries
from domain.timeline.queries import Activity
from domain.timeline.sources import OF_FANS, TimelineKind
from resolvers.context import Context

EVENTS = "event:read"


async def list_timeline(
    context: Context,
    *,
    page: PageArgs,
    fan_id: FanId,
    kinds: list[TimelineKind] | None = None,
    at: TimeRange | None = None,
) -> Page[Any]:
    """List what happened to a fan, newest first: events, orders and changes, as far as the caller may read each."""
    async with context.reading() as session:
        fan = await get_fan(session, context.scope, fan_id)
        return await queries.list_timeline(session, context.scope, fan, page, _kinds(kinds), at)


async def my_timeline(
    context: Context, *, page: PageArgs, kinds: list[TimelineKind] | None = None, at: TimeRange | None = None
) -> Page[Any]:
    """List what happened to me, newest first."""
    if not isinstance(context.viewer, FanViewer):
        raise Forbidden("Only a fan has a timeline of their own.")
    async with context.reading() as session:
        fan = await get_fan(session, context.scope, context.viewer.fan_id)
        return await queries.list_timeline(session, context.scope, fan, page, _kinds(kinds) & OF_FANS, at, own=True)


def _kinds(kinds: list[TimelineKind] | None) -> frozenset[TimelineKind]:
    if kinds is not None and not kinds:
        raise BadInput("kinds needs at least one kind.", field=("kinds",))
    return frozenset(TimelineKind if kinds is None else kinds)


async def activities_of(context: Context, fans: Sequence[Fan]) -> Sequence[list[Activity] | None]:
    """What they did in the last 1, 7 and 30 natural days of the brand, today among them."""
    readable = [fan for fan in fans if context.scope.holds(EVENTS, fan)]
    async with context.reading() as session:
        found = await queries.activity_by_fan(session, readable)
    return [found.get(fan.id) for fan in fans]
