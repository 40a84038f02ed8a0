"""A server killed under load loses no point, gives none twice and leaves nothing half done (M04, M05, F06)."""

import itertools
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select

from domain.audit import AuditEntry
from domain.database import Database
from domain.idempotency import Idempotency
from domain.mall.models import Gift, Redemption
from domain.points.earning.granting import grants
from domain.points.ledger.adjusting import adjustments
from domain.points.ledger.audit import audit_accounts
from domain.points.ledger.book import entries, transfers
from domain.tables import table_of
from tests.api.test_earn_points import EARN
from tests.api.test_points import ADJUST
from tests.cast import EVERYTHING
from tests.earning import rule
from tests.mall import REDEEM, balances, give_points, offer
from tests.server.deployed import Deployment, Server
from tests.server.killed_server import KILLS, payload, through_kills, without_graph
from tests.world import Client, World

pytestmark = pytest.mark.slow

FANS = [f"g1/b1/d1#{number}" for number in (1, 2, 3, 4)]
KINDS = ("adjust", "earn", "redeem")
PLENTY, STOCK, PRICE = 10**9, 10**6, 60
GIVEN = {"adjust": (7, 3), "earn": (2, 5)}
keys, gifts, redemptions, audits = (table_of(model) for model in (Idempotency, Gift, Redemption, AuditEntry))


async def test_points_through_kills_are_given_and_spent_once(
    client: Client, database: Database, deployment: Deployment
) -> None:
    world, gift = client.world, await offer(client, stock=STOCK)
    await rule(client, "post", "post", points=GIVEN["earn"][0], growth=GIVEN["earn"][1])
    for fan in FANS:
        await give_points(world, fan, PLENTY)
    staff = deployment.tokens.mint_staff("B1")

    async def send(server: Server, key: str) -> bool:
        kind, number = key.split(" ")
        fan = {"fanId": world.id("Fan", FANS[int(number) % len(FANS)]), "idempotencyKey": key}
        if kind == "adjust":
            answer = await server.ask(staff, ADJUST, i={**fan, "points": 7, "growth": 3, "reason": key})
        elif kind == "earn":
            answer = await server.ask(world.api_key, EARN, i={**fan, "code": "post"})
        else:
            answer = await server.ask(staff, REDEEM, i={**fan, "giftId": gift, "points": PRICE})
        return payload(answer) is not None

    async def look() -> set[str]:
        return await whole_effects(database)

    names = (f"{kind} {number}" for number in itertools.count() for kind in KINDS)
    told = await through_kills(without_graph(deployment), names, send, look)

    sent = told.done | told.unknown
    assert len(told.done) >= KILLS
    assert await whole_effects(database) == sent
    for fan in FANS:
        mine = [kind for kind, number in map(str.split, sent) if FANS[int(number) % len(FANS)] == fan]
        counted, has = Counter(mine), await balances(world, fan)
        expected = [sum(counted[kind] * GIVEN[kind][part] for kind in GIVEN) for part in (0, 1)]
        assert has.held == counted["redeem"] * PRICE
        assert (has.spendable, has.growth) == (PLENTY + expected[0] - has.held, expected[1])
    await books_are_right(world, database)
    async with database.reading(EVERYTHING) as session:
        left = (await session.execute(select(gifts.c.stock))).scalar_one()
    assert STOCK - left == sum(key.startswith("redeem") for key in sent)


async def whole_effects(database: Database) -> set[str]:
    """Return the keys that had an effect, and assert that each is whole and there once: answer, effect and traces."""
    async with database.reading(EVERYTHING) as session:

        async def one(*columns: Any, **where: Any) -> list[Any]:
            statement = select(*columns)
            for name, value in where.items():
                statement = statement.where(columns[0].table.c[name] == value)
            return list((await session.execute(statement)).all())

        answered = [row.key for row in await one(keys.c.key) if row.key.startswith(KINDS)]
        posted = {row.id: row for row in await one(transfers.c.id, transfers.c.request_key, transfers.c.kind)}
        sides = {row.transfer_id for row in await one(entries.c.transfer_id)}
        adjusted = {row.reason: row.transfer_id for row in await one(adjustments.c.reason, adjustments.c.transfer_id)}
        held = {posted[row.hold_id].request_key: row.hold_id for row in await one(redemptions.c.hold_id)}
        earned = {row.request_key: row.id for row in posted.values() if row.kind == "EARN" and row.request_key}
        given = await one(grants.c.source)
        logged = Counter(row.action for row in await one(audits.c.action))
    effects = adjusted | held | earned
    assert set(answered) == set(effects)
    assert len(answered) == len(effects) == len(set(effects.values()))
    assert set(effects.values()) <= sides
    assert len(given) == len(earned)
    traces = {"points:adjust": adjusted, "redemption:create": held, "points:earn": earned}
    assert {action: logged[action] for action in traces} == {action: len(of) for action, of in traces.items()}
    return set(effects)


async def books_are_right(world: World, database: Database) -> None:
    """Assert that every balance is what its entries say."""
    async with database.reading(EVERYTHING) as session:
        assert (await audit_accounts(session, world.nodes["g1/b1"])).differences == ()
