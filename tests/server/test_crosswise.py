"""Two servers and their workers change the same two fans in opposite order: nobody is in the other's way (M07)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import func, select, text

from domain.database import Database
from domain.outbox import Outbox
from domain.points.ledger.book import transfers
from domain.tables import table_of
from tests.api.test_earn_points import EARN
from tests.api.test_record_order_refunds import REFUNDS
from tests.api.test_record_orders import RECORD, spend_of, sums_hold
from tests.cast import EVERYTHING
from tests.earning import rule, sound
from tests.mall import balances
from tests.server.deployed import Deployment, Server
from tests.server.killed_server import without_graph
from tests.server.test_orders_killed import GROWTH, POINTS, chain_holds, everything_is_earned
from tests.world import Client, World

pytestmark = pytest.mark.slow

ONE, OTHER = "g1/b1/d1#1", "g1/b1/d1#2"
# each round is three mutations at either server, of which the third is two calls; so many rounds are under way at once
ROUNDS, AT_ONCE = 100, 4
MOVES = 30
# who is told that another change is under way comes again as the error says, so often at most
RETRIES = 3
# yuan that an order costs, what of it each server pays back, and what a call earns
COSTS, BACK, EARNED = 10, "1.50", 7
outbox = table_of(Outbox)


@dataclass
class Pair:
    """Two servers on one database."""

    world: World
    servers: tuple[Server, Server]

    async def do(self, at: int, document: str, key: str, **given: Any) -> dict[str, Any]:
        """Have something done by one of the servers, once, and return what it says of it."""
        for _ in range(1 + RETRIES):
            wanted = {**given, "idempotencyKey": key}
            answer = await self.servers[at].ask(self.world.api_key, document, i=wanted)
            if "errors" not in answer:
                (made,) = answer["data"].values()
                assert made["userErrors"] == [], made
                return dict(made)
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["CONFLICT"], answer
            await asyncio.sleep(0.05)
        raise AssertionError(f"others were in the way of {key} again and again")

    async def record(self, at: int, key: str, rows: list[tuple[str, str]]) -> list[str]:
        """Record orders by their numbers and the names of their fans, and return what came of each."""
        batch = [{"number": number, "fan": _named(fan), **_PAID} for number, fan in rows]
        made = await self.do(at, RECORD, key, **self._place(), orders=batch)
        return [row["outcome"] for row in made["results"]]

    async def pay_back(self, at: int, key: str, numbers: list[str]) -> list[str]:
        """Pay a part of orders back, and return what came of each."""
        rows = [{"orderNumber": number, "number": key, "amount": BACK} for number in numbers]
        made = await self.do(at, REFUNDS, key, **self._place(), refunds=rows)
        return [row["outcome"] for row in made["results"]]

    async def earn(self, at: int, key: str, fan: str) -> int:
        """Let a fan earn, and return how much."""
        made = await self.do(at, EARN, key, fanId=self.world.id("Fan", fan), code="post")
        return int(made["grant"]["grantedPoints"])

    def _place(self) -> dict[str, str]:
        return {"brandId": self.world.id("Brand", "g1/b1"), "source": "pos"}


class Circle(AssertionError):
    """PostgreSQL had to break a deadlock."""


_PAID = {"placedAt": "2026-02-01T08:00:00+08:00", "amount": f"{COSTS}.00"}


def _named(fan: str) -> dict[str, str]:
    return {"kind": "EXTERNAL_ID", "value": fan, "issuer": "test"}


@asynccontextmanager
async def pair(deployment: Deployment, world: World) -> AsyncIterator[Pair]:
    """Run two servers, each with its worker."""
    async with deployment.serving() as one, deployment.serving() as other:
        yield Pair(world, (one, other))


async def rounds(pair: Pair) -> None:
    """Go all rounds, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def go(number: int) -> None:
        async with places:
            await one_round(pair, number)

    async with asyncio.TaskGroup() as going:
        for number in range(ROUNDS):
            going.create_task(go(number))


