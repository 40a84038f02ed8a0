"""The chain of transfers: sealed in order and once, and what is altered behind the triggers' back is named (M20)."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import func, select, text

from domain.database import Database
from domain.errors import Conflict
from domain.points import auditing
from domain.points.ledger import service as ledger
from domain.points.ledger.accounts import lots
from domain.points.ledger.book import draws, entries, transfers
from domain.points.ledger.rules import Earn, Spend
from domain.points.ledger.sealing import seals, waiting
from domain.points.ledger.verifying import ChainFault, Fault, verify_chain
from domain.points.programme.queries import programme_of
from domain.points.sealer import Sealer
from tests.cast import EVERYTHING
from tests.world import Client, World

FAN, OTHER, ABROAD = "g1/b1/d1#1", "g1/b1/d1#2", "g1/b2/d1#1"
CHAIN = """query($b: ID!, $n: Int = 500, $after: Int64) { ledgerChain(brandId: $b, links: $n, after: $after) {
  links head faulty faults { number transferId what } continueAfter } }"""


async def earn(world: World, source: str, fan: str = FAN, points: int = 10) -> int:
    """Give a fan points and return the id of the transfer."""
    async with world.services.database.writing(EVERYTHING) as session:
        programme = await programme_of(session, world.nodes["/".join(fan.split("/")[:2])])
        (made,) = await ledger.earn(session, programme, [Earn(world.fans[fan], source, points)], actor="test")
        return made.transfer_id


async def seal_all(world: World, **given: Any) -> int:
    """Seal everything as the worker does in some turns: when all that was open in the whole cluster has ended."""
    sealer, done = Sealer(world.services.database, world.services.vault, **given), 0
    async with asyncio.timeout(60):
        while True:
            done += await sealer.run_once()
            async with world.services.database.reading(EVERYTHING) as session:
                if not await waiting(session):
                    return done
            await asyncio.sleep(0.02)


async def chain(world: World, brand: str = "g1/b1") -> list[tuple[int, int]]:
    """Return the numbers and transfers of a brand's chain."""
    wanted = select(seals.c.number, seals.c.transfer_id).where(seals.c.brand_id == world.nodes[brand])
    async with world.services.database.reading(EVERYTHING) as session:
        return [(row[0], row[1]) for row in await session.execute(wanted.order_by(seals.c.number))]


async def faults(world: World, brand: str = "g1/b1") -> tuple[ChainFault, ...]:
    async with world.services.database.reading(EVERYTHING) as session:
        return (await verify_chain(session, world.services.vault, world.nodes[brand])).faults


