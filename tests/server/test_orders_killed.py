"""A server killed while shops sell, pay back and call off: each is there whole and once, its points too (M05, F06)."""

import itertools
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from domain import clock
from domain.audit import AuditEntry
from domain.database import Database, at_one_moment
from domain.idempotency import Idempotency
from domain.mall.models import Redemption
from domain.orders.models import Order, OrderLine, OrderRefund
from domain.outbox import Outbox
from domain.points import auditing
from domain.points.earning.granting import grants
from domain.points.ledger.book import draws, transfers
from domain.tables import table_of
from tests.api.test_record_order_refunds import REFUNDS
from tests.api.test_record_orders import RECORD, sums_hold
from tests.cast import EVERYTHING
from tests.domain.test_point_chain import seal_all
from tests.earning import give, rule, sound
from tests.mall import REDEEM, balances, give_points, offer, stock_holds
from tests.server.deployed import Deployment, Server
from tests.server.killed_server import KILLS, patiently, payload, through_kills, without_graph
from tests.world import Client, World

pytestmark = pytest.mark.slow

FANS = [f"g1/b1/d1#{number}" for number in (1, 2, 3, 4)]
KINDS = ("order", "redeem", "refund", "cancel")
CANCEL = """mutation($i: CancelRedemptionInput!) { cancelRedemption(input: $i) {
  userErrors { code } redemption { id state } } }"""
# a redemption takes some lots and a part of the next; those of the orders come after all of them
LOTS, LOT, PLENTY, STOCK, PRICE = 8, 25, 10**9, 10**6, 60
# in minor units: what the orders of a batch cost, and what of each of them is paid back at a time
AMOUNTS, BACK = (1050, 3675, 799), (225, 310)
ROWS, POINTS, GROWTH = 2, 3, 2
# longer than a worker that was killed keeps others from what it had taken
LEASE = timedelta(minutes=2)
orders, lines, refunds = (table_of(model) for model in (Order, OrderLine, OrderRefund))
keys, redemptions, audits, outbox = (table_of(model) for model in (Idempotency, Redemption, AuditEntry, Outbox))


@dataclass
class Shop:
    """Sells and lets fans redeem, each thing under a key that says it; what it was told done, it undoes."""

    world: World
    gift: str
    staff: str
    redeemed: dict[int, str] = field(default_factory=dict)
    undoing: deque[str] = field(default_factory=deque)

    def keys(self) -> Iterator[str]:
        """Name what is to be done next, without end."""
        for number in itertools.count(2):
            yield f"order {number}"
            yield f"redeem {number}"
            while self.undoing:
                yield self.undoing.popleft()

    async def send(self, server: Server, key: str) -> bool:
        """Do what the key says; tell whether it is done."""
        kind, *rest = key.split(" ")
        number, *part = map(int, rest)
        if kind in ("order", "refund"):
            rows = _orders(number) if kind == "order" else _refunds(number, *part)
            place = {"brandId": self.world.id("Brand", "g1/b1"), "source": "pos", "idempotencyKey": key}
            document, of = (RECORD, "orders") if kind == "order" else (REFUNDS, "refunds")
            made = payload(await server.ask(self.world.api_key, document, i={**place, of: rows}))
            if made is not None:
                assert [row["outcome"] for row in made["results"]] == ["CREATED"] * ROWS, made
        elif kind == "redeem":
            wanted = {"fanId": self.world.id("Fan", _fan(number)), "giftId": self.gift, "points": PRICE}
            made = payload(await server.ask(self.staff, REDEEM, i={**wanted, "idempotencyKey": key}))
        else:
            wanted = {"redemptionId": self.redeemed[number], "reason": key}
            made = payload(await server.ask(self.staff, CANCEL, i={**wanted, "idempotencyKey": key}))
        if made is not None:
            self._note(kind, number, made)
        return made is not None

    def _note(self, kind: str, number: int, made: dict[str, Any]) -> None:
        """Keep in mind what can be undone now: of every other order both parts go back, and every other redemption."""
        if kind == "order":
            self.undoing.extend(f"refund {number} {part}" for part in range(1 + number % 2))
        if kind == "redeem":
            self.redeemed[number] = made["redemption"]["id"]
            self.undoing.extend([f"cancel {number}"] if number % 2 else [])


def _fan(number: int) -> str:
    return FANS[number % len(FANS)]


def _amount(number: int, row: int) -> int:
    return AMOUNTS[(number + row) % len(AMOUNTS)]


