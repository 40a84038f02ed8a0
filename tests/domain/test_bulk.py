"""Values come back as they were sent by the column, whatever way they went."""

import math
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from domain import bulk
from domain.bulk import Bulk
from domain.events.models import EventCount, FanActivity, FanEvent
from domain.persons.models import Identity
from domain.tables import table_of
from tests.cast import EVERYTHING
from tests.world import World

events, counts, identities = table_of(FanEvent), table_of(EventCount), table_of(Identity)
activity = table_of(FanActivity)
NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
TEXTS = [
    "",
    "NULL",
    "null",
    None,
    '"',
    "\\",
    "{a,b}",
    "'; --",
    "王\u2028",
    "a\nb\t",
    "None",
    " x ",
    "\U0001f600",
    "[1]",
]
PROPERTIES: list[Any] = [
    *({}, {"a": None}, {"a": "null"}, {"n": 1}, {"n": 1.0}, {"n": True}, {"n": "1"}, {"s": '{"x": "\\n"}'}),
    *({"l": [1, [2]]}, {"n": 2**53}, {"n": -0.5}, {"b": False}, {"k": {"k": {}}}, {"t": "王"}),
]
VIOLATIONS: list[Any] = [None, [], ["a"], [None], [0], [False], ["null"], None, [{}], [1.5], None, [""], ["{}"], None]


def sample(world: World, size: int = len(TEXTS)) -> Bulk:
    """Return events with what is likely to be taken for something else."""
    ids = [None if n % 3 == 0 else n * 2**40 for n in range(size)]
    at = [NOW.replace(microsecond=n) for n in range(size)]
    shared = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"], "fan_id": world.fans["g1/b1/d1#1"]}
    columns: dict[str, list[Any]] = {
        "name": [f"n{n}" for n in range(size)],
        "occurred_at": at,
        "received_at": at,
        "content": TEXTS[:size],
        "account_id": ids,
        "clamped": [n % 2 == 0 for n in range(size)],
        "properties": PROPERTIES[:size],
        "violations": VIOLATIONS[:size],
    }
    return Bulk(events, shared, columns)


@pytest.mark.parametrize("size", [1, len(TEXTS)])
async def test_what_is_inserted_comes_back_as_it_was(world: World, size: int) -> None:
    sent = sample(world, size)
    async with world.services.database.writing(EVERYTHING) as session:
        ids = await bulk.insert_all(session, sent)
    async with world.services.database.reading(EVERYTHING) as session:
        mine = select(events).where(events.c.id.in_(ids)).order_by(events.c.id)
        rows = (await session.execute(mine)).mappings().all()

    assert ids == sorted(ids)
    assert [{name: row[name] for name in sent.columns} for row in rows] == [
        {name: values[n] for name, values in sent.columns.items()} for n in range(size)
    ]
    assert [repr(row["properties"]) for row in rows] == [repr(one) for one in PROPERTIES[:size]]


async def test_absent_lists_are_null_and_not_a_json_null(world: World) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        ids = await bulk.insert_all(session, sample(world))
        absent = select(events.c.id).where(events.c.id.in_(ids), events.c.violations.is_(None))
        assert len((await session.execute(absent)).all()) == VIOLATIONS.count(None)


async def test_sums_grow_by_fan_name_and_day(world: World) -> None:
    shared = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"]}
    fans = [world.fans["g1/b1/d1#1"], world.fans["g1/b1/d1#2"]]
    days, names = [date(2026, 3, 1), date(1999, 12, 31)], ["sum{", 'sum"']
    for _ in range(2):
        async with world.services.database.writing(EVERYTHING) as session:
            columns: dict[str, list[Any]] = {"fan_id": fans, "name": names, "day": days, "count": [2, math.comb(5, 2)]}
            await bulk.add_up(session, Bulk(counts, shared, columns), "count")

    async with world.services.database.reading(EVERYTHING) as session:
        mine = select(counts.c.day, counts.c.count).where(counts.c.name.in_(names)).order_by(counts.c.count)
        assert [tuple(row) for row in await session.execute(mine)] == [(days[0], 4), (days[1], 20)]


async def test_values_rise_and_never_fall(world: World) -> None:
    shared = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"]}
    one, other = world.fans["g1/b1/d1#1"], world.fans["g1/b1/d1#2"]
    early, middle, late = (datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3))
    found = []
    for moments in ((middle, middle), (late, early), (early, late), (late, late)):
        async with world.services.database.writing(EVERYTHING) as session:
            columns: dict[str, list[Any]] = {"fan_id": [one, other], "last_active_at": list(moments)}
            await bulk.raise_to(session, Bulk(activity, shared, columns), "last_active_at")
        async with world.services.database.reading(EVERYTHING) as session:
            rows = await session.execute(select(activity.c.last_active_at).order_by(activity.c.fan_id))
            found.append(tuple(rows.scalars()))

    assert found == [(middle, middle), (late, middle), (late, late), (late, late)]


async def test_too_long_a_text_is_refused_and_equals_none_that_is_cut(world: World) -> None:
    if world.services.database.dialect == "sqlite":
        pytest.skip("SQLite knows no lengths")
    sent = sample(world, 2)
    long = {"name": ["n" * 500, "short"]}
    with pytest.raises(DBAPIError):
        async with world.services.database.writing(EVERYTHING) as session:
            await bulk.insert_all(session, Bulk(events, sent.shared, {**sent.columns, **long}))
    whole = "n" * (events.c.name.type.length or 0)  # type: ignore[attr-defined]
    async with world.services.database.writing(EVERYTHING) as session:
        await bulk.insert_all(session, Bulk(events, sent.shared, {**sent.columns, "name": [whole, "short"]}))
        for wanted, found in ((whole, 1), (whole + "n", 0)):
            asked = select(events.c.id).where(bulk.among(session, events.c.name, [wanted]))
            assert len((await session.execute(asked)).all()) == found


async def test_columns_are_read_in_the_order_of_the_rows(world: World) -> None:
    columns = (identities.c.id, identities.c.value_hash, identities.c.verified_at.is_not(None).label("proved"))
    ordered = select(*columns).order_by(identities.c.value_hash.desc())
    async with world.services.database.writing(EVERYTHING) as session:
        rows = (await session.execute(ordered)).all()
        for statement in (ordered, ordered.with_for_update(read=True, key_share=True)):
            assert list(zip(*await bulk.read_columns(session, statement), strict=True)) == [tuple(row) for row in rows]
        nothing = await bulk.read_columns(session, ordered.where(identities.c.id < 0))
        assert [list(column) for column in nothing] == [[], [], []]
    assert len(rows) > 1
