"""What fans do: taking events in, what they are defined as, and reading them."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authz.viewer import FanViewer
from domain.access.rules import Node
from domain.batches import MAX_ROWS, Problem
from domain.errors import BadInput, Conflict, NotFound
from domain.events import activity, counters, definitions, follows, queries
from domain.events.definitions import NewDefinition
from domain.events.ingest import EventOutcome, EventResult, Sender, track
from domain.events.models import EventDefinition, FanEvent, Follow
from domain.events.queries import EventFilter
from domain.events.rules import EventContent, EventInput
from domain.fans.models import Fan
from domain.fans.queries import fans_by_id
from domain.ids import BrandId, EventDefinitionId
from domain.inputs import said
from domain.page import Page, PageArgs, Window
from domain.tenancy.models import Brand
from domain.tenancy.queries import brands_by_id
from resolvers.context import Context

WRITE, OWN = "event:write", "me:write"
TRIES = 3
MAX_DAYS = 3660


@dataclass(frozen=True)
class EventBatch:
    """Events (at most 250) of one brand."""

    brand_id: BrandId = said("The brand.")
    events: list[EventInput] = said("The events, 1 to 250.")


@dataclass(frozen=True)
class OwnEventBatch:
    """Events (at most 250) of the fan who asks."""

    events: list[EventContent] = said("The events, 1 to 250.")


@dataclass(frozen=True)
class TrackedRow:
    """What came of one event, with the event where it was stored."""

    index: int
    outcome: EventOutcome
    event: FanEvent | None
    clamped: bool
    violations: list[Problem]
    problems: list[Problem]


async def track_events(context: Context, input: EventBatch) -> dict[str, Any]:
    """Store what fans of a brand did; each event has its own outcome, and sent again it counts once."""
    results = await store_events(context, input.brand_id, input.events, most=MAX_ROWS)
    async with context.reading() as session:
        stored = [result.id for result in results if result.id is not None]
        found = await queries.events_by_id(session, context.scope, stored)
    return {"results": [_row(result, found.get(result.id or 0)) for result in results]}


async def track_my_events(context: Context, input: OwnEventBatch) -> dict[str, Any]:
    """Store what the caller did, as their own device sees it."""
    results = await store_events(context, None, input.events, most=MAX_ROWS)
    return {"results": [_row(result, None) for result in results]}


def _row(result: EventResult, event: FanEvent | None) -> TrackedRow:
    return TrackedRow(result.index, result.outcome, event, result.clamped, result.violations, result.problems)


async def store_events(
    context: Context, brand_id: int | None, batch: Sequence[EventContent], *, most: int
) -> list[EventResult]:
    """Store a batch of a brand, or of the fan who asks, durably. It is tried again where others were in its way."""
    if not 1 <= len(batch) <= most:
        raise BadInput(f"events takes 1 to {most} rows.", field=("input", "events"))
    for attempt in range(TRIES):
        try:
            return await _store(context, brand_id, batch)
        except Conflict:
            if attempt == TRIES - 1:
                raise
            await asyncio.sleep(random.uniform(0.01, 0.05) * 4**attempt)  # noqa: S311 (only to come apart)
    raise Conflict


async def _store(context: Context, brand_id: int | None, batch: Sequence[EventContent]) -> list[EventResult]:
    viewer = context.viewer
    own = viewer.fan_id if isinstance(viewer, FanViewer) else None
    async with context.transaction() as session:
        brand = await _brand(context, session, viewer.brand_id if isinstance(viewer, FanViewer) else brand_id)
        return await track(session, context.services.vault, brand, batch, Sender(viewer.principal, own))


async def _brand(context: Context, session: Any, brand_id: int | None, permission: str = WRITE) -> Brand:
    wanted = brand_id or 0
    brand = (await brands_by_id(session, context.scope, [wanted])).get(wanted)
    is_own = isinstance(context.viewer, FanViewer)
    if brand is None or not (is_own or context.scope.holds(permission, Node(brand.group_id, brand.id))):
        raise NotFound("No such brand.", field=("input", "brandId"))
    return brand


async def list_events(context: Context, *, page: PageArgs, filter: EventFilter) -> Page[FanEvent]:
    """List a brand's events of one name, newest first."""
    async with context.reading() as session:
        return await queries.list_events(session, context.scope, page, filter)


