"""Nicknames are found by any part of them, and what is kept to find them follows the nickname."""

import random
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert, select

from domain.errors import BadInput
from domain.fans.models import Fan
from domain.fans.names import FanNamePart, named
from domain.persons.models import Person
from domain.tables import table_of
from tests.cast import EVERYTHING
from tests.world import World

fans, parts, persons = table_of(Fan), table_of(FanNamePart), table_of(Person)
LETTERS = "小明王丽abAB Éé％_%哈"


async def found(session: Any, part: str) -> set[int]:
    return set((await session.execute(select(fans.c.id).where(named(EVERYTHING, part, "fan:read")))).scalars())


async def rename(session: Any, fan: int, nickname: str | None) -> None:
    await session.execute(fans.update().where(fans.c.id == fan).values(nickname=nickname))


def folded(text: str) -> str:
    return "".join(letter.lower() if "A" <= letter <= "Z" else letter for letter in text)


async def test_any_part_of_two_characters_or_more_finds_exactly_the_nicknames_that_hold_it(world: World) -> None:
    chance = random.Random(3)
    async with world.services.database.writing(EVERYTHING) as session:
        names = {
            number: "".join(chance.choices(LETTERS, k=chance.choice([1, 2, 3, 14, 25])))
            for number in world.fans.values()
        }
        for number, name in names.items():
            await rename(session, number, name)

        for _ in range(300):
            whole = chance.choice(list(names.values()))
            start = chance.randrange(len(whole))
            part = whole[start : start + chance.randint(2, 16)]
            if len(part) < 2:
                continue
            wanted = {number for number, name in names.items() if folded(part) in folded(name)}
            assert await found(session, chance.choice([part, part.swapcase() if part.isascii() else part])) == wanted


async def test_a_nickname_that_goes_is_not_found_any_more(world: World) -> None:
    one, other = world.fans["g1/b1/d1#1"], world.fans["g1/b1/d1#2"]
    async with world.services.database.writing(EVERYTHING) as session:
        await rename(session, one, "张三丰张三丰张三丰张三丰张三丰")
        before = await found(session, "三丰")
        await rename(session, one, "李四")
        await rename(session, other, None)
        left = (await session.execute(select(parts.c.part).where(parts.c.fan_id.in_([one, other])))).scalars().all()

        assert before == {one}
        assert left == ["李四"]


def new_person(fan: dict[str, Any]) -> dict[str, Any]:
    return {"group_id": fan["group_id"], "uid": uuid4(), "created_at": fan["created_at"]}


async def test_a_fan_that_goes_takes_its_parts_along(world: World) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        values = dict((await session.execute(select(fans).limit(1))).mappings().one())
        person = (
            await session.execute(insert(persons).values(**new_person(values)).returning(persons.c.id))
        ).scalar_one()
        await session.execute(
            insert(fans).values({**values, "id": 10_000, "person_id": person, "nickname": "独一无二"})
        )
        assert await found(session, "一无") == {10_000}

        await session.execute(delete(fans).where(fans.c.id == 10_000))

        assert (await session.execute(select(parts).where(parts.c.fan_id == 10_000))).all() == []


async def test_one_character_is_refused(world: World) -> None:
    with pytest.raises(BadInput, match="2 characters"):
        named(EVERYTHING, "明", "fan:read")
