import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert

from domain import clock
from domain.events.models import EventCount, FanEvent
from domain.tables import table_of
from server.settings import Settings
from tests.api.test_erase_me import ERASE, ME, contents, naming
from tests.api.test_export_my_data import EXPORT, JOB
from tests.cast import EVERYTHING
from tests.server.killed_worker import KILLS
from tests.world import Client

ROOT = Path(__file__).parents[2]
OTHER = "g1/b1/d1#3"
EVENTS = 1_500


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a killed worker is a forked one")
async def test_workers_killed_two_at_a_time_lose_nothing_and_do_nothing_twice(
    client: Client, database_url: str, plain_settings: Settings
) -> None:
    world, now = client.world, clock.now()
    for who in (ME, OTHER):
        at = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"], "fan_id": world.fans[who]}
        said = {"name": "scan", "occurred_at": now, "received_at": now, "clamped": False}
        events = [{**at, **said, "properties": {"n": n}} for n in range(EVENTS)]
        counts = [{**at, "name": f"e{n}", "day": now.date(), "count": n + 1} for n in range(200)]
        async with world.services.database.writing(EVERYTHING) as session:
            await session.execute(insert(table_of(FanEvent)), events)
            await session.execute(insert(table_of(EventCount)), counts)
    exporting = (await client.data(OTHER, EXPORT))["exportMyData"]["job"]["id"]
    await client.data(ME, ERASE)

    command = [sys.executable, "-m", "tests.server.killed_worker", database_url, str(plain_settings.erasure_file)]
    killed = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(killed.communicate(), 200)

    assert int(output.split()[-1]) >= KILLS // 3
    rows = await contents(world.services.database)
    assert {(job["state"], job["error"]) for job in rows["jobs"]} == {("DONE", None)}
    assert naming(rows, world.fans[ME]) <= {"erasures", "jobs"}
    (nobody,) = [row for row in rows["fans"] if row["erased_at"] is not None]
    kept = [event for event in rows["events"] if event["fan_id"] == nobody["id"]]
    assert (len(kept), {str(event["properties"]) for event in kept}) == (EVENTS, {"{}"})
    counted = {row["name"]: row["count"] for row in rows["event_counts"] if row["fan_id"] == nobody["id"]}
    assert counted == {f"e{n}": n + 1 for n in range(200)}
    job = (await client.data(OTHER, JOB, id=exporting))["myJob"]
    document = json.loads((await client.http.get(job["download"]["path"])).content)
    assert sorted(event["properties"]["n"] for event in document["events"]) == list(range(EVENTS))
    assert job["done"] == sum(len(found) for found in document.values() if isinstance(found, list))
