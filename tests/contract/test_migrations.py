"""The migrations make what the models and the walls say, on this run's database, and can be taken back."""

import asyncio
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

import migrations
from domain.walls import policies
from migrations.models import metadata
from tests.conftest import CLUSTER, DATABASE
from tests.services import postgres

# tables with a group_id and no wall, by why they need none
NO_WALL = {
    "outbox": "events of every group, read by the projector alone and counted by the caller's scope",
    "idempotency": "found by the caller's own principal, which is part of the key",
    "group_keys": "wrapped by the master key, and read before anything of a group can be",
}


@pytest.fixture
def owner_url(database_template: str, tmp_path: Path) -> Iterator[str]:
    """Yield the owner's URL of a database without a table."""
    if DATABASE == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
        return
    cluster, name = postgres.Cluster(os.environ[CLUSTER]), f"test_{secrets.token_hex(6)}"
    cluster.create(name)
    yield cluster.owner_url(name)
    asyncio.run(cluster.drop_database(name))


def look(url: str, work: Any) -> Any:
    """Return what a function finds on a connection whose changes are rolled back."""

    async def run() -> Any:
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            found = await connection.run_sync(work)
            await connection.rollback()
        await engine.dispose()
        return found

    return asyncio.run(run())


def test_the_migrations_make_what_the_models_say(owner_url: str) -> None:
    migrations.upgrade(owner_url)

    assert migrations.differences(owner_url) == []
    assert migrations.current(owner_url) == migrations.head()


def test_they_can_be_taken_back_and_made_again(owner_url: str) -> None:
    migrations.upgrade(owner_url)
    first = look(owner_url, contents)
    migrations.downgrade(owner_url, "base")
    emptied = look(owner_url, contents)
    migrations.upgrade(owner_url)
    migrations.upgrade(owner_url)

    assert emptied == {"tables": ["alembic_version"], "rest": []}
    assert look(owner_url, contents) == first
    assert migrations.differences(owner_url) == []


def contents(connection: Connection) -> dict[str, list[Any]]:
    """Return the names of what a database has."""
    tables = sorted(inspect(connection).get_table_names())
    if connection.dialect.name == "sqlite":
        rest = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    else:
        rest = (
            "SELECT 'policy', tablename, qual FROM pg_policies UNION ALL "
            "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
            "AND tablename <> 'alembic_version' UNION ALL "
            "SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal UNION ALL "
            "SELECT 'function', proname, '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace UNION ALL "
            "SELECT 'type', typname, '' FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'"
        )
    return {"tables": tables, "rest": sorted(tuple(row) for row in connection.execute(text(rest)))}


def test_every_table_of_a_group_has_a_wall_or_a_reason() -> None:
    of_groups = {name for name, table in metadata.tables.items() if "group_id" in table.columns}

    assert of_groups - set(policies()) == set(NO_WALL)
    assert set(policies()) <= set(metadata.tables)


@pytest.mark.postgresql
def test_the_walls_of_the_database_are_those_of_the_code(owner_url: str) -> None:
    migrations.upgrade(owner_url)

    standing, of_code = look(owner_url, walls)

    assert set(standing) == set(policies())
    assert standing == of_code


def walls(connection: Connection) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the walls that stand and, built beside them and worded by the same PostgreSQL, those of the code."""
    for table, condition in policies().items():
        connection.exec_driver_sql(f"CREATE POLICY code ON {table} USING ({condition}) WITH CHECK ({condition})")
    rows = connection.execute(
        text("SELECT * FROM pg_policies WHERE schemaname = 'public' AND policyname IN ('scope', 'code')")
    ).mappings()
    found: dict[str, dict[str, Any]] = {"scope": {}, "code": {}}
    for row in rows:
        says = {name: row[name] for name in ("permissive", "roles", "cmd", "qual", "with_check")}
        found[row["policyname"]][row["tablename"]] = says
    return found["scope"], found["code"]


@pytest.mark.postgresql
def test_the_owner_is_held_by_the_walls_too(owner_url: str) -> None:
    migrations.upgrade(owner_url)
    forced = "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity AND relkind IN ('r', 'p')"
    forced += " AND NOT relispartition"

    assert set(look(owner_url, lambda connection: connection.execute(text(forced)).scalars().all())) == set(policies())
