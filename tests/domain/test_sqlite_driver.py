"""SQLite's driver is asked once for each statement, and answers what SQLAlchemy's own adapter would."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from domain.database import Database
from domain.sqlite import in_its_thread
from domain.tables import table_of
from domain.tenancy.models import Group
from tests.cast import EVERYTHING

groups = table_of(Group)


@pytest.fixture
def trips(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., Any]]:
    """Return what is asked of the driver's thread, as it is asked."""
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL has no thread")
    asked: list[Callable[..., Any]] = []
    before: Any = aiosqlite.Connection._execute

    async def execute(self: aiosqlite.Connection, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        asked.append(function)
        return await before(self, function, *given, **named)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", execute)
    return asked


async def test_a_statement_is_one_trip_to_the_drivers_thread(database: Database, trips: list[Any]) -> None:
    async with database.writing(EVERYTHING) as session:
        await session.execute(text("SELECT 1"))
        trips.clear()
        made = await session.execute(insert(groups).returning(groups.c.id), [{"code": c, "name": c} for c in "abc"])
        assert len(made.all()) == 3
        assert len(trips) == 1
        changed: Any = await session.execute(update(groups).where(groups.c.code != "a").values(name="x"))
        assert changed.rowcount == 2
        assert len(trips) == 2
        found = await session.execute(select(groups.c.code, groups.c.name).order_by(groups.c.code))
        assert [tuple(row) for row in found] == [("a", "a"), ("b", "x"), ("c", "x")]
        assert len(trips) == 3
        none = await session.execute(select(groups.c.code).where(groups.c.code == "z"))
        assert none.all() == []
        assert len(trips) == 4


async def test_what_the_database_refuses_is_told_as_elsewhere(database: Database, trips: list[Any]) -> None:
    row = {"code": "a", "name": "a"}
    async with database.writing(EVERYTHING) as session:
        await session.execute(insert(groups), [row])
        with pytest.raises(IntegrityError, match="UNIQUE"):
            await session.execute(insert(groups), [row | {"code": "b"}, row])
        assert trips


async def test_who_is_cancelled_while_the_thread_works_leaves_nothing_behind(
    database: Database, trips: list[Any]
) -> None:
    slow = text(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000000) SELECT max(n) FROM n"
    )

    working = asyncio.Event()

    async def write() -> None:
        async with database.writing(EVERYTHING) as session:
            await session.execute(insert(groups), [{"code": "gone", "name": "gone"}])
            trips.clear()
            working.set()
            await session.execute(slow)

    task = asyncio.create_task(write())
    await working.wait()
    assert len(trips) == 1, "the thread has what takes long"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async with database.writing(EVERYTHING) as session:
        await session.execute(insert(groups), [{"code": "there", "name": "there"}])
    async with database.reading(EVERYTHING) as session:
        assert (await session.execute(select(groups.c.code))).scalars().all() == ["there"]


async def test_a_connection_that_is_stopped_while_it_is_closed_ends(database: Database) -> None:
    """Whoever is cancelled twice comes here: once closes the connection beside, twice stops it at once."""
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL has no thread")
    async with database.reading(EVERYTHING) as session:
        await session.execute(text("SELECT 1"))
        raw = await (await session.connection()).get_raw_connection()
        adapted: Any = raw.dbapi_connection
        late = asyncio.create_task(in_its_thread(adapted.driver_connection, lambda _: time.sleep(0.1)))
        await asyncio.sleep(0)
        closing = asyncio.create_task(adapted._terminate_graceful_close())
        await asyncio.sleep(0)

        adapted._terminate_force_close()

        async with asyncio.timeout(5):
            await closing
        await late
        raw.invalidate()