def _yuan(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _orders(number: int) -> list[dict[str, Any]]:
    """Return a batch: orders of different fans, each with a line."""
    batch = []
    for row in range(ROWS):
        amount = _yuan(_amount(number, row))
        who = {"kind": "EXTERNAL_ID", "value": _fan(number + row), "issuer": "test"}
        of = {"number": f"{number} {row}", "fan": who, "placedAt": "2026-02-01T08:00:00+08:00", "amount": amount}
        batch.append({**of, "lines": [{"title": "茶", "quantity": 1, "amount": amount}]})
    return batch


def _refunds(number: int, part: int) -> list[dict[str, Any]]:
    """Return a batch: a part of each order of one."""
    of = {"number": f"part {part}", "amount": _yuan(BACK[part])}
    return [{"orderNumber": f"{number} {row}", **of} for row in range(ROWS)]


async def test_orders_refunds_and_cancellations_through_kills_take_effect_once(
    client: Client, database: Database, deployment: Deployment
) -> None:
    world, deployment = client.world, without_graph(deployment)
    shop = Shop(world, await offer(client, stock=STOCK), deployment.tokens.mint_staff("B1"))
    for fan in FANS:
        for points in (*[LOT] * LOTS, PLENTY):
            await give_points(world, fan, points)
    await rule(client, "buy", "order_paid", perAmount="1", points=POINTS, growth=GROWTH)
    # there is something to undo from the first moment on
    before = [f"{kind} {number}" for number in (0, 1) for kind in ("order", "redeem")]
    async with deployment.serving() as server:
        for key in before:
            assert await patiently(server, key, shop.send)

    async def look() -> set[str]:
        return await whole_effects(database) - set(before)

    told = await through_kills(deployment, shop.keys(), shop.send, look)

    sent = told.done | told.unknown | set(before)
    assert len(told.done) >= KILLS
    assert {key.split(" ")[0] for key in told.done | told.unknown} == set(KINDS)
    assert await whole_effects(database) == sent
    with clock.at(clock.now() + LEASE):
        await give(world)
    await everything_is_earned(database)
    for fan in FANS:
        has = await balances(world, fan)
        points, growth, held = expected(fan, sent)
        assert (has.spendable, has.growth, has.held) == (points, growth, held)
        assert (has.debt, has.pending, has.growth_pending) == (0, 0, 0)
    await stock_holds(world)
    await sums_hold(world)
    await sound(world)
    await chain_holds(world, database)


def expected(fan: str, sent: set[str]) -> tuple[int, int, int]:
    """Return what the fan has to spend, to grow by and set aside when exactly this took effect."""
    paid = Counter[tuple[int, int]]()
    held = 0
    for kind, number, *part in (key.split(" ") for key in sent):
        if kind in ("order", "refund"):
            for row in range(ROWS):
                amount = -BACK[int(part[0])] if part else _amount(int(number), row)
                paid[int(number), row] += amount if _fan(int(number) + row) == fan else 0
        elif _fan(int(number)) == fan:
            held += PRICE if kind == "redeem" else -PRICE
    units = sum(left // 100 for left in paid.values())
    return LOTS * LOT + PLENTY + units * POINTS - held, units * GROWTH, held


async def whole_effects(database: Database) -> set[str]:
    """Return the keys that had an effect, and assert that each is whole and there once: answer, effect and traces."""
    async with database.reading(EVERYTHING) as session:
        await at_one_moment(session)
        used = await session.execute(select(keys.c.key))
        answered = [row.key for row in used if row.key.startswith(KINDS)]
        of_orders = await _of_orders(session)
        of_redemptions = await _of_redemptions(session)
    assert of_orders.isdisjoint(of_redemptions)
    assert sorted(answered) == sorted(of_orders | of_redemptions)
    return of_orders | of_redemptions


async def _of_orders(session: Any) -> set[str]:
    """Return the keys of orders and refunds, and assert that each batch is there with all that goes with it."""
    sold = {row.id: row for row in await session.execute(select(orders).where(orders.c.source == "pos"))}
    back = [row for row in await session.execute(select(refunds)) if row.order_id in sold]
    lined = Counter((await session.execute(select(lines.c.order_id))).scalars())
    noted = select(outbox.c.payload["orders"]).where(outbox.c.consumer == "points", outbox.c.kind == "orders")
    notes = Counter(tuple(sorted(ids)) for ids in (await session.execute(noted)).scalars())
    wanted = select(audits.c.action, audits.c.detail).where(audits.c.action.in_(("order:record", "order:refund")))
    log = Counter((r.action, *sorted(r.detail["orders"])) for r in await session.execute(wanted) if _of_pos(r))

    batches: dict[str, list[int]] = {}
    for row in sold.values():
        number, place = row.number.split(" ")
        assert (row.amount, lined[row.id]) == (_amount(int(number), int(place)), 1)
        batches.setdefault(f"order {number}", []).append(row.id)
    paid_back = Counter[int]()
    for row in back:
        number, part = sold[row.order_id].number.split(" ")[0], row.number.split(" ")[1]
        assert row.amount == BACK[int(part)]
        batches.setdefault(f"refund {number} {part}", []).append(row.order_id)
        paid_back[row.order_id] += row.amount
    assert {len(ids) for ids in batches.values()} <= {ROWS}
    assert {row.id: row.refunded for row in sold.values()} == {order_id: paid_back[order_id] for order_id in sold}
    # the note that lets orders earn and the line in the log, for each batch one
    assert notes == Counter(tuple(sorted(ids)) for ids in batches.values())
    deed = {"order": "order:record", "refund": "order:refund"}
    assert log == Counter((deed[key.split(" ")[0]], *sorted(ids)) for key, ids in batches.items())
    return set(batches)


def _of_pos(entry: Any) -> bool:
    return bool(entry.detail["source"] == "pos")


async def _of_redemptions(session: Any) -> set[str]:
    """Return the keys of redemptions and cancellations, and assert that the points of each went where they belong."""
    posted = {row.id: row for row in await session.execute(select(transfers))}
    drawn: dict[int, Counter[int]] = {}
    for row in await session.execute(select(draws)):
        drawn.setdefault(row.transfer_id, Counter())[row.lot_id] += row.points
    ended: dict[int, list[Any]] = {}
    for row in posted.values():
        if row.kind == "VOID":
            ended.setdefault(row.reverses_id, []).append(row)
    log = Counter((row.action, row.subject) for row in await session.execute(select(audits)))

    found = []
    for row in await session.execute(select(redemptions)):
        key, subject = posted[row.hold_id].request_key, f"Redemption:{row.id}"
        found.append(key)
        assert (posted[row.hold_id].points, drawn[row.hold_id].total()) == (-PRICE, PRICE)
        assert log["redemption:create", subject] == 1
        if row.state == "CREATED":
            assert row.hold_id not in ended
            assert ("redemption:cancel", subject) not in log
            continue
        found.append(row.cancel_reason)
        assert (row.state, row.cancel_reason.split(" ")) == ("CANCELLED", ["cancel", key.split(" ")[1]])
        # back to the lots they came from, all of them and once
        (void,) = ended[row.hold_id]
        assert (void.points, void.kind) == (PRICE, "VOID")
        assert {lot: -points for lot, points in drawn[void.id].items()} == drawn[row.hold_id]
        assert log["redemption:cancel", subject] == 1
    assert len(found) == len(set(found))
    holds = [row for row in posted.values() if row.kind == "HOLD"]
    assert len(holds) == sum(key.startswith("redeem") for key in found)
    assert sum(map(len, ended.values())) == sum(key.startswith("cancel") for key in found)
    return set(found)


async def everything_is_earned(database: Database) -> None:
    """Assert that each order earned once, and that what is left of that is what the rest of its price is worth."""
    async with database.reading(EVERYTHING) as session:
        await at_one_moment(session)
        left = select(outbox.c.id).where(outbox.c.consumer == "points", outbox.c.sent_at.is_(None))
        assert (await session.execute(left)).all() == []
        sold = {row.id: row for row in await session.execute(select(orders).where(orders.c.source == "pos"))}
        granted = list(await session.execute(select(grants).where(grants.c.order_id.is_not(None))))
        posted = list(await session.execute(select(transfers).where(transfers.c.reference.like("Order:%"))))
    assert sorted(row.order_id for row in granted) == sorted(sold)
    for row in granted:
        order, mine = sold[row.order_id], [one for one in posted if one.reference == f"Order:{row.order_id}"]
        units = (order.amount - order.refunded) // 100
        (earned,) = [one for one in mine if one.kind == "EARN"]
        taken = [one for one in mine if one.kind == "CLAW_BACK"]
        assert len(mine) == 1 + len(taken)
        assert (earned.points, earned.growth) == (row.granted_points, row.granted_growth)
        assert -sum(one.points for one in taken) == row.taken_points == row.granted_points - units * POINTS
        assert -sum(one.growth for one in taken) == row.taken_growth == row.granted_growth - units * GROWTH


async def chain_holds(world: World, database: Database) -> None:
    """Assert that every transfer of the brand can be sealed, each once, and that all links are whole."""
    await seal_all(world)
    brand = world.nodes["g1/b1"]
    async with database.reading(EVERYTHING) as session:
        posted = (await session.execute(select(transfers.c.id).where(transfers.c.brand_id == brand))).all()
    assert await auditing.verify(database, world.services.vault, brand) == (len(posted), 0)
    assert await auditing.look_between(database) == 0
