"""Bring a database to a revision of the schema, from the command line or from code."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from migrations.models import metadata
from migrations.partitions import FUNCTIONS, is_ours

HERE = Path(__file__).parent


def config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, bound to a connection where one is given."""
    made = Config()
    made.set_main_option("script_location", str(HERE))
    made.set_main_option("file_template", "%%(year)d-%%(month).2d-%%(day).2d-%%(hour).2d%%(minute).2d_%%(slug)s")
    made.attributes["connection"] = connection
    return made


def head() -> str:
    """Return the newest revision the code knows."""
    revision = ScriptDirectory.from_config(config()).get_current_head()
    assert revision is not None
    return revision


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade the database at `url`; safe to call again."""
    asyncio.run(_run(url, lambda connection: command.upgrade(config(connection), revision)))


def downgrade(url: str, revision: str) -> None:
    """Take the database at `url` back to a revision, or to `base`."""
    asyncio.run(_run(url, lambda connection: command.downgrade(config(connection), revision)))


def revision(url: str, slug: str) -> None:
    """Write a new migration from what the models say and the database at `url` lacks. Read it before committing."""

    def write(connection: Connection) -> None:
        command.revision(config(connection), message=slug, autogenerate=True)

    asyncio.run(_run(url, write))


def differences(url: str) -> list[object]:
    """Return what the models and the database at `url` do not agree on; empty when the migrations are complete."""
    found: list[object] = []
    options = {"include_object": is_ours}
    asyncio.run(
        _run(url, lambda c: found.extend(compare_metadata(MigrationContext.configure(c, opts=options), metadata)))
    )
    return found


def current(url: str) -> str | None:
    """Return the revision the database at `url` is at, or None where it has none."""
    found: list[str | None] = []
    asyncio.run(_run(url, lambda c: found.append(MigrationContext.configure(c).get_current_revision())))
    return found[0]


def allow(url: str, role: str) -> None:
    """Let the application's PostgreSQL role use the tables, which another role owns."""
    name = '"' + role.replace('"', '""') + '"'
    statements = (
        f"GRANT USAGE ON SCHEMA public TO {name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}",
        f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {name}",
        *(f"GRANT EXECUTE ON FUNCTION {function} TO {name}" for function in FUNCTIONS),
    )

    def run(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    asyncio.run(_run(url, run))


async def _run(url: str, work: Callable[[Connection], object]) -> None:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(work)
    finally:
        await engine.dispose()
