"""Events, and what is kept of them, for the fans of `bench.data`: drawn by PostgreSQL itself, straight into its tables.

Each piece commits together with where it ends, so that a run that was stopped goes on where it was.
"""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from bench.data.fill import Size, connect, sql
from server.progress import Progress

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

HERE = Path(__file__).parent / "sql"
EVENTS_PER_PIECE, FANS_PER_PIECE = 100_000, 20_000
# the first events name every month, which then gets its partition
FIRST = 10_000

_BEGUN = """
CREATE SCHEMA bench_events;
CREATE TABLE bench_events.begun AS SELECT date_trunc('minute', now()) AS at;
CREATE TABLE bench_events.done (stage text PRIMARY KEY, upto bigint NOT NULL);
CREATE TABLE bench_events.indexes AS
-- of a partitioned table it says ONLY, which would leave the partitions without
SELECT relname AS name, replace(pg_get_indexdef(pg_class.oid), ' ON ONLY ', ' ON ') AS definition
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = 'events'::regclass AND NOT indisprimary
"""
_REACHED = "INSERT INTO bench_events.done VALUES ($1, $2) ON CONFLICT (stage) DO UPDATE SET upto = excluded.upto"


async def fill_events(admin_url: str, size: Size, progress: Progress) -> datetime:
    """Fill what is not there yet, and return the moment the events end at."""
    one, other = await connect(admin_url), await connect(admin_url)
    try:
        if await one.fetchval("SELECT to_regclass('bench_events.done')") is None:
            async with one.transaction():
                await one.execute(_BEGUN)
        if await _upto(one, "ready") == 0:
            await _fill(one, other, size, progress)
        moment: datetime = await one.fetchval("SELECT at FROM bench_events.begun")
        return moment
    finally:
        await one.close()
        await other.close()


async def _fill(one: "Connection", other: "Connection", size: Size, progress: Progress) -> None:
    if await one.fetchval("SELECT to_regnamespace('bench')") is None:
        await one.execute(sql("functions"))
    end = await one.fetchval("SELECT at FROM bench_events.begun")
    if await _upto(one, "months") == 0:
        await _months(one, size, end)
    await asyncio.gather(
        _pieces(one, "events", (FIRST, size.events, EVENTS_PER_PIECE), (size.fans, end), progress),
        _pieces(other, "names", (0, size.fans, FANS_PER_PIECE), (), progress),
    )
    for place, row in enumerate(await one.fetch("SELECT * FROM bench_events.indexes ORDER BY name"), start=1):
        if await one.fetchval("SELECT to_regclass($1)", row["name"]) is None:
            await one.execute(row["definition"])
        progress.advance("event indexes", place, 2)
    await one.execute("ANALYZE events")
    await asyncio.gather(
        _pieces(one, "counts", (0, size.fans, FANS_PER_PIECE), (), progress),
        _pieces(other, "activity", (0, size.fans, FANS_PER_PIECE), (), progress),
    )
    await one.fetch("SELECT setval(pg_get_serial_sequence('public.events', 'id'), $1::bigint)", size.events)
    await one.execute("DROP SCHEMA bench CASCADE")
    await one.execute("VACUUM (ANALYZE) events, event_counts, fan_activity, fan_name_parts")
    await one.execute("CHECKPOINT")
    await one.execute(_REACHED, "ready", 1)


async def _months(connection: "Connection", size: Size, end: datetime) -> None:
    """Make the months that events are of, by the product's own function, and take away the indexes till they are in."""
    async with connection.transaction():
        await connection.execute((HERE / "events.sql").read_text(), 1, FIRST, size.fans, end)
        await connection.fetch("SELECT keep_event_months(3, 1)")
        for row in await connection.fetch("SELECT name FROM bench_events.indexes"):
            await connection.execute(f'DROP INDEX "{row["name"]}"')
        await connection.execute(_REACHED, "months", 1)


async def _pieces(
    connection: "Connection",
    stage: str,
    span: tuple[int, int, int],
    more: tuple[object, ...],
    progress: Progress,
) -> None:
    before, total, step = span
    statement = await connection.prepare((HERE / f"{stage}.sql").read_text())
    upto = max(before, await _upto(connection, stage))
    while upto < total:
        end = min(upto + step, total)
        async with connection.transaction():
            await statement.fetch(upto + 1, end, *more)
            await connection.execute(_REACHED, stage, end)
        upto = end
        progress.advance(stage, upto, total)


async def _upto(connection: "Connection", stage: str) -> int:
    return int(await connection.fetchval("SELECT upto FROM bench_events.done WHERE stage = $1", stage) or 0)
