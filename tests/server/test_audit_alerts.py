"""The worker's nightly audit looks at balances and at chains, and what is wrong with either is told to the log."""

import asyncio

import pytest

from domain.database import Database
from server import worker
from tests.domain.test_auditing_alerts import alerts, alter_abroad, listening, make_rich
from tests.domain.test_point_chain import FAN
from tests.server.deployed import eventually
from tests.world import World


async def test_the_nightly_audit_tells_of_balances_and_of_chains_that_are_wrong_and_once(
    world: World, owner_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alter_abroad(world, owner_database)
    await make_rich(world, FAN)
    monkeypatch.setattr(worker, "AUDIT_SECONDS", 0.01)

    stop = asyncio.Event()
    with listening() as lines:
        running = asyncio.create_task(worker._audit_nightly(world.services, stop))
        verified = await eventually(lambda: [line["event"] for line in lines].count("chain_ends") == 2)
        await asyncio.sleep(0.1)
        stop.set()
        await asyncio.wait_for(running, 10)

    assert verified
    assert [(line["event"], line["brand"]) for line in alerts(lines)] == [
        ("ledger_differs", world.nodes["g1/b1"]),
        ("ledger_differs", world.nodes["g1/b1"]),
        ("chain_broken", world.nodes["g1/b2"]),
    ]
