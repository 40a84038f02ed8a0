import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.dialects import sqlite

from domain import clock
from domain.database import Database
from domain.outbox import Event, Outbox, delivery, emit, upkeep
from domain.outbox.delivery import MAX_TRIES, Pending, claim, mark_failed, mark_sent, release, retry_dead
from domain.scope import Scope, TenantSet, system_scope
from domain.tables import table_of
from domain.tenancy.models import Brand, Group

SYSTEM = system_scope("test")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
outbox = table_of(Outbox)


@pytest.fixture(autouse=True)
async def tenants(database: Database) -> None:
    async with database.writing(SYSTEM) as session:
        session.add_all([Group(id=1, code="g1", name="G1"), Group(id=2, code="g2", name="G2")])
        await session.flush()
        session.add_all([Brand(id=b, group_id=g, code=f"b{b}", name="B") for b, g in ((1, 1), (2, 1), (3, 2))])


def event(key: str, version: int = 1, *, brand_id: int = 1, consumer: str = "graph") -> Event:
    return Event(2 if brand_id == 3 else 1, brand_id, consumer, "fan", key, version, {"id": 1, "brand": brand_id})


async def told(database: Database, *events: Event) -> None:
    async with database.writing(SYSTEM) as session:
        await emit(session, events)


async def rows(database: Database) -> Sequence[Any]:
    async with database.reading(SYSTEM) as session:
        return (await session.execute(select(outbox).order_by(outbox.c.id))).all()


def keys(claimed: Sequence[Pending]) -> list[str]:
    return [row.key for row in claimed]


async def lag_of(database: Database, scope: Scope = SYSTEM) -> upkeep.Lag:
    async with database.reading(scope) as session:
        return await upkeep.lag(session, scope, "graph")


async def test_a_claim_leases_what_is_due_in_order_and_only_once(database: Database) -> None:
    await told(database, event("a"), event("b"), event("c"), event("x", consumer="search"))

    first = await claim(database, "graph", limit=2)
    second = await claim(database, "graph", limit=2)
    third = await claim(database, "graph", limit=2)

    assert (keys(first), keys(second), keys(third)) == (["a", "b"], ["c"], [])
    assert (first[0].kind, first[0].version, first[0].payload, first[0].attempts) == (
        "fan",
        1,
        {"id": 1, "brand": 1},
        0,
    )


async def test_only_the_first_pending_row_of_a_key_is_claimed(database: Database) -> None:
    await told(database, event("a", 1), event("a", 2), event("b", 1), event("a", 3))

    seen = []
    while claimed := await claim(database, "graph"):
        assert await claim(database, "graph") == []
        seen.append([(row.key, row.version) for row in claimed])
        await mark_sent(database, claimed)

    assert seen == [[("a", 1), ("b", 1)], [("a", 2)], [("a", 3)]]