class Forger:
    """Who owns the tables and can do what no trigger stops."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def run(self, statement: Any, *tables: str) -> None:
        async with self.database.writing(EVERYTHING) as session:
            on_sqlite = session.get_bind().dialect.name == "sqlite"
            for table in tables:
                dropped = [f"DROP TRIGGER {table}_no_update", f"DROP TRIGGER {table}_no_delete"]
                for one in dropped if on_sqlite else [f"ALTER TABLE {table} DISABLE TRIGGER USER"]:
                    await session.execute(text(one))
            await session.execute(statement)


@pytest.fixture
async def forger(owner_database: Database) -> Forger:
    """Return somebody who writes to the database as its owner."""
    return Forger(owner_database)


async def test_transfers_are_sealed_in_order_each_brand_for_itself(world: World) -> None:
    mine = [await earn(world, "a"), await earn(world, "b", OTHER)]
    abroad = await earn(world, "c", ABROAD)
    mine.append(await earn(world, "d"))

    assert await seal_all(world, at_once=2) == 4
    mine.append(await earn(world, "e"))
    assert await seal_all(world) == 1
    assert await seal_all(world) == 0

    assert await chain(world) == list(enumerate(mine, start=1))
    assert await chain(world, "g1/b2") == [(1, abroad)]
    for brand, links in (("g1/b1", 4), ("g1/b2", 1)):
        verified = auditing.verify(world.services.database, world.services.vault, world.nodes[brand], at_once=2)
        assert await verified == (links, 0)


async def test_two_workers_seal_each_transfer_once(world: World) -> None:
    made = [await earn(world, f"s{n}") for n in range(30)]
    workers = [Sealer(world.services.database, world.services.vault, at_once=3) for _ in range(3)]

    async def work(sealer: Sealer) -> None:
        for _ in range(20):
            with suppress(Conflict):
                await sealer.run_once()

    await asyncio.gather(*map(work, workers))
    await seal_all(world)

    assert await chain(world) == list(enumerate(made, start=1))
    assert await faults(world) == ()


@pytest.mark.postgresql
async def test_a_transfer_that_commits_late_under_a_lower_id_is_sealed_before_what_came_after(world: World) -> None:
    database = world.services.database
    sealer = Sealer(database, world.services.vault)
    async with database.writing(EVERYTHING) as session:
        programme = await programme_of(session, world.nodes["g1/b1"])
        (late,) = await ledger.earn(session, programme, [Earn(world.fans[FAN], "late", 1)], actor="test")
        early = await earn(world, "early", OTHER)
        assert [await sealer.run_once() for _ in range(3)] == [0, 0, 0]
        assert await chain(world) == []

    assert await seal_all(world) == 2
    assert late.transfer_id < early
    assert await chain(world) == [(1, late.transfer_id), (2, early)]


async def _spent(world: World) -> list[int]:
    """Earn, spend, and seal; return the ids of the transfers."""
    first, second = await earn(world, "a"), await earn(world, "b", OTHER)
    async with world.services.database.writing(EVERYTHING) as session:
        programme = await programme_of(session, world.nodes["g1/b1"])
        spent = await ledger.spend(session, programme, Spend(world.fans[FAN], 4, "gift"), actor="test")
    await seal_all(world)
    assert await faults(world) == ()
    return [first, second, spent.transfer_id]


FORGERIES: list[tuple[str, int, Any]] = [
    ("point_transfers", 0, transfers.update().values(reason="forged").where(transfers.c.source == "a")),
    ("point_transfers", 1, transfers.update().values(balance=1_000).where(transfers.c.source == "b")),
    (
        "point_entries",
        0,
        entries.update()
        .values(amount=entries.c.amount * 100)
        .where(entries.c.transfer_id == select(transfers.c.id).where(transfers.c.source == "a").scalar_subquery()),
    ),
    ("point_draws", 2, draws.update().values(points=1)),
]


@pytest.mark.parametrize("table, place, statement", FORGERIES)
async def test_what_was_altered_behind_the_triggers_is_named(
    world: World, forger: Forger, table: str, place: int, statement: Any
) -> None:
    ids = await _spent(world)

    await forger.run(statement, table)

    assert await faults(world) == (ChainFault(place + 1, ids[place], Fault.ALTERED),)
    assert (await auditing.verify(world.services.database, world.services.vault, world.nodes["g1/b1"]))[1] == 1


async def test_a_lot_that_lasts_longer_than_it_was_sealed_to_is_named(world: World, forger: Forger) -> None:
    ids = await _spent(world)

    mine = lots.c.transfer_id == ids[1]
    await forger.run(lots.update().values(granted=lots.c.granted + 5).where(mine))

    assert await faults(world) == (ChainFault(2, ids[1], Fault.ALTERED),)


async def test_a_link_that_was_taken_out_or_made_anew_is_named(world: World, forger: Forger) -> None:
    ids = await _spent(world)

    await forger.run(seals.delete().where(seals.c.number == 2), "point_seals")
    assert await faults(world) == (ChainFault(2, None, Fault.MISSING),)
    # the transfer stands among sealed ones without a link of its own, which is told too
    assert (await auditing.verify(world.services.database, world.services.vault, world.nodes["g1/b1"]))[1] == 1
    assert await auditing.look_between(world.services.database) == 1

    await forger.run(seals.update().values(hash=bytes(32)).where(seals.c.number == 1))
    assert ChainFault(1, ids[0], Fault.ALTERED) in await faults(world)


async def test_the_api_names_what_was_altered_to_who_may_audit(client: Client, forger: Forger) -> None:
    world, brand = client.world, client.world.id("Brand", "g1/b1")
    ids = await _spent(world)
    whole = (await client.data("B1", CHAIN, b=brand))["ledgerChain"]
    await forger.run(FORGERIES[0][2], "point_transfers")

    parts = [(await client.data("B1", CHAIN, b=brand, n=2, after=after))["ledgerChain"] for after in (0, 2)]

    assert (whole["links"], whole["faulty"], whole["continueAfter"]) == (3, 0, None)
    async with world.services.database.reading(EVERYTHING) as session:
        last = (await session.execute(select(func.max(seals.c.number)))).scalar_one()
        head = (await session.execute(select(seals.c.hash).where(seals.c.number == last))).scalar_one()
    assert whole["head"] == parts[1]["head"] == head.hex()
    assert [(part["links"], part["faulty"], part["continueAfter"]) for part in parts] == [(2, 1, 2), (1, 0, None)]
    (fault,) = parts[0]["faults"]
    assert (fault["number"], fault["what"]) == (1, "ALTERED")
    assert (await client.data("HQ1", CHAIN, b=brand))["ledgerChain"]["faulty"] == 1
    assert ids == sorted(ids)
    for who in ("D1", "S1", "B1READ", "ANALYST", "SERVICE"):
        assert await client.codes(who, CHAIN, b=brand) == ["FORBIDDEN"], who
    assert await client.codes("B2", CHAIN, b=brand) == ["NOT_FOUND"]
    assert await client.codes("B1", CHAIN, b=brand, n=1_001) == ["BAD_USER_INPUT"]
    assert await client.codes("B1", CHAIN, b=brand, after=-1) == ["BAD_USER_INPUT"]
