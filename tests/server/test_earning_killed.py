"""A server killed while events come in keeps what it took, once: events, their counts and what they earn (M05, F06)."""

import itertools
from collections import Counter
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from domain import clock
from domain.database import Database
from domain.events.models import EventCount, FanEvent
from domain.fans.models import Fan
from domain.points.ledger.book import transfers
from domain.tables import table_of
from tests.cast import EVERYTHING
from tests.earning import TRACK, give, rule, sound
from tests.server.deployed import Deployment, Server
from tests.server.killed_server import KILLS, payload, through_kills, without_graph
from tests.world import Client

pytestmark = pytest.mark.slow

ROWS = 5
# longer than a worker that was killed keeps others from what it had taken
LEASE = timedelta(minutes=2)
events, counts, fans = table_of(FanEvent), table_of(EventCount), table_of(Fan)


async def test_events_through_kills_are_stored_counted_and_earned_once(
    client: Client, database: Database, deployment: Deployment
) -> None:
    world = client.world
    await rule(client, "view", "h5_view", points=1)
    brand = world.id("Brand", "g1/b1")

    async def send(server: Server, key: str) -> bool:
        rows = [_row(key, number) for number in range(ROWS)]
        if key.startswith("track"):
            made = payload(await server.ask(world.api_key, TRACK, i={"brandId": brand, "events": rows}))
            results = [] if made is None else made["results"]
        else:
            headers = {"authorization": f"Bearer {world.api_key}", "content-type": "application/json"}
            answer = await server.http.post(
                "/events", content=orjson.dumps(rows), params={"brandId": brand}, headers=headers
            )
            results = answer.json()["results"] if answer.status_code == 200 else []
            assert answer.status_code in (200, 409, 503), answer.text
        assert {row["outcome"] for row in results} <= {"STORED", "DUPLICATE"}, results
        return len(results) == ROWS

    async def look() -> set[str]:
        return await whole_batches(database)

    keys = (f"{kind} {number}" for number in itertools.count() for kind in ("track", "post"))
    told = await through_kills(without_graph(deployment), keys, send, look)

    sent = told.done | told.unknown
    assert len(told.done) >= KILLS
    assert await whole_batches(database) == sent
    with clock.at(clock.now() + LEASE):
        await give(world)
    async with database.reading(EVERYTHING) as session:
        earned = select(transfers.c.points).where(transfers.c.kind == "EARN")
        points = list((await session.execute(earned)).scalars())
        newcomers = (await session.execute(select(fans.c.id).where(fans.c.id > max(world.fans.values())))).all()
    assert points == [1] * (len(sent) * ROWS)
    assert len(newcomers) == len(sent)
    await sound(world)


def _row(key: str, number: int) -> dict[str, Any]:
    """Return an event of a batch: the first is of somebody new, the others of fans who are there."""
    who = f"g1/b1/d1#{number}" if number else f"new of {key}"
    return {
        "name": "h5_view",
        "occurredAt": f"2026-02-0{number + 1}T08:00:00Z",
        "eventId": f"{key}/{number}",
        "identities": [{"kind": "EXTERNAL_ID", "value": who, "issuer": "test"}],
        "properties": {"of": key},
    }


async def whole_batches(database: Database) -> set[str]:
    """Return the batches that were stored, and assert that each is whole and once, and counted."""
    async with database.reading(EVERYTHING) as session:
        stored = select(events.c.fan_id, events.c.occurred_at, events.c.properties).where(events.c.name == "h5_view")
        rows = (await session.execute(stored)).all()
        said = await session.execute(select(counts.c.fan_id, counts.c.day, counts.c["count"].label("times")))
        counted = {(row.fan_id, row.day): row.times for row in said}
    batches = Counter(row.properties["of"] for row in rows)
    assert set(batches.values()) <= {ROWS}
    # the brand's days are those of Shanghai
    days = Counter((row.fan_id, (row.occurred_at + timedelta(hours=8)).date()) for row in rows)
    assert counted == dict(days)
    return set(batches)
