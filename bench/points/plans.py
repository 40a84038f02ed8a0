"""How the hot statements of points are answered among a million rows: by an index, and never by reading a table."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from bench.bars import Bars
from bench.points import checks
from bench.points.data import CALLER, RULE, fill
from domain import clock
from domain.database import Database
from domain.page import PageArgs
from domain.points.earning import queries as earning
from domain.points.earning.together import Asked, earn_each
from domain.points.ledger import history
from domain.points.ledger import service as ledger
from domain.points.ledger.rules import ClawBack, Earn, Spend
from domain.points.programme.rules import Programme
from domain.scope import system_scope

FANS = 100_000
SQL = Path(__file__).parent / "sql"
SCOPE = system_scope("bench", group_id=1)
LARGE = {
    *("fans", "point_accounts", "point_transfers", "point_entries", "point_lots", "point_draws", "point_pendings"),
    *("point_grants", "point_counters", "idempotency", "audit_log"),
}
PAGE, SOME = PageArgs(first=50), list(range(1, 51))
Doing = Callable[[AsyncSession], Awaitable[object]]


async def judge(app_url: str, admin_url: str, bars: Bars) -> None:
    """Fill the tables, do each thing once without keeping it, and judge by the plans of its statements."""
    database = Database(app_url)
    try:
        programme = await fill(database, FANS)
        await _fill(admin_url)
        await checks.tidy(admin_url)
        doings = _doings(programme)
        for whose, scope in (("a brand's service", CALLER), ("a group's", SCOPE)):
            with _captured(database) as seen:
                await earn_each(database, [Asked(scope, 7, RULE, None, "a new key", {})], dry_run=True)
            await _look(f"earnPoints of {whose}", database, seen, bars)
        for name, doing in doings.items():
            with _captured(database) as seen:
                async with database.writing(SCOPE, dry_run=True) as session:
                    await doing(session)
            await _look(name, database, seen, bars)
    finally:
        await database.dispose()


def _doings(programme: Programme) -> dict[str, Doing]:
    taking = ClawBack("old-77", "back-77", points=1)
    return {
        "balances of 50 fans": lambda session: ledger.balances_by_fan(session, SOME),
        "expiring points of 50 fans": lambda session: ledger.expiring_by_fan(session, SOME),
        "a page of a fan's transfers": lambda session: history.list_transfers(session, 7, PAGE),
        "a page of a fan's grants": lambda session: earning.list_grants(session, SCOPE, 7, PAGE),
        "earn": lambda session: ledger.earn(session, programme, [Earn(7, "new", 1, 3)], actor="bench"),
        "spend": lambda session: ledger.spend(session, programme, Spend(7, 1, "new"), actor="bench"),
        "claw back": lambda session: ledger.claw_back(session, programme, taking, actor="bench"),
        "release what is due": lambda session: ledger.release_due(session, 500),
        "expire what is due": lambda session: ledger.expire_due(session, 500),
    }


async def _fill(admin_url: str) -> None:
    # a replica checks no foreign key and fires no trigger: the rows are made consistent
    settings = {"session_replication_role": "replica", "synchronous_commit": "off", "timezone": "UTC"}
    connection = await asyncpg.connect(admin_url, server_settings=settings, command_timeout=600)
    try:
        await connection.execute((SQL / "million.sql").read_text())
    finally:
        await connection.close()


@contextmanager
def _captured(database: Database) -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not statement.startswith(("BEGIN", "SELECT set_config")):
            seen.append((statement, parameters[0] if many else parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def _look(name: str, database: Database, seen: list[tuple[str, Any]], bars: Bars) -> None:
    """Judge one thing by the plans of the statements it came to."""
    scans, began = [], clock.now()
    async with database.reading(SCOPE) as session:
        connection = await session.connection()
        for statement, parameters in seen:
            told = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", tuple(parameters))
            plan = told.scalar_one()[0]["Plan"]
            scans += [f"{table} by {statement[:100]!r}" for table in _scanned(plan)]
    took = (clock.now() - began) / timedelta(milliseconds=1)
    for scan in scans:
        print(f"{name} reads all of {scan}")
    print(f"{name}: {len(seen)} statements, planned in {took:.0f} ms", flush=True)
    bars.judge(f"points plan, {name}", f"{len(scans)} full scans", "0", holds=not scans)


def _scanned(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the large tables that a plan reads from end to end."""
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in LARGE:
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from _scanned(part)
