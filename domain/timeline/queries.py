"""Reads of the timeline, and of what fans did lately."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Subquery,
    and_,
    case,
    column,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.columns import BigInt, UtcDateTime
from domain.events.models import EventCount
from domain.fans.models import Fan
from domain.page import Frame, Page, PageArgs, Sort, Window, after_key, directed, framed, read
from domain.ranges import TimeRange, within_times
from domain.scope import Scope
from domain.tables import table_of
from domain.tags.models import Tag
from domain.tenancy.models import Brand
from domain.timeline.sources import SAID, Source, TimelineKind, readable

counts, brands, tags = table_of(EventCount), table_of(Brand), table_of(Tag)
_KEY = (column("at", UtcDateTime()), column("rank", Integer()), column("id", BigInt))
# of the subquery of this name
_PAGE = [
    literal_column(f"page.{name}", kind).label(name)
    for name, kind in {**{str(one.key): one.type for one in _KEY}, **SAID}.items()
]
_TAG = next(place for place, one in enumerate(_PAGE) if one.key == "tag_id")
NEWEST = Sort("timeline", _KEY, descending=True)
WINDOWS = (1, 7, 30)


async def list_timeline(
    session: AsyncSession,
    scope: Scope,
    fan: Fan,
    args: PageArgs,
    kinds: frozenset[TimelineKind],
    at: TimeRange | None,
    *,
    own: bool = False,
) -> Page[Any]:
    """Return a page of what happened to a fan, who was read under the scope, in one statement.

    Each source gives at most a page of rows, from one range of its index; the newest of them all are the page.
    """
    frame, key = framed(NEWEST, args)
    sources = readable(scope, fan, kinds, own=own)
    if not sources:
        return Page([], [], False, False, select(literal(1)).where(literal(False)))  # noqa: FBT003 (positional there)
    bounds = [(source, [*held, *([] if at is None else within_times(source.at, at))]) for source, held in sources]
    arms = [_all_of(_arm(source, fan.id, held, frame, key).subquery()) for source, held in bounds]
    return await read(session, Window(_merged(arms, frame), frame, _whole(fan.id, bounds)))


def _arm(
    source: Source, fan_id: int, held: Sequence[ColumnElement[bool]], frame: Frame, key: Sequence[Any] | None
) -> Select[Any]:
    columns = (source.at, source.table.c.id)
    beyond = [] if key is None else [_beyond(source, key, descending=frame.descending)]
    directed = [one.desc() if frame.descending else one.asc() for one in columns]
    return source.rows(fan_id, *held, *beyond).order_by(*directed).limit(frame.size + 1)


def _beyond(source: Source, key: Sequence[Any], *, descending: bool) -> ColumnElement[bool]:
    """Build the condition that a row of the source comes after the key, whose rank may be another source's."""
    at, rank, number = literal(key[0], UtcDateTime()), key[1], literal(key[2], BigInt)
    if source.rank == rank:
        beyond: ColumnElement[bool] = after_key((source.at, source.table.c.id), (at, number), descending=descending)
        return beyond
    comes_later = (source.rank < rank) == descending
    if descending:
        return source.at <= at if comes_later else source.at < at
    return source.at >= at if comes_later else source.at > at


def _merged(arms: Sequence[Select[Any]], frame: Frame) -> Select[Any]:
    order = directed(_PAGE[: len(_KEY)], descending=frame.descending)
    page = _all_of(union_all(*arms).subquery("page")).order_by(*order).limit(frame.size + 1).subquery("page")
    # the page is cut before tags are named, so that no more of them are
    named = page.outerjoin(tags, tags.c.id == _PAGE[_TAG])
    return select(*_PAGE, tags.c.name.label("tag_name")).select_from(named).order_by(*order)


def _all_of(rows: Subquery) -> Select[Any]:
    # not its columns one by one: for each of them an object is made, at each of three levels of six sources
    return select(literal_column("*")).select_from(rows)


def _whole(fan_id: int, bounds: Sequence[tuple[Source, list[ColumnElement[bool]]]]) -> Callable[[], Select[Any]]:
    return lambda: select(union_all(*(source.rows(fan_id, *held) for source, held in bounds)).subquery().c.id)


@dataclass(frozen=True)
class NameCount:
    """How often something was done."""

    name: str
    count: int


@dataclass(frozen=True)
class Activity:
    """What a fan did within some natural days of their brand, today among them."""

    days: int
    count: int
    names: Sequence[NameCount]


async def activity_by_fan(session: AsyncSession, fans: Sequence[Fan]) -> dict[int, list[Activity]]:
    """Return what fans, who were read under the scope, did in the last 1, 7 and 30 days, in two statements."""
    zones = select(brands.c.id, brands.c.time_zone).where(brands.c.id.in_({fan.brand_id for fan in fans}))
    now = clock.now()
    today = {row.id: now.astimezone(ZoneInfo(row.time_zone)).date() for row in await session.execute(zones)}
    found: dict[int, dict[int, dict[str, int]]] = {}
    for row in await session.execute(_counted([fan.id for fan in fans], today)) if today else ():
        for days in WINDOWS:
            if days >= row.days:
                names = found.setdefault(row.fan_id, {}).setdefault(days, {})
                names[row.name] = names.get(row.name, 0) + row.times
    return {fan.id: [_activity(days, found.get(fan.id, {}).get(days, {})) for days in WINDOWS] for fan in fans}


def _counted(fan_ids: Sequence[int], today: Mapping[int, date]) -> Select[Any]:
    """Select how often each fan did what, by the least window the day lies in."""
    since = {days: _since(today, days) for days in WINDOWS}
    window = case((since[1], 1), (since[7], 7), else_=30).label("days")
    columns = (counts.c.fan_id, counts.c.name, window)
    return (
        select(*columns, func.sum(counts.c.count).label("times"))
        .where(counts.c.fan_id.in_(sorted(set(fan_ids))), since[30])
        .group_by(*columns)
    )


def _since(today: Mapping[int, date], days: int) -> ColumnElement[bool]:
    return or_(
        *(
            and_(counts.c.brand_id == brand_id, counts.c.day > day - timedelta(days=days))
            for brand_id, day in today.items()
        )
    )


def _activity(days: int, names: Mapping[str, int]) -> Activity:
    ordered = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    return Activity(days, sum(names.values()), [NameCount(*one) for one in ordered])
