"""The rows: fans with their persons, tags and orders, drawn by PostgreSQL itself into the product's own tables."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy.engine import make_url

from domain.orders.models import SPENT
from server.progress import Progress

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

HERE = Path(__file__).parent
ORDERS_OF_A_FAN = 2
CHUNK = 25_000

# every index that no constraint stands on, of the tables that get many rows
_INDEXES = """
SELECT index.relname, pg_get_indexdef(index.oid) FROM pg_index
JOIN pg_class AS index ON index.oid = pg_index.indexrelid
JOIN pg_class AS filled ON filled.oid = pg_index.indrelid
WHERE filled.relname IN ('persons', 'fans', 'fan_tags', 'orders')
AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = index.oid)
ORDER BY index.relname
"""
_SEQUENCES = """
SELECT setval(pg_get_serial_sequence('public.' || relname, 'id'), greatest($1::bigint, $2::bigint))
FROM pg_class WHERE relname IN ('groups', 'brands', 'dealers', 'tags', 'persons', 'fans', 'orders')
"""


@dataclass(frozen=True)
class Size:
    """How much is made; the tenants and the tags are always the same. Events are made by `bench.events.fill`."""

    fans: int
    events: int = 0

    @property
    def orders(self) -> int:
        return self.fans * ORDERS_OF_A_FAN


async def fill(admin_url: str, size: Size, progress: Progress) -> None:
    """Fill the empty, migrated database of the superuser's URL, on two connections at once."""
    one, other = await connect(admin_url), await connect(admin_url)
    try:
        await one.execute(sql("functions"))
        await one.execute(sql("tenancy"))
        indexes = [tuple(row) for row in await one.fetch(_INDEXES)]
        for name, _ in indexes:
            await one.execute(f'DROP INDEX "{name}"')
        await asyncio.gather(_people(one, size, progress), _tags(other, size, progress))
        await _index(one, other, [definition for _, definition in indexes], progress)
        await one.execute("DROP SCHEMA bench CASCADE")
        await one.fetch(_SEQUENCES, size.fans, size.orders)
        await one.execute("VACUUM (FREEZE, ANALYZE)")
        await one.execute("CHECKPOINT")
    finally:
        await one.close()
        await other.close()


async def connect(admin_url: str) -> "Connection":
    """Connect past every wall and trigger."""
    dsn = make_url(admin_url).set(drivername="postgresql").render_as_string(hide_password=False)
    # a replica checks no foreign key and fires no trigger: the rows are made consistent
    settings = {"session_replication_role": "replica", "synchronous_commit": "off", "timezone": "UTC"}
    return await asyncpg.connect(dsn, server_settings=settings)


def sql(name: str) -> str:
    """Return a statement of this folder."""
    return (HERE / "sql" / f"{name}.sql").read_text()


async def _people(connection: "Connection", size: Size, progress: Progress) -> None:
    await _chunks(connection, "orders", size.orders, (size.orders, size.fans), progress)
    await connection.execute(sql("spent"), [state.value for state in SPENT])
    await connection.execute("ANALYZE bench.spent")
    await _chunks(connection, "persons", size.fans, (), progress)
    await _chunks(connection, "fans", size.fans, (), progress)


async def _tags(connection: "Connection", size: Size, progress: Progress) -> None:
    await _chunks(connection, "fan_tags", size.fans, (), progress)
    await connection.execute("ANALYZE fan_tags")
    await _chunks(connection, "fan_tag_lists", size.fans, (), progress)


async def _chunks(connection: "Connection", name: str, total: int, more: Sequence[int], progress: Progress) -> None:
    statement = await connection.prepare(sql(name))
    for start in range(1, total + 1, CHUNK):
        end = min(start + CHUNK - 1, total)
        await statement.fetch(start, end, *more)
        progress.advance(name, end, total)


async def _index(
    one: "Connection",
    other: "Connection",
    definitions: list[str],
    progress: Progress,
) -> None:
    left, total = list(definitions), len(definitions)

    async def build(connection: "Connection") -> None:
        while left:
            await connection.execute(left.pop())
            progress.advance("indexes", total - len(left), total)

    await asyncio.gather(build(one), build(other))
