"""What runs beside the requests."""

import asyncio
from datetime import timedelta

from sqlalchemy import insert, select, text, update

from domain import clock, idempotency
from domain.database import Database
from domain.idempotency import Idempotency
from domain.outbox import Outbox, upkeep
from domain.scope import system_scope
from domain.tables import table_of
from server import worker
from server.worker import KEYS_KEPT, SENT_KEPT, forget
from tests.world import World

SYSTEM = system_scope("test")
MINUTE = timedelta(minutes=1)
keys, events = table_of(Idempotency), table_of(Outbox)


async def add_keys(database: Database, world: World, **ages: timedelta) -> None:
    """Write idempotency keys that were used so long ago."""
    group_id, now = world.nodes["g1"], clock.now()
    same = {"principal": "staff:1", "mutation": "recordOrders", "group_id": group_id, "request_hash": b"x" * 32}
    rows = [{**same, "key": key, "created_at": now - age} for key, age in ages.items()]
    async with database.writing(SYSTEM) as session:
        await session.execute(insert(keys), rows)


async def keys_left(database: Database) -> set[str]:
    async with database.reading(SYSTEM) as session:
        return set((await session.execute(select(keys.c.key))).scalars())


async def event_ids(database: Database) -> list[int]:
    async with database.reading(SYSTEM) as session:
        return list((await session.execute(select(events.c.id).order_by(events.c.id))).scalars())


async def age(database: Database, ids: list[int], *, made: timedelta, sent: timedelta | None) -> None:
    """Let events have been made, and delivered unless `sent` is None, so long ago."""
    now = clock.now()
    values = {"created_at": now - made, "sent_at": None if sent is None else now - sent}
    async with database.writing(SYSTEM) as session:
        await session.execute(update(events).where(events.c.id.in_(ids)).values(**values))


async def test_it_forgets_keys_only_when_they_are_older_than_promised(world: World) -> None:
    database = world.services.database
    await add_keys(database, world, old=KEYS_KEPT + MINUTE, promised=KEYS_KEPT - MINUTE, new=timedelta())

    await forget(world.services)

    assert timedelta(hours=72) < KEYS_KEPT
    assert await keys_left(database) == {"promised", "new"}


async def test_it_forgets_events_only_when_they_were_delivered_long_ago(world: World) -> None:
    database = world.services.database
    old, late, recent, pending, *rest = await event_ids(database)
    long_ago = SENT_KEPT + MINUTE
    await age(database, [old], made=long_ago, sent=long_ago)
    await age(database, [late], made=long_ago, sent=SENT_KEPT - MINUTE)
    await age(database, [recent], made=SENT_KEPT - MINUTE, sent=SENT_KEPT - MINUTE)
    await age(database, [pending], made=long_ago, sent=None)

    await forget(world.services)

    assert await event_ids(database) == [late, recent, pending, *rest]


async def test_events_are_forgotten_through_as_many_windows_as_there_are(world: World, monkeypatch: object) -> None:
    database = world.services.database
    ids = await event_ids(database)
    await age(database, ids, made=SENT_KEPT + MINUTE, sent=SENT_KEPT + MINUTE)
    await age(database, ids[-1:], made=timedelta(), sent=None)

    deleted = await upkeep.prune(database, clock.now() - SENT_KEPT)
    nothing = await idempotency.prune(database, clock.now() - KEYS_KEPT)

    assert (deleted, nothing) == (len(ids) - 1, 0)
    assert await event_ids(database) == ids[-1:]


async def test_it_ends_when_it_is_told_to(world: World) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(worker.work(world.services, stop))
    await asyncio.sleep(0.2)

    stop.set()
    await asyncio.wait_for(running, 10)

    async with world.services.database.reading(SYSTEM) as session:
        claimed = await session.execute(text("SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL"))
    assert claimed.scalar_one() == 0
