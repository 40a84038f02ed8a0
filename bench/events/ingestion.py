"""Ingestion in batches of 500 with identities resolved, on PostgreSQL and on SQLite.

Each batch is one durable transaction of `track`, of 20,000 fans known by two identities each. HTTP is not measured.
The collector is set as the server sets it, and what is about to be sent is not its affair: a server reads each batch
off the wire and lets it go.
"""

import asyncio
import random
import time
from datetime import timedelta
from typing import Any

import asyncpg
from sqlalchemy import select
from sqlalchemy.engine import make_url

import migrations
from bench.bars import Bars
from bench.settings import SETTINGS
from domain import clock
from domain.database import Database
from domain.events.ingest import Sender, track
from domain.events.rules import EventIdentity, EventInput
from domain.events.upkeep import keep_months
from domain.persons.models import IdentityKind
from domain.scope import system_scope
from domain.tables import table_of
from domain.tenancy import service as tenancy
from domain.tenancy.models import Brand
from domain.vault import Vault
from server import collector
from server.commands.settings import run
from tests.services import postgres, scratch

SIZE, PEOPLE, SECONDS = 500, 20_000, 20
AT_ONCE = 4  # more would wait for each other's rows: two batches of 500 share a dozen of 20,000 fans
BARS = {"PostgreSQL": 10_000, "SQLite": 3_000}
NAMES = ("h5_view", "product_view", "scan", "article_read")
SCOPE = system_scope("bench")


def batch(number: int, people: range) -> list[EventInput]:
    """Return 500 events of the last three days."""
    chosen, now = random.Random(number), clock.now()
    return [
        EventInput(
            name=chosen.choice(NAMES),
            occurred_at=now - timedelta(seconds=chosen.randrange(259_200)),
            event_id=f"{number}-{place}",
            content=f"c{place % 50}",
            properties={"page": place, "from": "menu"},
            identities=_identities(people[place % len(people)] if len(people) <= SIZE else chosen.choice(people)),
        )
        for place in range(SIZE)
    ]


def _identities(person: int) -> list[EventIdentity]:
    return [
        EventIdentity(IdentityKind.OPENID, f"o{person}", "wx1"),
        EventIdentity(IdentityKind.UNIONID, f"u{person}", "open"),
    ]


async def rate_of(database: Database, at_once: int, admin_url: str | None) -> float:
    """Return how many events a second are stored."""
    vault = Vault(bytes(range(32)))
    async with database.writing(SCOPE) as session:
        group = await tenancy.create_group(session, vault, code="g", name="g")
        await tenancy.create_brand(session, group, code="b", name="b", currency="CNY", time_zone="Asia/Shanghai")
    async with database.reading(SCOPE) as session:
        brand: Any = (await session.execute(select(table_of(Brand)))).one()
    await keep_months(database)

    async def store(events: list[EventInput]) -> None:
        async with database.writing(SCOPE) as session:
            await track(session, vault, brand, events, Sender("bench"))

    for start in range(0, PEOPLE, SIZE):
        await store(batch(-1 - start, range(start, start + SIZE)))
        if admin_url is not None and start % 4_000 == 0:
            await _analyze(admin_url)
    waiting = [batch(number, range(PEOPLE)) for number in range(600)]
    collector.tune()
    started, stored = time.perf_counter(), 0

    async def send() -> None:
        nonlocal stored
        while waiting and time.perf_counter() - started < SECONDS:
            await store(waiting.pop())
            stored += SIZE

    await asyncio.gather(*(send() for _ in range(at_once)))
    return stored / (time.perf_counter() - started)


async def _analyze(admin_url: str) -> None:
    # what autovacuum does in production
    connection = await asyncpg.connect(admin_url)
    await connection.execute("ANALYZE")
    await connection.close()


async def measure(url: str, at_once: int, admin_url: str | None = None) -> float:
    """Return the rate on a fresh, migrated database."""
    database = Database(url)
    try:
        return await rate_of(database, at_once, admin_url)
    finally:
        await database.dispose()


def judge(bars: Bars) -> None:
    """Measure both and judge them."""
    with scratch.folder("bench") as folder:
        url = f"sqlite+aiosqlite:///{folder}/scrm.db"
        migrations.upgrade(url)
        _judge(bars, "SQLite", run(measure(url, 1)))
    with postgres.running(durable=True, settings=SETTINGS) as cluster:
        cluster.create("scrm")
        migrations.upgrade(cluster.owner_url("scrm"))
        migrations.allow(cluster.owner_url("scrm"), postgres.APP)
        admin = make_url(cluster.admin_url).set(drivername="postgresql", database="scrm")
        plain = admin.render_as_string(hide_password=False)
        _judge(bars, "PostgreSQL", run(measure(cluster.app_url("scrm"), AT_ONCE, plain)))


def _judge(bars: Bars, name: str, rate: float) -> None:
    bars.judge(f"events {name}", f"{rate:,.0f}/s", f"{BARS[name]:,}/s", holds=rate >= BARS[name])
