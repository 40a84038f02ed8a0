"""Statements built once answer, refuse and break as those of a session do."""

from contextlib import suppress

import pytest
from sqlalchemy import Select, bindparam, select, text
from sqlalchemy.exc import IntegrityError, PendingRollbackError, StatementError

from domain import audit
from domain.bulk import Bulk, insert_rows
from domain.compiled import Among, Compiled
from domain.database import Database
from domain.errors import Unavailable
from domain.fans.models import Fan
from domain.tables import table_of
from domain.tags.models import Tag
from tests.cast import EVERYTHING
from tests.world import World

fans, tags = table_of(Fan), table_of(Tag)


@Compiled
def _some(among: Among) -> Select[tuple[object, ...]]:
    mine = (fans.c.brand_id == bindparam("brand"), among(fans.c.id, "ids"))
    return select(fans).where(*mine, fans.c.gender.in_(["UNKNOWN", "FEMALE", "MALE"])).order_by(fans.c.id)


async def test_rows_are_what_a_session_would_have_read(world: World) -> None:
    brand, ids = world.nodes["g1/b1"], sorted(world.fans.values())
    async with world.services.database.reading(EVERYTHING) as session:
        plain = (await session.execute(select(fans).where(fans.c.brand_id == brand).order_by(fans.c.id))).all()
        rows = await _some.rows(session, brand=brand, ids=ids)
        none = await _some.rows(session, brand=brand, ids=[])

    assert len(plain) > 1
    assert [tuple(row) for row in rows] == [tuple(row) for row in plain]
    assert rows[0].created_at == plain[0].created_at
    assert list(none) == []


async def test_a_parameter_that_is_not_given_is_a_fault(world: World) -> None:
    async with world.services.database.reading(EVERYTHING) as session:
        with pytest.raises((KeyError, StatementError)):
            await _some.rows(session, ids=[1])


async def test_what_breaks_a_constraint_is_the_sessions_error(world: World) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        with pytest.raises(IntegrityError):
            await insert_rows(session, Bulk(tags, {"group_id": -1, "brand_id": None}, {"name": ["x"]}))
        await session.rollback()


async def test_a_lost_connection_is_a_refusal_and_the_next_works(world: World, database: Database) -> None:
    if database.dialect != "postgresql":
        pytest.skip("SQLite has no connections to lose")
    given = {"brand": world.nodes["g1/b1"], "ids": sorted(world.fans.values())}

    async def lose() -> None:
        async with database.writing(EVERYTHING) as session:
            pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            async with database.writing(EVERYTHING) as other:
                await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            await _some.rows(session, **given)

    with pytest.raises(Unavailable):
        await lose()

    async with database.writing(EVERYTHING) as session:
        assert await _some.rows(session, **given)


async def test_a_session_that_begins_anew_speaks_in_its_new_transaction(world: World) -> None:
    brand, ids = world.nodes["g1/b1"], sorted(world.fans.values())

    async with world.services.database.writing(EVERYTHING) as session:
        await audit.record(session, "staff:test", deed(world, "gone"))
        await session.rollback()
        async with session.begin_nested():
            assert await _some.rows(session, brand=brand, ids=ids)
            await audit.record(session, "staff:test", deed(world, "stays"))
        await audit.record(session, "staff:test", deed(world, "too"))

    assert await told(world) == ["stays", "too"]


async def test_what_a_savepoint_takes_back_is_gone(world: World) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        await audit.record(session, "staff:test", deed(world, "before"))
        with suppress(RuntimeError):
            async with session.begin_nested():
                await audit.record(session, "staff:test", deed(world, "taken back"))
                raise RuntimeError
        await audit.record(session, "staff:test", deed(world, "after"))

    assert await told(world) == ["after", "before"]


async def test_after_a_broken_flush_nothing_hot_is_written(world: World) -> None:
    async def write() -> None:
        async with world.services.database.writing(EVERYTHING) as session:
            await audit.record(session, "staff:test", deed(world, "before"))
            session.add(audit.AuditEntry(id=1, group_id=-1, principal="staff:test", action="broken", subject="Test:1"))
            with suppress(IntegrityError):
                await session.flush()
            await audit.record(session, "staff:test", deed(world, "after"))

    with pytest.raises(PendingRollbackError):
        await write()
    assert await told(world) == []


def deed(world: World, name: str) -> list[audit.Deed]:
    return [audit.Deed(world.nodes["g1"], None, name, "Test:1")]


async def told(world: World) -> list[str]:
    log = table_of(audit.AuditEntry)
    async with world.services.database.reading(EVERYTHING) as session:
        mine = select(log.c.action).where(log.c.principal == "staff:test")
        return sorted((await session.execute(mine)).scalars())
