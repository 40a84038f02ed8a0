"""Every filter finds the fans that a plain reading of its words finds."""

import random
from typing import Any

from sqlalchemy import select

from domain.fans.filters import FanFilter
from domain.fans.models import Fan, Gender
from domain.fans.queries import list_fans
from domain.page import PageArgs
from domain.ranges import IntRange
from domain.tables import table_of
from domain.tags.models import FanTag
from tests.cast import EVERYTHING
from tests.world import World

fans, fan_tags = table_of(Fan), table_of(FanTag)
EQUAL = ("brand_id", "dealer_id", "store_id", "gender", "province", "subscribed")


async def vary(world: World) -> tuple[list[Any], set[tuple[int, int]]]:
    """Give the fans different, and missing, properties; return them with the tags they carry."""
    chance = random.Random(1)
    async with world.services.database.writing(EVERYTHING) as session:
        for number in world.fans.values():
            values = {"province": chance.choice([None, "广东", "江苏"]), "gender": chance.choice(list(Gender)).value}
            values |= chance.choice([{}, {"dealer_id": None, "store_id": None}])
            await session.execute(fans.update().where(fans.c.id == number).values(values))
        rows = list(await session.execute(select(fans)))
        carried = {(row.fan_id, row.tag_id) for row in await session.execute(select(fan_tags))}
    return rows, carried


def any_filter(chance: random.Random, rows: list[Any], tags: list[int], depth: int = 2) -> FanFilter:
    """Make a filter of one to three words, nested up to `depth`."""
    given: dict[str, Any] = {}
    for _ in range(chance.randint(1, 3)):
        word = chance.choice([*EQUAL, "tag_id", "spend", "and_", "or_", "not_"])
        if word in EQUAL:
            value = getattr(chance.choice(rows), word)
            given[word] = Gender(value) if word == "gender" else value
        elif word == "tag_id":
            given[word] = chance.choice(tags)
        elif word == "spend":
            given[word] = IntRange(gte=chance.choice([None, 2000]), lte=chance.choice([None, 3000]))
        elif depth and word == "not_":
            given[word] = any_filter(chance, rows, tags, depth - 1)
        elif depth:
            given[word] = [any_filter(chance, rows, tags, depth - 1) for _ in range(chance.randint(1, 2))]
    return FanFilter(**given)


def meets(fan: Any, wanted: FanFilter, carried: set[tuple[int, int]]) -> bool:
    """Tell whether a fan is what the filter says."""
    said = [getattr(fan, name) == value for name in EQUAL if (value := getattr(wanted, name)) is not None]
    if wanted.tag_id is not None:
        said.append((fan.id, wanted.tag_id) in carried)
    if wanted.spend is not None:
        said += [wanted.spend.gte is None or fan.spend >= wanted.spend.gte]
        said += [wanted.spend.lte is None or fan.spend <= wanted.spend.lte]
    said += [meets(fan, inner, carried) for inner in wanted.and_ or []]
    if wanted.or_ is not None:
        said.append(any(meets(fan, inner, carried) for inner in wanted.or_))
    if wanted.not_ is not None:
        said.append(not meets(fan, wanted.not_, carried))
    return all(said)


async def test_a_filter_means_what_it_says_for_fans_with_gaps_too(world: World) -> None:
    rows, carried = await vary(world)
    chance = random.Random(2)

    async with world.services.database.reading(EVERYTHING) as session:
        for _ in range(200):
            wanted = any_filter(chance, rows, sorted({tag for _, tag in carried}))
            found = await list_fans(session, EVERYTHING, world.services.vault, PageArgs(first=100), wanted=wanted)
            assert {row.id for row in found.rows} == {fan.id for fan in rows if meets(fan, wanted, carried)}, wanted


async def test_a_fan_without_a_phone_is_not_one_with_that_phone(world: World) -> None:
    without = world.fans["g1/b1/d1#1"]
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(fans.update().where(fans.c.id == without).values(phone_hash=None, phone_cipher=None))
        wanted = FanFilter(not_=FanFilter(phone="13900009999"))

        found = await list_fans(session, EVERYTHING, world.services.vault, PageArgs(first=100), wanted=wanted)

    assert len(found.rows) == 20
