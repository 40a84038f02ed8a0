"""The databases alone: pgbench runs a statement from as many clients, and sqlite3 the statements of one earn."""

import os
import random
import re
import sqlite3
import subprocess
import time
from pathlib import Path

from sqlalchemy.engine import make_url

from bench.data.cluster import Missing
from bench.points.clients import REPLAYED
from bench.points.data import GROWTH, POINTS
from tests.services import postgres

HERE = Path(__file__).parent
_RATE = re.compile(r"^tps = ([\d.]+) \(without", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


def pgbench(admin_url: str, statement: str, *, run: str, clients: int, fans: int, seconds: float) -> float:
    """Return how many transactions a second pgbench gets of a statement, each its own, as the superuser behind no wall.

    Raises Missing where there is no pgbench, RuntimeError where a transaction failed.
    """
    program, url = postgres.binary("pgbench"), make_url(admin_url)
    if program is None:
        raise Missing(
            "The bench needs pgbench, which comes with PostgreSQL's server. On Debian: apt install postgresql"
        )
    place = ["-h", str(url.host), "-p", str(url.port), "-U", str(url.username), str(url.database)]
    given = ["-D", "number=0", "-D", f"fans={fans}", "-D", f"run='{run}'"]
    load = ["-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(max(1, round(seconds)))]
    command = [program, *load, *given, "-f", str(HERE / "sql" / f"{statement}.sql"), *place]
    password = {"PGPASSWORD": str(url.password), "PGCLIENTENCODING": "UTF8"}
    said = subprocess.run(command, env=os.environ | password, capture_output=True, text=True, check=False)
    rate, failed = _RATE.search(said.stdout), _FAILED.search(said.stdout)
    if said.returncode != 0 or rate is None or (failed is not None and int(failed[1])):
        raise RuntimeError(f"pgbench failed:\n{said.stdout}\n{said.stderr}")
    return float(rate[1])


# one earn of the ledger as SQLite gets it; the entries come before their transfer, which closes them
_FIND = "SELECT id, spendable + debt, growth FROM point_accounts WHERE fan_id = ? AND former = false"
_KNOWN = "SELECT id FROM point_transfers WHERE brand_id = 1 AND source = ?"
_NEXT = "SELECT max(id) + 1 FROM point_transfers"
_CHANGE = "UPDATE point_accounts SET spendable = spendable + ?, growth = growth + ? WHERE id = ?"
_ENTRY = "INSERT INTO point_entries (transfer_id, kind, group_id, brand_id, amount) VALUES (?, ?, 1, 1, ?)"
_TRANSFER = """INSERT INTO point_transfers (id, group_id, brand_id, account_id, kind, source, points, growth, balance,
growth_balance, reason, actor, rule_id, reference, request_key, occurred_at, recorded_at)
VALUES (?, 1, 1, ?, 'EARN', ?, ?, ?, ?, ?, 'post', 'bench', 1, 'PointRule:1', ?, datetime('now'), datetime('now'))"""
_LOT = """INSERT INTO point_lots (group_id, brand_id, account_id, transfer_id, granted, remaining, granted_at)
VALUES (1, 1, ?, ?, ?, ?, datetime('now'))"""


def raw_sqlite(path: Path, *, run: str, fans: int, seconds: float) -> float:
    """Return how many earns a second one connection gets of the bare statements, each in a durable transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}")
    drawn, last, done, started = random.Random(run), 0, 0, time.perf_counter()
    while time.perf_counter() < started + seconds:
        last += last == 0 or drawn.randrange(REPLAYED) > 0
        _earn(connection, drawn.randint(1, fans), f"{run}-0-{last}")
        done += 1
    took = time.perf_counter() - started
    connection.close()
    return done / took


def _earn(connection: sqlite3.Connection, fan: int, source: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if connection.execute(_KNOWN, (source,)).fetchone() is None:
        account, balance, growth = connection.execute(_FIND, (fan,)).fetchone()
        transfer = connection.execute(_NEXT).fetchone()[0] or 1
        connection.execute(_CHANGE, (POINTS, GROWTH, account))
        sides = {"SPENDABLE": POINTS, "ISSUED": -POINTS, "GROWTH": GROWTH, "GROWTH_ISSUED": -GROWTH}
        connection.executemany(_ENTRY, [(transfer, kind, amount) for kind, amount in sides.items()])
        amounts = (POINTS, GROWTH, balance + POINTS, growth + GROWTH)
        connection.execute(_TRANSFER, (transfer, account, source, *amounts, source))
        connection.execute(_LOT, (account, transfer, POINTS, POINTS))
    connection.execute("COMMIT")