async def test_claims_at_once_never_share_a_row_nor_a_key(database: Database) -> None:
    await told(database, *(event(f"k{n % 60}", n // 60 + 1) for n in range(240)))
    order: dict[str, list[int]] = {}

    async def relay() -> None:
        while claimed := await claim(database, "graph", limit=7):
            for row in claimed:
                order.setdefault(row.key, []).append(row.version)
            await asyncio.sleep(0)
            await mark_sent(database, claimed)

    await asyncio.gather(*(relay() for _ in range(4)))
    await relay()

    assert order == {f"k{n}": [1, 2, 3, 4] for n in range(60)}
    assert {row.attempts for row in await rows(database)} == {0}


async def test_a_lease_runs_out_and_another_takes_over(database: Database) -> None:
    with clock.at(NOON):
        await told(database, event("a"))
        dead = await claim(database, "graph", lease_seconds=30)
    with clock.at(NOON + timedelta(seconds=29)):
        assert await claim(database, "graph") == []

    with clock.at(NOON + timedelta(seconds=31)):
        taken = await claim(database, "graph")
        await mark_failed(database, dead[0], "too late to count")
        await release(database, dead)
        assert await claim(database, "graph") == []

    assert keys(taken) == ["a"]
    (row,) = await rows(database)
    assert (row.attempts, row.error, row.claimed_until) == (0, None, taken[0].claimed_until)


async def test_what_was_sent_counts_even_after_the_lease_ran_out(database: Database) -> None:
    with clock.at(NOON):
        await told(database, event("a"))
        slow = await claim(database, "graph", lease_seconds=30)
    with clock.at(NOON + timedelta(seconds=31)):
        taken = await claim(database, "graph")

        await mark_sent(database, slow)
        await mark_failed(database, taken[0], "the second could not")

    (row,) = await rows(database)
    assert (row.sent_at, row.attempts) == (NOON + timedelta(seconds=31), 0)


async def test_a_release_gives_rows_back_at_once_and_burns_no_try(database: Database) -> None:
    await told(database, event("a"))

    await release(database, await claim(database, "graph"))

    (again,) = await claim(database, "graph")
    assert (again.key, again.attempts) == ("a", 0)


async def test_a_failed_row_waits_longer_each_time_and_dies_at_the_tenth_while_others_flow(database: Database) -> None:
    moment, waits = NOON, []
    with clock.at(moment):
        await told(database, event("bad", 1), event("bad", 2), event("good"))
    for tries in range(1, MAX_TRIES + 1):
        with clock.at(moment):
            claimed = await claim(database, "graph")
            assert keys(claimed) == (["bad", "good"] if tries == 1 else ["bad"])
            await mark_failed(database, claimed[0], "E" * 600)
            await mark_sent(database, claimed[1:])
            assert keys(await claim(database, "graph")) == ([] if tries < MAX_TRIES else ["bad"])
        row = (await rows(database))[0]
        assert (row.attempts, row.error, row.dead_at is not None) == (tries, "E" * 500, tries == MAX_TRIES)
        waits.append((row.next_at - moment).total_seconds())
        moment = max(moment, row.next_at)

    assert all(0.5 * whole <= wait <= whole for wait, whole in zip(waits, [2.0**n for n in range(9)], strict=False))
    assert [(row.version, row.claimed_until is not None) for row in await rows(database)] == [
        (1, False),
        (2, True),
        (1, False),
    ]


async def test_dead_rows_come_back_with_all_their_tries(database: Database) -> None:
    with clock.at(NOON):
        await told(database, event("a"), event("b"))
    async with database.writing(SYSTEM) as session:
        await session.execute(update(outbox).values(dead_at=NOON, attempts=MAX_TRIES, error="KeyError"))
        first = (await session.execute(select(outbox.c.id).order_by(outbox.c.id))).scalars().first()
    assert await claim(database, "graph") == []

    async with database.writing(SYSTEM) as session:
        assert await retry_dead(session, "search") == 0
        assert await retry_dead(session, "graph", [first or 0]) == 1
    assert keys(await claim(database, "graph")) == ["a"]
    async with database.writing(SYSTEM) as session:
        assert await retry_dead(session, "graph") == 1

    assert [(row.attempts, row.error, row.dead_at) for row in await rows(database)] == [(0, None, None)] * 2


async def test_a_clock_set_back_makes_nobody_wait_for_the_old_time(database: Database) -> None:
    with clock.at(NOON):
        await told(database, event("new"), event("failed"), event("leased"))
        claimed = await claim(database, "graph")
        await release(database, claimed[:1])
        await mark_failed(database, claimed[1], "once")

    with clock.at(NOON - timedelta(hours=1)):
        assert keys(await claim(database, "graph")) == ["new", "failed", "leased"]


async def test_lag_counts_what_is_pending_and_dead_in_the_scope(database: Database) -> None:
    assert await lag_of(database) == upkeep.Lag(0, 0.0, 0)
    with clock.at(NOON):
        await told(database, event("a"), event("b", brand_id=2), event("c", brand_id=3), event("d"), event("e"))
        sent, *_, dead = await claim(database, "graph")
        await mark_sent(database, [sent])
    async with database.writing(SYSTEM) as session:
        await session.execute(update(outbox).where(outbox.c.id == dead.id).values(dead_at=NOON))

    brand = Scope("staff:1", 1, {"fan:read": TenantSet(brands=frozenset({1}), above_groups=frozenset({1}))})
    with clock.at(NOON + timedelta(seconds=90)):
        assert await lag_of(database) == upkeep.Lag(3, 90.0, 1)
        assert await lag_of(database, system_scope("test", group_id=1)) == upkeep.Lag(2, 90.0, 1)
        assert await lag_of(database, system_scope("test", group_id=2)) == upkeep.Lag(1, 90.0, 0)
        assert await lag_of(database, brand) == upkeep.Lag(1, 90.0, 1)


async def test_counting_the_lag_stops_at_a_bound(database: Database) -> None:
    await told(database, *(event(f"k{n}") for n in range(upkeep.COUNT_LIMIT + 5)))

    assert (await lag_of(database)).pending == upkeep.COUNT_LIMIT


async def test_pruning_deletes_what_was_sent_long_ago_and_nothing_else(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "ROWS_PER_PRUNE", 3)
    days = [NOON + timedelta(days=n // 5) for n in range(15)]
    stamps = {"group_id": 1, "consumer": "graph", "kind": "fan", "version": 1, "payload": {}, "attempts": 0}
    made = [{**stamps, "key": f"k{n}", "next_at": d, "created_at": d, "sent_at": d} for n, d in enumerate(days)]
    made[1]["sent_at"], made[7]["sent_at"] = None, NOON + timedelta(days=2)
    async with database.writing(SYSTEM) as session:
        await session.execute(insert(outbox), made)

    assert await upkeep.prune(database, NOON + timedelta(days=2)) == 8

    assert [row.key for row in await rows(database)] == ["k1", "k7", *(f"k{n}" for n in range(10, 15))]
    assert Counter(row.sent_at is None for row in await rows(database)) == {True: 1, False: 6}


async def test_claiming_reads_only_the_indexes_of_what_is_pending(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("the plan of the other engine depends on its statistics")
    statement = delivery._claim("graph", 10, NOON).compile(dialect=sqlite.dialect())
    values = tuple(0 for _ in range(str(statement).count("?")))
    async with database.engine.connect() as connection:
        plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)).all()

    steps = [row.detail for row in plan]
    assert "SEARCH outbox USING INDEX ix_outbox_pending (consumer=?)" in steps
    assert "SEARCH same_key USING INDEX ix_outbox_pending_key (consumer=? AND key=?)" in steps
    assert not [step for step in steps if step.startswith("SCAN") and step != "SCAN heads"]
