"""Every filter finds the fans that a plain reading of its words finds."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from domain.attributes.filters import AttributeFilter
from domain.attributes.models import FanAttribute
from domain.events.models import FanActivity, FanEvent
from domain.fans.filters import FanFilter
from domain.fans.models import Fan, Gender
from domain.fans.queries import list_fans
from domain.fans.sorts import FanSort
from domain.levels.models import FanLevel, Level
from domain.page import PageArgs
from domain.ranges import DecimalRange, IntRange, TimeRange
from domain.tables import table_of
from domain.tags.models import FanTag
from domain.tenancy.models import ChannelAccount
from tests.cast import EVERYTHING
from tests.world import START, World

fans, fan_tags, fan_attributes, events = (table_of(model) for model in (Fan, FanTag, FanAttribute, FanEvent))
EQUAL = ("brand_id", "dealer_id", "store_id", "gender", "province", "subscribed", "district", "source_account_id")
DAYS = [None, *(START + timedelta(days=n) for n in range(4))]
TIMES = ("last_followed_at", "last_order_at", "created_at")


@dataclass(frozen=True)
class Known:
    """What the fans have beside their rows."""

    carried: set[tuple[int, int]]
    shoes: dict[int, int]
    active: dict[int, datetime]
    shoe: dict[int, int]


async def vary(world: World) -> tuple[list[Any], Known]:
    """Give the fans different, and missing, properties; return them with what they have beside."""
    chance = random.Random(1)
    active: dict[int, datetime] = {}
    async with world.services.database.writing(EVERYTHING) as session:
        account = (await session.execute(select(table_of(ChannelAccount)))).one()
        for number in world.fans.values():
            fan = (await session.execute(select(fans).where(fans.c.id == number))).one()
            values: dict[str, Any] = {
                "province": chance.choice([None, "广东", "江苏"]),
                "gender": chance.choice(list(Gender)).value,
            }
            values |= {
                "nickname": chance.choice([None, "小明", "大明星", "Abby明"]),
                "district": chance.choice([None, "x"]),
            }
            values |= {name: chance.choice(DAYS) for name in TIMES[:2]} | {"created_at": chance.choice(DAYS[1:])}
            values |= chance.choice([{}, {"dealer_id": None, "store_id": None}])
            if fan.brand_id == account.brand_id:
                values["source_account_id"] = chance.choice([None, account.id])
            await session.execute(fans.update().where(fans.c.id == number).values(values))
            if newest := chance.choice(DAYS):
                active[number] = newest
                home = {"group_id": fan.group_id, "brand_id": fan.brand_id}
                await session.execute(
                    insert(table_of(FanActivity)).values(**home, fan_id=number, last_active_at=newest)
                )
                for moment in (newest, newest - timedelta(days=1)):
                    row = {**home, "fan_id": number, "name": "scan"}
                    await session.execute(insert(events).values(**row, occurred_at=moment, received_at=moment))
        rows = list(await session.execute(select(fans)))
        carried = {(row.fan_id, row.tag_id) for row in await session.execute(select(fan_tags))}
        some = list(await session.execute(select(fan_attributes).where(fan_attributes.c.fan_id % 3 > 0)))
        shoes = {row.fan_id: row.number for row in some}
        await session.execute(delete(fan_attributes).where(fan_attributes.c.fan_id.not_in(shoes)))
    shoe = {row.fan_id: row.attribute_id for row in some}
    return rows, Known(carried, shoes, active, shoe)


async def raise_some(world: World, rows: list[Any]) -> dict[int, int]:
    """Let every third fan stand on a level, two of each brand in turn; return the rank of each."""
    ranks: dict[int, int] = {}
    async with world.services.database.writing(EVERYTHING) as session:
        for place in sorted({(row.group_id, row.brand_id) for row in rows}):
            for rank in (1, 2):
                level = Level(group_id=place[0], brand_id=place[1], code=f"L{rank}", name="x", growth=rank, rank=rank)
                session.add(level)
                await session.flush()
                for row in (row for row in rows if row.brand_id == place[1] and row.id % 3 == rank):
                    session.add(
                        FanLevel(fan_id=row.id, group_id=place[0], brand_id=place[1], level_id=level.id, rank=rank)
                    )
                    ranks[row.id] = rank
    return ranks


def any_filter(chance: random.Random, rows: list[Any], known: Known, depth: int = 2) -> FanFilter:
    """Make a filter of one to three words, nested up to `depth`."""
    given: dict[str, Any] = {}
    for _ in range(chance.randint(1, 3)):
        word = chance.choice([*EQUAL, *TIMES, *_MAKERS, "and_", "or_", "not_"])
        if word in EQUAL:
            value = getattr(chance.choice(rows), word)
            given[word] = Gender(value) if word == "gender" else value
        elif word in _MAKERS:
            given[word] = _MAKERS[word](chance, known)
        elif word in TIMES:
            given[word] = _time_range(chance, known)
        elif depth and word == "not_":
            given[word] = any_filter(chance, rows, known, depth - 1)
        elif depth:
            given[word] = [any_filter(chance, rows, known, depth - 1) for _ in range(chance.randint(1, 2))]
    return FanFilter(**given)


def _time_range(chance: random.Random, known: Known) -> TimeRange:
    return TimeRange(since=chance.choice(DAYS), before=chance.choice(DAYS))


def _attributes(chance: random.Random, known: Known) -> list[AttributeFilter]:
    shoe = chance.choice(sorted(set(known.shoe.values())))
    size = DecimalRange(chance.choice([None, Decimal(37)]), chance.choice([None, Decimal(38)]))
    return [chance.choice([AttributeFilter(shoe, number=size), AttributeFilter(shoe, known=False)])]


_MAKERS: dict[str, Callable[[random.Random, Known], Any]] = {
    "tag_id": lambda chance, known: chance.choice(sorted({tag for _, tag in known.carried})),
    "spend": lambda chance, known: IntRange(gte=chance.choice([None, 2000]), lte=chance.choice([None, 3000])),
    "nickname": lambda chance, known: chance.choice(["小明", "明星", "bBY", "小红"]),
    "attributes": _attributes,
    "last_active_at": _time_range,
}


def lies(moment: datetime | None, wanted: TimeRange | None) -> bool:
    """Tell whether a moment lies in a range; one that is missing lies in none."""
    if wanted is None or wanted == TimeRange():
        return True
    since, before = wanted.since, wanted.before
    return moment is not None and (since is None or moment >= since) and (before is None or moment < before)


def has(fan: Any, wanted: AttributeFilter, known: Known) -> bool:
    """Tell whether a fan has what the filter says of an attribute."""
    number = known.shoes.get(fan.id) if known.shoe.get(fan.id) == wanted.attribute_id else None
    if wanted.known is not None:
        return (number is not None) == wanted.known
    assert wanted.number is not None
    low, high = wanted.number.gte, wanted.number.lte
    return number is not None and (low is None or number >= low * 10_000) and (high is None or number <= high * 10_000)


def meets(fan: Any, wanted: FanFilter, known: Known) -> bool:
    """Tell whether a fan is what the filter says."""
    said = [getattr(fan, name) == value for name in EQUAL if (value := getattr(wanted, name)) is not None]
    said += [lies(getattr(fan, name), getattr(wanted, name)) for name in TIMES]
    if wanted.last_active_at is not None:
        bare = wanted.last_active_at == TimeRange()
        said.append(fan.id in known.active if bare else lies(known.active.get(fan.id), wanted.last_active_at))
    if wanted.nickname is not None:
        said.append(wanted.nickname.lower() in (fan.nickname or "").lower())
    said += [has(fan, one, known) for one in wanted.attributes or []]
    if wanted.tag_id is not None:
        said.append((fan.id, wanted.tag_id) in known.carried)
    if wanted.spend is not None:
        said += [wanted.spend.gte is None or fan.spend >= wanted.spend.gte]
        said += [wanted.spend.lte is None or fan.spend <= wanted.spend.lte]
    said += [meets(fan, inner, known) for inner in wanted.and_ or []]
    if wanted.or_ is not None:
        said.append(any(meets(fan, inner, known) for inner in wanted.or_))
    if wanted.not_ is not None:
        said.append(not meets(fan, wanted.not_, known))
    return all(said)


async def test_a_filter_means_what_it_says_for_fans_with_gaps_too(world: World) -> None:
    rows, known = await vary(world)
    chance = random.Random(2)

    async with world.services.database.reading(EVERYTHING) as session:
        for _ in range(200):
            wanted = any_filter(chance, rows, known)
            found = await list_fans(session, EVERYTHING, world.services.vault, PageArgs(first=100), wanted=wanted)
            assert {row.id for row in found.rows} == {fan.id for fan in rows if meets(fan, wanted, known)}, wanted


async def test_a_fan_without_a_phone_is_not_one_with_that_phone(world: World) -> None:
    without = world.fans["g1/b1/d1#1"]
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(fans.update().where(fans.c.id == without).values(phone_hash=None, phone_cipher=None))
        wanted = FanFilter(not_=FanFilter(phone="13900009999"))

        found = await list_fans(session, EVERYTHING, world.services.vault, PageArgs(first=100), wanted=wanted)

    assert len(found.rows) == 20


@pytest.mark.parametrize("order", list(FanSort))
@pytest.mark.parametrize("size", [1, 3, 7])
async def test_a_sorted_list_shows_every_fan_once_and_who_has_no_such_moment_last(
    world: World, order: FanSort, size: int
) -> None:
    rows, drawn = await vary(world)
    name = order.value.removesuffix("_DESC").removesuffix("_ASC").lower()
    apart: dict[FanSort, dict[int, Any]] = {FanSort.LAST_ACTIVE_AT_DESC: drawn.active}
    if order is FanSort.LEVEL_DESC:
        apart[order] = await raise_some(world, rows)
    keys = {row.id: apart[order].get(row.id) if order in apart else getattr(row, name) for row in rows}
    known = [row for row in rows if keys[row.id] is not None]
    missing = [row for row in rows if keys[row.id] is None]
    falling = order.value.endswith("_DESC")
    wanted = [row.id for row in sorted(known, key=lambda row: (keys[row.id], row.id), reverse=falling)]
    wanted += [row.id for row in sorted(missing, key=lambda row: row.id, reverse=falling)]

    async with world.services.database.reading(EVERYTHING) as session:

        async def walk(**window: Any) -> Any:
            args = PageArgs(**window)
            return await list_fans(session, EVERYTHING, world.services.vault, args, order=order)

        there: list[int] = []
        back: list[int] = []
        cursor = None
        while cursor is not None or not there:
            page = await walk(first=size, after=cursor)
            there += [row.id for row in page.rows]
            cursor = page.cursors[-1] if page.has_next else None
        while cursor is not None or not back:
            page = await walk(last=size, before=cursor)
            back = [*(row.id for row in page.rows), *back]
            cursor = page.cursors[0] if page.has_previous else None

    assert there == wanted
    assert back == wanted