def cut_events(context: Context, *, page: PageArgs, filter: EventFilter) -> Window:
    """Return the page of `list_events` before it is read."""
    return queries.cut_events(context.scope, page, filter)


async def list_event_definitions(
    context: Context, *, page: PageArgs, brand_id: BrandId | None = None
) -> Page[EventDefinition]:
    """List the event definitions of the brands the caller may read events of."""
    async with context.reading() as session:
        return await definitions.list_definitions(session, context.scope, page, brand_id)


def cut_event_definitions(context: Context, *, page: PageArgs, brand_id: BrandId | None = None) -> Window:
    """Return the page of `list_event_definitions` before it is read."""
    return definitions.cut_definitions(context.scope, page, brand_id)


async def define_event(context: Context, input: NewDefinition) -> dict[str, Any]:
    """Say what a brand's events of one name carry; said again, it replaces what was said before."""
    async with context.transaction() as session:
        brand = await _brand(context, session, input.brand_id, definitions.WRITE)
        made = await definitions.define(session, context.viewer.principal, brand, input)
        found = await definitions.definitions_by_id(session, context.scope, [made], definitions.WRITE)
        return {"definition": found.get(made)}


@dataclass(frozen=True)
class DefinitionRef:
    """An event definition."""

    definition_id: EventDefinitionId = said("The definition.")


async def remove_event_definition(context: Context, input: DefinitionRef) -> dict[str, Any]:
    """Forget an event definition; what was stored under it stays, and its events are not taken any more."""
    async with context.transaction() as session:
        scope, wanted = context.scope, input.definition_id
        found = (await definitions.definitions_by_id(session, scope, [wanted], definitions.WRITE)).get(wanted)
        if found is None:
            raise NotFound(field=("input", "definitionId"))
        await definitions.remove(session, context.viewer.principal, found)
        return {"removed_id": found.id}


async def fans_of(context: Context, events: Sequence[Any]) -> Sequence[Fan | None]:
    """The fan who did it, where the caller may see them."""
    async with context.reading() as session:
        found = await fans_by_id(session, context.scope, {event.fan_id for event in events})
    return [found.get(event.fan_id) for event in events]


async def follows_of(context: Context, fans: Sequence[Fan], *, first: int = 20) -> Sequence[list[Follow]]:
    """When they followed and when they left, newest first."""
    readable = [fan.id for fan in fans if context.scope.holds(queries.PERMISSION, fan)]
    async with context.reading() as session:
        found = await follows.follows_by_fan(session, readable, first)
    return [found.get(fan.id, []) for fan in fans]


async def last_active_of(context: Context, fans: Sequence[Fan]) -> Sequence[datetime | None]:
    """When their newest event was, to the minute; null where they have none."""
    async with context.reading() as session:
        found = await activity.last_active_by_fan(session, context.scope, [fan.id for fan in fans])
    return [found.get(fan.id) for fan in fans]


async def event_counts_of(
    context: Context, fans: Sequence[Fan], *, name: str, within_days: int
) -> Sequence[int | None]:
    """How often they did this within so many natural days of the brand, of which today is one (1 to 3660)."""
    if not 1 <= within_days <= MAX_DAYS:
        raise BadInput(f"withinDays must be between 1 and {MAX_DAYS}.", field=("withinDays",))
    readable = [fan for fan in fans if context.scope.holds(queries.PERMISSION, fan)]
    if not readable:
        return [None] * len(fans)
    async with context.reading() as session:
        since = await counters.first_days(session, {fan.brand_id for fan in readable}, within_days)
        found = await counters.counts_since(session, [(fan.id, since[fan.brand_id]) for fan in readable], name)
    shown = {fan.id: found.get(fan.id, 0) for fan in readable}
    return [shown.get(fan.id) for fan in fans]
