"""When fans were last active: kept in the transaction that stores their events, and moved with them."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk
from domain.events.models import FanActivity, FanEvent
from domain.fans.models import Fan
from domain.places import within
from domain.ranges import TimeRange, within_times
from domain.scope import Scope
from domain.tables import table_of
from domain.tenancy.models import Brand

if TYPE_CHECKING:
    from domain.events.arrivals import Arrival

PERMISSION = "event:read"
MINUTE = timedelta(minutes=1)
activity, events, fans = table_of(FanActivity), table_of(FanEvent), table_of(Fan)


async def arrived(session: AsyncSession, brand: Brand, arrivals: Sequence["Arrival"]) -> None:
    """Move fans on to their newest event, those alone whom it moves: late events change nothing."""
    newest: dict[int, datetime] = {}
    for arrival in arrivals:
        known = newest.get(arrival.fan_id)
        if known is None or arrival.occurred_at > known:
            newest[arrival.fan_id] = arrival.occurred_at
    # in one order for all, so that two transactions wait for each other and do not deadlock
    ids = sorted(newest)
    moments = [to_the_minute(newest[fan_id]) for fan_id in ids]
    shared = {"group_id": brand.group_id, "brand_id": brand.id}
    rows = bulk.Bulk(activity, shared, {"fan_id": ids, "last_active_at": moments})
    await bulk.raise_to(session, rows, "last_active_at")


def to_the_minute(moment: datetime) -> datetime:
    """Cut a moment to the minute it lies in."""
    return moment.replace(second=0, microsecond=0)


async def last_active_by_fan(session: AsyncSession, scope: Scope, fan_ids: Iterable[int]) -> dict[int, datetime]:
    """Return when each fan was last active, of those whose events the caller may read and who have any."""
    mine = (activity.c.fan_id.in_(sorted(set(fan_ids))), scope.where(PERMISSION, fans))
    statement = select(activity.c.fan_id, activity.c.last_active_at).join(fans, fans.c.id == activity.c.fan_id)
    return {row.fan_id: row.last_active_at for row in await session.execute(statement.where(*mine))}


def last_active(scope: Scope, wanted: TimeRange) -> Select[Any]:
    """Select the ids of fans whose newest event was in the range, of the places that the caller may read fans of."""
    return select(activity.c.fan_id).where(*within(scope, "fan:read", activity), *lately(wanted))


def lately(wanted: TimeRange) -> list[ColumnElement[bool]]:
    """Build the condition on a fan's activity that their newest event was in the range."""
    since = None if wanted.since is None else to_the_minute(wanted.since)
    return [*within_times(activity.c.last_active_at, TimeRange(since, wanted.before)), *_cut_minutes(wanted)]


def _cut_minutes(wanted: TimeRange) -> list[ColumnElement[bool]]:
    """Build the condition on those of a minute that the range cuts: there the event itself decides."""
    at, parts = activity.c.last_active_at, list[ColumnElement[bool]]()
    if wanted.since is not None and (start := to_the_minute(wanted.since)) != wanted.since:
        parts.append(or_(at > start, _events(wanted.since, _end(start))))
    if wanted.before is not None and (start := to_the_minute(wanted.before)) != wanted.before:
        parts.append(or_(at < start, not_(_events(wanted.before, _end(start)))))
    return parts


def _end(minute: datetime) -> datetime | None:
    # after the last minute that can be written there is no moment
    return minute + MINUTE if minute < datetime.max.replace(tzinfo=minute.tzinfo) - MINUTE else None


def _events(since: datetime, before: datetime | None) -> ColumnElement[bool]:
    own = (events.c.fan_id == activity.c.fan_id, *within_times(events.c.occurred_at, TimeRange(since, before)))
    return select(events.c.id).where(*own).correlate(activity).exists()
