"""Months made ahead, months that came unexpected, and months that are forgotten."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from domain import clock
from domain.events import upkeep
from domain.events.ingest import track
from domain.events.models import EventCount, EventKey, FanEvent
from domain.tables import table_of
from tests.cast import EVERYTHING
from tests.domain.test_events import SERVICE, brand_of, event
from tests.statements import statements_of
from tests.world import World

events, keys, counts = table_of(FanEvent), table_of(EventKey), table_of(EventCount)
DAY = timedelta(days=1)


async def send_at(world: World, moment: datetime, *ids: str) -> None:
    brand = await brand_of(world)
    with clock.at(moment):
        async with world.services.database.writing(EVERYTHING) as session:
            await track(
                session, world.services.vault, brand, [event(event_id=i, occurred_at=moment) for i in ids], SERVICE
            )


async def partitions(world: World) -> dict[str, int]:
    """Return how many events each partition holds."""
    async with world.services.database.reading(EVERYTHING) as session:
        names = await session.execute(
            text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1")
        )
        held = await session.execute(text("SELECT tableoid::regclass::text, count(*) FROM events GROUP BY 1"))
        return dict.fromkeys(names.scalars(), 0) | {row[0]: row[1] for row in held}


async def count(world: World, table: Any) -> int:
    async with world.services.database.reading(EVERYTHING) as session:
        return len((await session.execute(select(table))).all())


async def test_what_is_older_than_it_is_kept_is_forgotten_with_its_keys_and_counts(world: World) -> None:
    now = clock.now()
    await send_at(world, now - 400 * DAY, "old1", "old2")
    await send_at(world, now, "new")

    await upkeep.forget(world.services.database, 0)
    assert await count(world, events) == 3
    await upkeep.forget(world.services.database, 12)

    assert (await count(world, events), await count(world, keys), await count(world, counts)) == (1, 1, 1)


async def test_forgetting_scans_no_table(world: World) -> None:
    database = world.services.database
    if database.dialect != "sqlite":
        pytest.skip("the plan of the other engine depends on its statistics")
    await send_at(world, clock.now() - 400 * DAY, "old")
    with statements_of(database) as said:
        assert await upkeep.forget(database, 12) == 1

    async with database.engine.connect() as connection:
        for statement in said:
            values = (0,) * statement.count("?")
            plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)).all()
            assert not [step.detail for step in plan if step.detail.startswith("SCAN event")], statement


@pytest.mark.postgresql
async def test_months_are_made_ahead_by_the_servers_role_and_take_their_events(world: World) -> None:
    now = clock.now()

    made = await upkeep.keep_months(world.services.database)
    again = await upkeep.keep_months(world.services.database)
    await send_at(world, now, "e")

    held = await partitions(world)
    assert (made, again) == (upkeep.AHEAD_MONTHS + 1, 0)
    assert held.pop(f"events_{now:%Y%m}") == 1
    assert set(held.values()) == {0}


@pytest.mark.postgresql
async def test_a_crowded_month_gets_a_partition_of_its_own_and_can_be_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CROWDED_ROWS", 2)
    await send_at(world, datetime(2020, 2, 29, 23, tzinfo=UTC), "a", "b")
    await send_at(world, datetime(2020, 3, 1, tzinfo=UTC), "c")

    await upkeep.keep_months(world.services.database)

    held = await partitions(world)
    assert (held["events_202002"], held["events_default"]) == (2, 1)
    assert await upkeep.forget(world.services.database, 12) == 1
    assert await count(world, events) == 0
    assert "events_202002" not in await partitions(world)


@pytest.mark.postgresql
async def test_no_partition_is_read_past_the_walls_and_the_last_month_is_not_dropped(world: World) -> None:
    await send_at(world, datetime(2020, 2, 1, tzinfo=UTC), "a")
    engine = world.services.database.engine

    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM events_default"))).scalar_one() == 0
    for statement in ("SELECT drop_event_months(now())", "DROP TABLE events_default", "TRUNCATE events"):
        with pytest.raises(DBAPIError):
            async with engine.begin() as connection:
                await connection.execute(text(statement))
