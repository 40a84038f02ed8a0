"""A transaction of PostgreSQL begins behind its walls, whatever is asked in it first."""

import asyncpg
import pytest
from sqlalchemy import Select, bindparam, select, text

from domain import compiled
from domain.compiled import Among, Compiled
from domain.database import Database
from domain.errors import Unavailable
from domain.fans.models import Fan
from domain.scope import Scope, system_scope
from domain.tables import table_of
from domain.walls import wall_settings, wall_text
from tests.cast import EVERYTHING
from tests.world import World

fans = table_of(Fan)


@Compiled
def _all_of(among: Among) -> Select[tuple[object, ...]]:
    return select(fans.c.id).where(among(fans.c.group_id, "groups")).limit(bindparam("most"))


@pytest.fixture(autouse=True)
def postgresql(database: Database) -> None:
    if database.dialect != "postgresql":
        pytest.skip("SQLite has no walls")


async def test_a_hot_statement_that_comes_first_is_behind_the_walls(world: World) -> None:
    database, given = world.services.database, {"groups": [world.nodes["g1"]], "most": 10_000}
    nobody = system_scope("test", group_id=-1)
    found = {}
    for scope in (EVERYTHING, nobody, EVERYTHING):
        async with database.writing(scope) as session:
            found[scope] = await _all_of.scalars(session, **given)
    assert len(found[EVERYTHING]) > 1
    assert found[nobody] == []


async def test_begin_and_the_walls_are_one_trip(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with database.reading(EVERYTHING) as session:
        await session.execute(text("SELECT 1"))
    asked: list[str] = []
    for name in ("execute", "fetch", "prepare"):
        before = getattr(asyncpg.Connection, name)

        async def noted(self: object, query: str, *given: object, _before: object = before, **named: object) -> object:
            asked.append(query)
            return await _before(self, query, *given, **named)  # type: ignore[operator]

        monkeypatch.setattr(asyncpg.Connection, name, noted)
    async with database.writing(EVERYTHING) as session:
        await compiled.fetch(session, "SELECT 1", ())
        async with session.begin_nested():
            await compiled.fetch(session, "SELECT 2", ())

    begin, *others = asked
    assert begin.startswith("BEGIN; SELECT set_config('app.everything', 'on', true)")
    assert [query for query in others if "set_config" in query or query.startswith("BEGIN")] == []
    assert "SELECT 2" in others


async def test_a_time_limit_of_its_own_goes_with_the_walls(database: Database) -> None:
    async with database.reading(EVERYTHING, statement_seconds=3) as session:
        ((limit,),) = await compiled.fetch(session, "SHOW statement_timeout", ())
    async with database.reading(EVERYTHING) as session:
        ((usual,),) = await compiled.fetch(session, "SHOW statement_timeout", ())
    assert (limit, usual) == ("3s", "5s")


async def test_connections_that_were_lost_meanwhile_refuse_one_and_not_each(database: Database) -> None:
    async def ask() -> int:
        async with database.reading(EVERYTHING) as session:
            pid: int = (await compiled.fetch(session, "SELECT pg_backend_pid()", ()))[0][0]
            return pid

    async with database.reading(EVERYTHING) as one, database.reading(EVERYTHING) as other:
        pids = [(await compiled.fetch(session, "SELECT pg_backend_pid()", ()))[0][0] for session in (one, other)]
    direct = database.direct
    assert direct is not None
    killer = await direct.connect()
    for pid in pids:
        await killer.execute(f"SELECT pg_terminate_backend({pid}, 1000)")
    await killer.close()

    with pytest.raises(Unavailable):
        await ask()
    assert await ask() not in pids
    assert await ask() not in pids


def test_the_text_says_what_the_parameters_would() -> None:
    scope: Scope = system_scope("test", group_id=7)
    statement, values = wall_settings(scope, 2)
    said = wall_text(scope, 2)
    assert said.count("set_config") == statement.count("set_config") == len(values)
    assert "$" not in said
    assert "set_config('app.groups', '{7}', true)" in said
    assert said.endswith("set_config('statement_timeout', '2000ms', true)")
