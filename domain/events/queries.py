"""Reads of events. Whether a caller may see one is whether they may see the fan who did it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.events.models import FanEvent
from domain.fans.models import Fan
from domain.ids import BrandId
from domain.inputs import said
from domain.page import Page, PageArgs, Sort, Window, read, window
from domain.ranges import TimeRange, within_times
from domain.scope import Scope
from domain.tables import table_of

PERMISSION = "event:read"
events, fans = table_of(FanEvent), table_of(Fan)
NEWEST = Sort("-occurred", (events.c.occurred_at, events.c.id), descending=True)


@dataclass(frozen=True)
class EventFilter:
    """Which events; a brand and a name are always given, and together with the time they are read off an index."""

    brand_id: BrandId = said("Events of this brand.")
    name: str = said("Events of this name.")
    occurred_at: TimeRange | None = said("When they happened.", None)
    violating: bool | None = said("Only those that are not as defined, or only those that are.", None)


def readable(scope: Scope, source: FromClause = events) -> ColumnElement[bool]:
    """Build the condition that the caller may read an event: by its brand where that says it all, else by its fan."""
    nodes = scope.nodes(PERMISSION)
    if nodes.dealers or nodes.stores or nodes.fans or nodes.barred:
        return source.c.fan_id.in_(select(fans.c.id).where(nodes.where(fans)))
    return nodes.where(events, source)


async def events_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, FanEvent]:
    return await reads.by_id(session, readable(scope), FanEvent, ids)


async def list_events(session: AsyncSession, scope: Scope, args: PageArgs, wanted: EventFilter) -> Page[FanEvent]:
    """Return a page of the events the caller may read, newest first."""
    return await read(session, cut_events(scope, args, wanted))


def cut_events(scope: Scope, args: PageArgs, wanted: EventFilter) -> Window:
    """Return the page of `list_events` before it is read."""
    return window(_meeting(scope, wanted), NEWEST, args)


def _meeting(scope: Scope, wanted: EventFilter) -> Select[Any]:
    named = (events.c.brand_id == wanted.brand_id, events.c.name == wanted.name)
    statement = select(events).where(readable(scope), *named)
    if wanted.occurred_at is not None:
        statement = statement.where(*within_times(events.c.occurred_at, wanted.occurred_at))
    if wanted.violating is not None:
        is_broken = events.c.violations.is_not(None)
        statement = statement.where(is_broken if wanted.violating else ~is_broken)
    return statement
