"""Lists that look at what is near first show what they would show otherwise, wherever the page turns out to be."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from authz.permissions import PERMISSIONS
from domain import near
from domain.events.models import FanActivity, FanEvent
from domain.fans import names
from domain.fans.filters import FanFilter
from domain.fans.models import Gender
from domain.fans.nearby import nearby
from domain.fans.queries import list_fans
from domain.fans.sorts import FanSort
from domain.page import PageArgs
from domain.ranges import TimeRange
from domain.scope import Scope, TenantSet
from domain.tables import table_of
from tests.cast import EVERYTHING
from tests.domain.test_fan_filters import DAYS, Known, meets, raise_some, vary
from tests.world import START, World


def scopes(rows: list[Any]) -> list[Scope]:
    one = next(row for row in rows if row.dealer_id is not None)
    other = next(row for row in rows if row.brand_id != one.brand_id and row.group_id == one.group_id)
    far = next(row for row in rows if row.dealer_id not in {None, one.dealer_id} and row.group_id == one.group_id)
    group = frozenset({one.group_id})
    dealers = TenantSet(above_groups=group, above_brands=frozenset({one.brand_id}))
    sets = (
        TenantSet(groups=group, above_groups=group),
        TenantSet(groups=group, above_groups=group, barred=frozenset({("dealer_id", one.dealer_id)})),
        TenantSet(brands=frozenset({one.brand_id}), above_groups=group),
        TenantSet(brands=frozenset({one.brand_id, other.brand_id}), above_groups=group),
        replace(dealers, dealers=frozenset({one.dealer_id})),
        TenantSet(
            dealers=frozenset({one.dealer_id, far.dealer_id}),
            above_groups=group,
            above_brands=frozenset({one.brand_id, far.brand_id}),
        ),
    )
    return [Scope("test", one.group_id, dict.fromkeys(PERMISSIONS, nodes)) for nodes in sets]


def any_wanted(chance: random.Random, rows: list[Any]) -> FanFilter | None:
    if chance.random() < 0.2:
        return None
    first, last = sorted(chance.sample(range(1, len(DAYS)), 2))
    given: dict[str, Any] = {
        "nickname": chance.choice([None, "明星", "小明", "bb"]),
        "last_active_at": chance.choice([None, TimeRange(DAYS[first], DAYS[last]), TimeRange(since=DAYS[first])]),
        "gender": chance.choice([None, None, *Gender]),
        "dealer_id": chance.choice([None, None, *(row.dealer_id for row in rows)]),
        "brand_id": chance.choice([None, None, *(row.brand_id for row in rows)]),
        "not_": chance.choice([None, None, FanFilter(nickname="小明")]),
        "or_": chance.choice([None, None, [FanFilter(nickname="明星"), FanFilter(gender=Gender.MALE)]]),
    }
    return FanFilter(**given)


def sorted_by(order: FanSort, rows: list[Any], known: Known, ranks: dict[int, int]) -> list[int]:
    name = order.value.removesuffix("_DESC").removesuffix("_ASC").lower()
    apart: dict[FanSort, dict[int, Any]] = {FanSort.LAST_ACTIVE_AT_DESC: known.active, FanSort.LEVEL_DESC: ranks}
    keys = {row.id: apart[order].get(row.id) if order in apart else getattr(row, name) for row in rows}
    falling = order.value.endswith("_DESC")
    there = sorted((row.id for row in rows if keys[row.id] is not None), key=lambda i: (keys[i], i), reverse=falling)
    return there + sorted((row.id for row in rows if keys[row.id] is None), reverse=falling)


async def walked(
    world: World, scope: Scope, wanted: FanFilter | None, order: FanSort, way: str, size: int
) -> list[int]:
    """Return the list as its pages show it: from its beginning by `first`, from its end by `last`."""
    met: list[int] = []
    cursor, more = None, True
    async with world.services.database.reading(scope) as session:
        while more:
            window: Any = {way: size, "after" if way == "first" else "before": cursor}
            args = PageArgs(**window)
            page = await list_fans(session, scope, world.services.vault, args, wanted=wanted, order=order)
            ids = [row.id for row in page.rows]
            met += ids if way == "first" else ids[::-1]
            more = page.has_next if way == "first" else page.has_previous
            cursor = page.cursors[-1 if way == "first" else 0] if more else None
    return met


@pytest.mark.parametrize("rows_near, quickly", [(1, 0), (4, 1), (5000, 0), (5000, 3000)])
async def test_every_page_there_and_back_is_the_lists_own(
    world: World, monkeypatch: pytest.MonkeyPatch, rows_near: int, quickly: int
) -> None:
    monkeypatch.setattr(near, "ROWS", rows_near)
    monkeypatch.setattr(names, "QUICKLY", quickly)
    rows, known = await vary(world)
    ranks = await raise_some(world, rows)
    chance, looked = random.Random(rows_near + quickly), 0

    for scope in scopes(rows) * 3:
        for order in FanSort:
            wanted, size = any_wanted(chance, rows), chance.choice([1, 2, 5])
            looked += nearby(scope, wanted, order) is not None
            mine = [row for row in rows if scope.holds("fan:read", row) and (not wanted or meets(row, wanted, known))]

            there = await walked(world, scope, wanted, order, "first", size)
            back = await walked(world, scope, wanted, order, "last", size)

            assert there == sorted_by(order, mine, known, ranks), (order, wanted, scope.reach)
            assert back == there[::-1]

    assert looked > len(FanSort) * 5


async def test_a_range_that_cuts_a_minute_asks_the_events_of_it(world: World) -> None:
    fan = world.fans["g1/b1/d1#1"]
    newest = START + timedelta(days=2, seconds=20)
    async with world.services.database.writing(EVERYTHING) as session:
        home = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"], "fan_id": fan}
        minute = newest.replace(second=0, microsecond=0)
        await session.execute(insert(table_of(FanActivity)).values(**home, last_active_at=minute))
        for moment in (newest, newest - timedelta(seconds=15)):
            row = {**home, "name": "scan", "occurred_at": moment, "received_at": moment}
            await session.execute(insert(table_of(FanEvent)).values(row))

        async def found(since: datetime | None, before: datetime | None) -> bool:
            wanted = FanFilter(last_active_at=TimeRange(since, before))
            args = PageArgs(first=10)
            page = await list_fans(session, EVERYTHING, world.services.vault, args, wanted=wanted)
            return [row.id for row in page.rows] == [fan]

        second = timedelta(seconds=1)
        assert await found(newest, None)
        assert not await found(newest + second, None)
        assert not await found(None, newest)
        assert await found(None, newest + second)
        assert await found(newest - second, newest + second)
        assert not await found(newest - 10 * second, newest - second)
