"""What is busy now, read off the counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock, reads
from domain.live.models import HotKind
from domain.live.service import hot_counts
from domain.scope import Scope

PERMISSION = "event:read"
# a longer window is shown by the hour
MINUTE_STEPS_UP_TO = 180


@dataclass(frozen=True)
class HotItem:
    """An item that events name, and how many did within the window."""

    brand_id: int
    kind: HotKind
    item: str
    count: int
    since: datetime
    by_minute: bool

    @property
    def account_id(self) -> int | None:
        """The channel account, where the item is one."""
        return int(self.item) if self.kind is HotKind.CHANNEL else None


@dataclass(frozen=True)
class HotPoint:
    """How many events named the item within one minute, or one hour, from a moment on."""

    at: datetime
    count: int


async def list_hot_items(
    session: AsyncSession, scope: Scope, brand_id: int, kind: HotKind, minutes: int, first: int
) -> list[HotItem]:
    """Return the items named most in the last minutes, this one included, the busiest first."""
    since = clock.now().replace(second=0, microsecond=0) - timedelta(minutes=minutes - 1)
    total = func.sum(hot_counts.c.count)
    found = await session.execute(
        select(hot_counts.c.item, total)
        .where(*_within(scope, brand_id, kind, since))
        .group_by(hot_counts.c.item)
        .order_by(total.desc(), hot_counts.c.item)
        .limit(first)
    )
    by_minute = minutes <= MINUTE_STEPS_UP_TO
    return [HotItem(brand_id, kind, item, int(count), since, by_minute) for item, count in found]


async def points_by_item(
    session: AsyncSession, scope: Scope, items: Sequence[HotItem]
) -> dict[tuple[int, HotKind, datetime, str], list[HotPoint]]:
    """Return each item's counts by the minute or the hour, oldest first, without those that are nought."""
    found: dict[tuple[int, HotKind, datetime, str], list[HotPoint]] = {}
    asked = reads.grouped(items, lambda item: (item.brand_id, item.kind, item.since, item.by_minute))
    for (brand_id, kind, since, by_minute), wanted in asked.items():
        step = _step(session, by_minute=by_minute)
        statement = (
            select(hot_counts.c.item, step, func.sum(hot_counts.c.count))
            .where(*_within(scope, brand_id, kind, since), hot_counts.c.item.in_([one.item for one in wanted]))
            .group_by(hot_counts.c.item, step)
            .order_by(hot_counts.c.item, step)
        )
        for item, at, count in await session.execute(statement):
            found.setdefault((brand_id, kind, since, item), []).append(HotPoint(_moment(at), int(count)))
    return found


def _within(scope: Scope, brand_id: int, kind: HotKind, since: datetime) -> tuple[ColumnElement[bool], ...]:
    mine = (hot_counts.c.brand_id == brand_id, hot_counts.c.kind == kind, hot_counts.c.minute >= since)
    return (*mine, scope.where(PERMISSION, hot_counts))


def _step(session: AsyncSession, *, by_minute: bool) -> ColumnElement[Any]:
    if by_minute:
        return hot_counts.c.minute
    if session.get_bind().dialect.name == "postgresql":
        return func.date_trunc("hour", hot_counts.c.minute)
    return func.strftime("%Y-%m-%dT%H:00:00", hot_counts.c.minute)


def _moment(found: Any) -> datetime:
    return datetime.fromisoformat(found).replace(tzinfo=UTC) if isinstance(found, str) else found
