import pytest
from sqlalchemy import select
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.database import Database, at_one_moment
from domain.errors import Unavailable
from domain.scope import system_scope
from domain.tables import table_of
from domain.tenancy.models import Group


@pytest.mark.parametrize("fault", [PoolTimeout("no connection came free"), ConnectionResetError(), TimeoutError()])
async def test_a_database_that_cannot_be_reached_is_a_refusal_and_not_a_fault(
    database: Database, fault: Exception
) -> None:
    with pytest.raises(Unavailable):
        async with database.reading(system_scope("test")):
            raise fault


async def test_a_read_leaves_nothing_behind_whatever_it_did(database: Database) -> None:
    groups = table_of(Group)
    async with database.reading(system_scope("test")) as session:
        await session.execute(groups.insert().values(code="x", name="x"))

    async with database.reading(system_scope("test")) as session:
        assert (await session.execute(select(groups.c.id))).all() == []


async def test_a_session_of_one_moment_sees_nothing_that_comes_meanwhile(database: Database) -> None:
    groups, scope = table_of(Group), system_scope("test")
    async with database.reading(scope) as session:
        await at_one_moment(session)
        before = (await session.execute(select(groups.c.id))).all()
        async with database.writing(scope) as other:
            await other.execute(groups.insert().values(code="x", name="x"))
        after = (await session.execute(select(groups.c.id))).all()
    async with database.reading(scope) as session:
        later = (await session.execute(select(groups.c.id))).all()

    assert (before, after, len(later)) == ([], [], 1)
