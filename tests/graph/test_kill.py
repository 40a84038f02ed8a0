import asyncio
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import update

from domain.database import Database
from domain.outbox import emit
from graph.driver import Graph
from graph.verify import verify
from tests.conftest import GraphServer
from tests.graph.killed_relay import KILLS
from tests.graph.test_projector import fan, fans
from tests.graph.worlds import SYSTEM, add_fans, make_world, outbox_rows

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a killed projector is a forked one")
async def test_a_projector_killed_again_and_again_loses_nothing_and_keeps_the_order(
    database: Database, database_url: str, graph: Graph, graph_server: GraphServer
) -> None:
    await make_world(database)
    async with database.writing(SYSTEM) as session:
        await add_fans(session, 1, range(2_001, 2_101), tell=False)
        await session.execute(update(fans).where(fans.c.id > 2_000).values(version=4))
        await emit(session, [fan(n, version) for version in range(1, 5) for n in range(2_001, 2_101)])

    command = [sys.executable, "-m", "tests.graph.killed_relay", database_url]
    address = [graph_server.uri, *graph_server.auth, graph_server.database]
    relay = await asyncio.create_subprocess_exec(*command, *address, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(relay.communicate(), 120)

    rows = await outbox_rows(database)
    assert int(output.split()[-1]) >= KILLS // 3
    assert len(rows) == 794
    assert {(row.attempts, row.error, row.dead_at) for row in rows} == {(0, None, None)}
    for key in {row.key for row in rows}:
        sent = [row.sent_at for row in rows if row.key == key]
        assert sent == sorted(sent)
    assert await verify(database, graph) == []
