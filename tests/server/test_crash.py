"""A power cut during an import: server, graph engine and importer killed, twice. What comes out is a clean import."""

import asyncio
import os
import random
import secrets
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from domain.database import Database
from domain.scope import system_scope
from domain.vault import Vault
from server.imports import Layout, import_orders, import_shares
from server.settings import Settings
from tests import world as worlds
from tests.conftest import CLUSTER, DATABASE
from tests.server.deployed import Deployment, Server, drained, eventually
from tests.services import postgres, scratch
from tests.world import MASTER_KEY, World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find what was left behind"),
]

REAL_FILES = Path(__file__).resolve().parents[3] / "shared" / "data"
ROWS = 2_500
SYSTEM = system_scope("test")
ORDERS = Layout("_,fan,placed_on,quantity,amount", "shop", delimiter="whitespace", date_format="%Y%m%d")
SHARES = Layout("reached,sharer,cascade,_", "posts", seed="1", local_names=True)
ORDER_OPTIONS = ["--brand", "g1/b1", "--source", "shop", "--columns", ORDERS.columns]
ORDER_OPTIONS += ["--delimiter", "whitespace", "--date-format", "%Y%m%d"]
SHARE_OPTIONS = ["--brand", "g1/b1", "--source", "posts", "--columns", SHARES.columns, "--seed", "1", "--local-names"]

COUNTS = {
    "orders": "SELECT count(*) FROM orders WHERE source = 'shop'",
    "shares": "SELECT count(*) FROM shares",
}
TOTALS = COUNTS | {
    "cascades": "SELECT count(*) FROM cascades",
    "persons": "SELECT count(*) FROM persons",
    "identities": "SELECT count(*) FROM identities",
    "lines": "SELECT count(*) FROM order_lines",
    "spend": "SELECT sum(spend) FROM fans",
    "fans": "SELECT spend, order_count, last_order_at, count(*) FROM fans GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    "sizes": "SELECT source, code, size FROM cascades ORDER BY source, code",
}


class Silent:
    """Progress nobody watches."""

    def advance(self, stage: str, done: int, total: int) -> None:
        """Say nothing."""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Return a file of orders and one of shares: the beginning of the real ones, or made up like them."""
    return _cut(tmp_path, "cdnow_sample.txt", _made_orders), _cut(tmp_path, "share_cascades.csv", _made_shares)


def _cut(folder: Path, name: str, made: Any) -> Path:
    real = REAL_FILES / name
    rows = real.read_text().splitlines()[:ROWS] if real.exists() else made()
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return path


def _made_orders() -> list[str]:
    dice = random.Random(1)
    days = (f"1997{dice.randint(1, 12):02d}{dice.randint(1, 28):02d}" for _ in range(ROWS))
    return [f" {n:05d} {dice.randint(1, 700):04d} {day} {n % 5} {n % 97}.50" for n, day in enumerate(days)]


def _made_shares() -> list[str]:
    dice = random.Random(2)
    cascades = [(n, [1]) for n in range(1, 61)]
    rows = []
    for number in range(ROWS):
        code, reached = cascades[number % len(cascades)]
        fan = len(reached) + 1
        rows.append(f"{fan},{dice.choice(reached)},{code},1")
        reached.append(fan)
    return rows


@asynccontextmanager
async def another_copy(template: str) -> AsyncIterator[str]:
    if DATABASE == "sqlite":
        with scratch.folder("clean") as folder:
            yield f"sqlite+aiosqlite:///{shutil.copyfile(template, folder / 'scrm.sqlite3')}"
        return
    cluster, name = postgres.Cluster(os.environ[CLUSTER]), f"test_{secrets.token_hex(6)}"
    await cluster.create_database(name, template)
    yield cluster.app_url(name)
    await cluster.drop_database(name)


@pytest.fixture
async def other_database(database_template: str, plain_settings: Settings) -> AsyncIterator[Database]:
    """Yield a second database with world W in it, for the clean import."""
    async with another_copy(database_template) as url:
        database = Database(url)
        services = worlds.services_of(database, plain_settings)
        await worlds.build(services)
        yield database
        await services.graph.close()
        await database.dispose()


async def count(database: Database, what: str) -> int:
    async with database.reading(SYSTEM) as session:
        return int((await session.execute(text(COUNTS[what]))).scalar_one())


async def totals(database: Database) -> dict[str, Any]:
    """Return what two imports of the same files must agree on."""
    async with database.reading(SYSTEM) as session:
        return {name: [tuple(row) for row in await session.execute(text(sql))] for name, sql in TOTALS.items()}


async def cut_power(
    deployment: Deployment, server: Server, database: Database, what: str, command: Sequence[str]
) -> int:
    """Start an import, end everything when a part of it is there, and return how large that part is."""
    before = await count(database, what)
    async with deployment.started(*command) as importer:
        while await count(database, what) == before:
            assert importer.returncode is None, await importer.communicate()
            await asyncio.sleep(0.01)
        importer.kill()
        if deployment.graph is None:
            os.kill(deployment.engine_pid(), signal.SIGKILL)
        server.kill()
        await importer.communicate()
    assert await eventually(lambda: deployment.processes() == [])
    return await count(database, what) - before


async def test_an_import_through_two_power_cuts_ends_as_a_clean_one(
    deployment: Deployment, world: World, database: Database, other_database: Database, files: tuple[Path, Path]
) -> None:
    orders = ["import", "orders", str(files[0]), *ORDER_OPTIONS]
    shares = ["import", "shares", str(files[1]), *SHARE_OPTIONS]
    token = deployment.tokens.mint_staff("HQ1")

    async with deployment.serving() as server:
        some_orders = await cut_power(deployment, server, database, "orders", orders)
    async with deployment.serving() as server:
        some_shares = await cut_power(deployment, server, database, "shares", shares)
    async with deployment.serving() as server:
        imported = await deployment.each(orders, shares)
        caught_up = await drained(server, token)
        lag = await server.ask(token, "{ graphLag { pending dead } }")
        server.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(server.process.wait(), 30)
    left = deployment.processes()
    compared = await deployment.scrm("graph", "verify")
    await import_cleanly(other_database, world, files)

    assert [(finished.code, finished.err) for finished in imported] == [(0, "")] * 2
    assert (caught_up, code, left) == (True, 0, [])
    assert lag["data"]["graphLag"] == {"pending": 0, "dead": 0}
    found = await totals(database)
    assert found == await totals(other_database)
    assert 0 < some_orders < found["orders"][0][0] == ROWS
    assert 0 < some_shares < ROWS
    assert (compared.code, compared.out) == (0, "The graph is equal to the tables.\n")
    assert deployment.processes() == []


async def import_cleanly(database: Database, world: World, files: tuple[Path, Path]) -> None:
    vault, brand_id = Vault(MASTER_KEY), world.nodes["g1/b1"]
    await import_orders(database, vault, brand_id, files[0], ORDERS, Silent())
    await import_shares(database, vault, brand_id, files[1], SHARES, Silent())
