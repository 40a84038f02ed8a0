"""How a deployment stops: asked to, told to, or killed. What was acknowledged is there afterwards, and nobody else."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from sqlalchemy import func, select, text

from domain.database import Database
from domain.fans.models import Fan
from domain.orders.models import Order
from domain.scope import system_scope
from domain.tables import table_of
from server.demo.crew import SUBJECTS
from tests.conftest import GRAPH
from tests.server.deployed import Deployment, Finished, Server, eventually
from tests.world import World

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to find what was left behind"),
]
embedded_only = pytest.mark.skipif(GRAPH != "embedded", reason="the embedded engine is tested on its own leg")

SYSTEM = system_scope("test")
RECORD = """mutation($input: RecordOrdersInput!) {
  recordOrders(input: $input) { results { outcome } userErrors { code } } }"""

orders = table_of(Order)


async def record(server: Server, world: World, token: str, number: str) -> bool:
    """Send one order; tell whether it was acknowledged."""
    order = {
        "number": number,
        "fan": {"kind": "EXTERNAL_ID", "value": f"buyer-{number}", "issuer": "test"},
        "placedAt": "2026-06-01T08:00:00Z",
        "amount": "12.50",
    }
    wanted = {"brandId": world.id("Brand", "g1/b1"), "source": "load", "idempotencyKey": number, "orders": [order]}
    with suppress(httpx.TransportError):
        answer = await server.ask(token, RECORD, input=wanted)
        if "errors" not in answer:
            assert answer["data"]["recordOrders"] == {"results": [{"outcome": "CREATED"}], "userErrors": []}
            return True
    return False


class Load:
    """Clients that record orders without a pause, and remember what was acknowledged."""

    def __init__(self, server: Server, world: World, token: str) -> None:
        self.acknowledged: list[str] = []
        self._tasks = [asyncio.create_task(self._client(server, world, token, n)) for n in range(6)]

    async def _client(self, server: Server, world: World, token: str, client: int) -> None:
        turn = 0
        while await record(server, world, token, f"{client}-{turn}"):
            self.acknowledged.append(f"{client}-{turn}")
            turn += 1

    async def until(self, acknowledged: int) -> None:
        """Wait for so many acknowledgements."""
        assert await eventually(lambda: len(self.acknowledged) >= acknowledged)

    async def end(self) -> set[str]:
        """Wait until no client is answered any more; return what was acknowledged."""
        await asyncio.wait_for(asyncio.gather(*self._tasks), 30)
        return set(self.acknowledged)


async def recorded(database: Database) -> list[str]:
    async with database.reading(SYSTEM) as session:
        return list((await session.execute(select(orders.c.number).where(orders.c.source == "load"))).scalars())


@asynccontextmanager
async def orders_held(database: Database) -> AsyncIterator[None]:
    """Let every writer of orders wait for the length of the block."""
    async with database.writing(SYSTEM, dry_run=True) as session:
        # on SQLite the first statement of a writing transaction holds everything
        lock = "LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE" if database.dialect == "postgresql" else "SELECT 1"
        await session.execute(text(lock))
        yield


async def test_a_server_told_to_stop_says_so_finishes_what_is_under_way_and_ends_with_0(
    deployment: Deployment, world: World, database: Database
) -> None:
    token = deployment.tokens.mint_staff("B1")

    async with deployment.having(SCRM_DRAIN_SECONDS="2").serving() as server:
        load = Load(server, world, token)
        await load.until(50)
        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        ready = await server.http.get("/readyz")
        await load.until(len(load.acknowledged) + 1)
        acknowledged = await load.end()
        code = await asyncio.wait_for(server.process.wait(), 30)

    found = await recorded(database)
    assert (ready.status_code, ready.json()["problems"]) == (503, ["draining"])
    assert code == 0
    assert acknowledged <= set(found)
    assert len(found) == len(set(found))
    assert deployment.processes() == []
    assert "Traceback" not in server.log.read_text()


async def test_a_request_under_way_is_answered_after_the_signal(
    deployment: Deployment, world: World, database: Database
) -> None:
    token = deployment.tokens.mint_staff("B1")

    async with deployment.serving() as server:
        assert await record(server, world, token, "warm")
        async with orders_held(database):
            under_way = asyncio.create_task(record(server, world, token, "late"))
            await asyncio.sleep(0.4)
            server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.4)
            assert not under_way.done()
        answered = await under_way
        code = await asyncio.wait_for(server.process.wait(), 30)

    assert (answered, code) == (True, 0)
    assert sorted(await recorded(database)) == ["late", "warm"]


async def test_a_killed_server_loses_nothing_it_acknowledged_and_takes_its_engine_along(
    deployment: Deployment, world: World, database: Database
) -> None:
    token = deployment.tokens.mint_staff("B1")

    async with deployment.serving() as server:
        load = Load(server, world, token)
        await load.until(50)
        server.kill()
        acknowledged = await load.end()

    found = await recorded(database)
    assert acknowledged <= set(found)
    assert len(found) == len(set(found))
    assert await eventually(lambda: deployment.processes() == [])


async def test_ctrl_c_ends_the_demo_with_everything_it_started_and_the_next_run_keeps_its_data(
    deployment: Deployment, database: Database
) -> None:
    first = await demo_until_ctrl_c(deployment)
    fans = await count_of_fans(database)
    second = await demo_until_ctrl_c(deployment)

    assert (first.code, second.code) == (0, 0)
    assert "Stopped. The data is kept" in first.out
    assert "Loading the demo group" in first.out
    assert "Loading" not in second.out
    assert first.out.count('{"Authorization": "Bearer ') == len(SUBJECTS) + 1
    assert (fans, await count_of_fans(database)) == (400, 400)
    assert deployment.processes() == []


async def demo_until_ctrl_c(deployment: Deployment) -> Finished:
    """Run a small demo until it serves, press Ctrl-C, and return what it said."""
    async with deployment.having(SCRM_PORT="0").started("demo", "--scale", "0.02") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = b""
        while b"Ctrl-C stops everything" not in said:
            line = await asyncio.wait_for(process.stdout.readline(), 90)
            assert line, (await process.stderr.read()).decode()
            said += line
        await asyncio.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
    return Finished(process.returncode or 0, (said + out).decode(), err.decode())


async def count_of_fans(database: Database) -> int:
    async with database.reading(SYSTEM) as session:
        return (await session.execute(select(func.count()).select_from(table_of(Fan)))).scalar_one()


@embedded_only
async def test_a_second_server_on_the_same_data_is_refused_in_one_line(deployment: Deployment) -> None:
    async with deployment.serving() as server:
        refused, compared, examined = await deployment.having(SCRM_PORT="0").each(
            ["serve"], ["graph", "verify"], ["doctor"]
        )
        alive = await server.http.get("/readyz")
        server.process.send_signal(signal.SIGINT)
        code = await asyncio.wait_for(server.process.wait(), 30)

    for finished in (refused, compared):
        assert finished.code == 1
        assert finished.err.startswith("scrm: the graph directory ")
        assert f"in use by the server with process id {server.process.pid};" in finished.err
        assert finished.err.count("\n") == 1
    assert (examined.code, "not tried: the graph directory" in examined.out) == (0, True)
    assert (alive.json()["status"], code) == ("ready", 0)
    assert deployment.processes() == []


async def test_a_server_whose_port_is_taken_ends_with_1_and_leaves_nothing(deployment: Deployment) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        finished = await deployment.having(SCRM_PORT=str(taken.getsockname()[1])).scrm("serve")

    assert finished.code == 1
    assert finished.err.splitlines()[-1] == "scrm: the server did not start; the log says why"
    assert "address already in use" in finished.err
    assert "Traceback" not in finished.err
    assert deployment.processes() == []


async def test_a_worker_told_to_stop_ends_with_0(deployment: Deployment, world: World, database: Database) -> None:
    async with deployment.started("worker") as process:
        began = time.monotonic()
        while await events_left(database):
            assert time.monotonic() < began + 60
            await asyncio.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0
    assert b"Traceback" not in err
    assert deployment.processes() == []


async def events_left(database: Database) -> int:
    async with database.reading(SYSTEM) as session:
        left = text("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
        return int((await session.execute(left)).scalar_one())