async def one_round(pair: Pair, number: int) -> None:
    """Sell to both fans at both servers, and pay back of all of it at both, each time in opposite order; and earn."""
    ways = ((ONE, OTHER), (OTHER, ONE))
    sold = [[f"{number} {at} {fan}" for fan in ways[at]] for at in (0, 1)]
    recorded = await asyncio.gather(
        *(pair.record(at, f"orders {number} {at}", list(zip(sold[at], ways[at], strict=True))) for at in (0, 1))
    )
    assert recorded == [["CREATED"] * 2] * 2
    all_sold = sorted(sold[0] + sold[1])
    paid_back, *earned = await asyncio.gather(
        asyncio.gather(*(pair.pay_back(at, f"refunds {number} {at}", all_sold[:: 1 - 2 * at]) for at in (0, 1))),
        *(pair.earn(at, f"earn {number} {at} {fan}", fan) for at in (0, 1) for fan in ways[at]),
    )
    assert paid_back == [["CREATED"] * 4] * 2
    assert earned == [EARNED] * 4


async def test_two_servers_that_change_two_fans_crosswise_never_wait_for_each_other(
    client: Client, database: Database, deployment: Deployment
) -> None:
    world = client.world
    await rule(client, "buy", "order_paid", perAmount="1", points=POINTS, growth=GROWTH)
    await rule(client, "post", "post", points=EARNED)
    async with pair(without_graph(deployment), world) as both:
        await rounds(both)
        await worked_off(database)

    await nobody_waited_in_a_circle(database)
    await everything_is_earned(database)
    # of each order three yuan are paid back; each server sells one to each fan, and lets them earn
    wanted = ROUNDS * 2 * ((COSTS - 3) * POINTS + EARNED), ROUNDS * 2 * (COSTS - 3) * GROWTH
    for fan in (ONE, OTHER):
        has = await balances(world, fan)
        assert (has.spendable, has.growth, has.debt, has.held, has.pending) == (*wanted, 0, 0, 0)
    async with database.reading(EVERYTHING) as session:
        earned = select(func.count()).where(transfers.c.kind == "EARN")
        assert (await session.execute(earned)).scalar_one() == ROUNDS * 2 * 4
    await sums_hold(world)
    await sound(world)
    await chain_holds(world, database)


async def test_orders_that_change_hands_crosswise_never_wait_for_each_other(
    client: Client, database: Database, deployment: Deployment
) -> None:
    world = client.world
    async with pair(without_graph(deployment), world) as both:
        assert await both.record(0, "first", [("mine", ONE), ("yours", OTHER)]) == ["CREATED"] * 2
        for number in range(MOVES):
            mine, yours = (ONE, OTHER) if number % 2 else (OTHER, ONE)
            changed = await asyncio.gather(
                both.record(0, f"move {number} 0", [("mine", mine)]),
                both.record(1, f"move {number} 1", [("yours", yours)]),
            )
            assert list(changed) == [["UPDATED"]] * 2

    # world W sold each an order before
    assert [await spend_of(world, fan) for fan in (ONE, OTHER)] == [(1000 + COSTS * 100, 2), (2000 + COSTS * 100, 2)]
    await sums_hold(world)
    await nobody_waited_in_a_circle(database)


async def worked_off(database: Database) -> None:
    """Wait until the workers have given all that was noted."""
    noted = select(func.count()).where(outbox.c.consumer == "points", outbox.c.sent_at.is_(None))
    async with asyncio.timeout(60):
        while True:
            async with database.reading(EVERYTHING) as session:
                if not (await session.execute(noted)).scalar_one():
                    return
            await asyncio.sleep(0.2)


async def nobody_waited_in_a_circle(database: Database) -> None:
    """Assert that PostgreSQL broke no deadlock; SQLite, which has one writer, knows none."""
    if database.dialect != "postgresql":
        return
    # a connection counts when it is closed, and those of the servers are
    await asyncio.sleep(1)
    async with database.reading(EVERYTHING) as session:
        broken = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        found = (await session.execute(broken)).scalar_one()
    if found:
        raise Circle(f"{found} deadlocks")
