"""The graph refuses, hangs or dies: the rest is served, its fields say so quickly, and nothing is lost (F01, F02)."""

import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from tests.conftest import GRAPH, GraphServer
from tests.server.deployed import Deployment, Server, drained
from tests.services.link import Link, linked
from tests.world import World

pytestmark = pytest.mark.slow

QUICK_SECONDS = 1.0
FANS = "{ fans(first: 3) { nodes { nickname spend { amount } tags { name } } totalCount } }"
SHAPES = "{ cascades(first: 2) { nodes { size shape { depth } } } }"
RECORD = """mutation($input: RecordOrdersInput!) {
  recordOrders(input: $input) { results { outcome } userErrors { code } } }"""


@pytest.fixture
async def link(graph_server: GraphServer) -> AsyncIterator[Link]:
    """Yield a link to the run's graph server, to be cut."""
    at = make_url(graph_server.uri)
    assert at.host is not None
    assert at.port is not None
    async with linked(at.host, at.port) as found:
        yield found


@pytest.fixture
def behind(deployment: Deployment, graph_server: GraphServer, link: Link) -> Deployment:
    """Return the deployment with its graph behind the link."""
    user, password = graph_server.auth
    named = {"URI": f"bolt://127.0.0.1:{link.port}", "USER": user, "PASSWORD": password}
    named["DATABASE"] = graph_server.database
    return deployment.having(**{f"SCRM_GRAPH_{name}": value for name, value in named.items()})


async def buy(server: Server, world: World, token: str, number: str) -> dict[str, Any]:
    """Record an order of a fan the graph does not know yet."""
    order = {
        "number": number,
        "fan": {"kind": "EXTERNAL_ID", "value": f"newcomer-{number}", "issuer": "test"},
        "placedAt": "2026-06-01T08:00:00Z",
        "amount": "1.00",
    }
    wanted = {"brandId": world.id("Brand", "g1/b1"), "source": "till", "idempotencyKey": number, "orders": [order]}
    answer = await server.ask(token, RECORD, input=wanted)
    found: dict[str, Any] = answer["data"]["recordOrders"]
    return found


async def shapes(server: Server, token: str) -> tuple[list[Any], set[str], float]:
    """Return the depths of two cascades, the codes of the errors, and after how many seconds they came."""
    started = time.monotonic()
    answer = await server.ask(token, SHAPES)
    assert "data" in answer, answer
    nodes = answer["data"]["cascades"]["nodes"]
    codes = {error["extensions"]["code"] for error in answer.get("errors", [])}
    assert [node["size"] for node in nodes] == [4, 4]
    return [node["shape"] for node in nodes], codes, time.monotonic() - started


async def assert_degraded(server: Server, world: World, token: str, number: str) -> None:
    """Check that all but the graph's fields is served, and that those fail quickly once somebody has noticed."""
    ready = await server.http.get("/readyz")
    found, codes, seconds = await shapes(server, token)
    fans = await server.ask(token, FANS)
    bought = await buy(server, world, token, number)

    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert (found, codes) == ([None, None], {"UNAVAILABLE"})
    assert seconds < QUICK_SECONDS
    assert "errors" not in fans
    assert len(fans["data"]["fans"]["nodes"]) == 3
    assert bought == {"results": [{"outcome": "CREATED"}], "userErrors": []}
    assert await server.pending(token) > 0


async def test_a_graph_that_refuses_or_hangs_takes_nothing_else_with_it(
    behind: Deployment, world: World, link: Link
) -> None:
    token = behind.tokens.mint_staff("HQ1")

    await link.cut()
    async with behind.serving() as server:
        await assert_degraded(server, world, token, "refused")
        await link.mend()
        first = await drained(server, token)
        await link.stall()
        await assert_degraded(server, world, token, "hanging")
        await link.cut()
        await link.mend()
        second = await drained(server, token)
        found, codes, _ = await shapes(server, token)

    assert (first, second) == (True, True)
    assert (found, codes) == ([{"depth": 3}, {"depth": 3}], set())


@pytest.mark.skipif(GRAPH != "embedded", reason="the embedded engine is tested on its own leg")
async def test_an_engine_that_is_killed_comes_back_and_learns_what_it_missed(
    deployment: Deployment, world: World
) -> None:
    token = deployment.tokens.mint_staff("HQ1")

    async with deployment.serving() as server:
        assert await drained(server, token)
        first = deployment.engine_pid()
        os.kill(first, signal.SIGKILL)
        await assert_degraded(server, world, token, "missed")
        caught_up = await drained(server, token)
        found, codes, _ = await shapes(server, token)
        ready = await server.http.get("/readyz")
        second = deployment.engine_pid()

    assert caught_up
    assert (found, codes) == ([{"depth": 3}, {"depth": 3}], set())
    assert ready.json()["status"] == "ready"
    assert first != second
