"""Calls that earn and come at the same time share a transaction; each is answered as if it had come alone."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select, update

from domain.audit import AuditEntry
from domain.errors import Conflict, DomainError, IdempotencyConflict, NotFound
from domain.fans.models import Fan
from domain.gather import Gathered
from domain.persons.models import Side
from domain.persons.unmerging import unmerge
from domain.points.earning import queries, together
from domain.points.earning.by_call import PointRuleNotInForce
from domain.points.earning.models import PointRule
from domain.points.earning.together import Answered, Asked, gathered
from domain.points.ledger.accounts import accounts
from domain.points.ledger.models import MAX_POINTS
from domain.points.ledger.rules import PointsLimit
from domain.scope import Scope, TenantSet
from domain.tables import table_of
from tests.cast import EVERYTHING, changed, scope_of, snapshot
from tests.domain.test_mall import merge
from tests.earning import counted, granted, has, rule, sound
from tests.statements import statements_of
from tests.world import Client, World

FAN, OTHER, THIRD = "g1/b1/d1#1", "g1/b1/d1#2", "g1/b1/d11#1"
NOON = datetime(2026, 5, 1, 4, tzinfo=UTC)
Lane = Gathered[Asked, Answered]


def asked(world: World, scope: Scope, key: str, fan: str = FAN, code: str = "post", at: datetime = NOON) -> Asked:
    return Asked(scope, world.fans[fan], code, at, key, {"fan": fan, "code": code, "at": str(at)})


async def all_at_once(lane: Lane, wanted: list[Asked]) -> list[Any]:
    """Ask while a first call is under way, so that all of them wait for the same transaction."""
    return await asyncio.gather(*(lane.do(one) for one in wanted), return_exceptions=True)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many calls each transaction was for, with one lane."""
    sizes: list[int] = []
    earn_each = together.earn_each

    async def noted(database: Any, some: Any, **more: Any) -> Any:
        sizes.append(len(some))
        return await earn_each(database, some, **more)

    monkeypatch.setattr(together, "earn_each", noted)
    monkeypatch.setattr(together, "LANES", 1)
    return sizes


async def test_those_who_wait_share_a_transaction_and_its_statements(client: Client, batches: list[int]) -> None:
    world, lane = client.world, gathered(client.world.services.database)
    await rule(client, "post", "post", points=2, growth=3)
    scope, fans = await scope_of(world, "SERVICE"), (FAN, OTHER, THIRD)
    await all_at_once(lane, [asked(world, scope, f"first-{fan}", fan) for fan in fans])
    counts = []
    for size in (3, 30):
        batches.clear()
        with statements_of(world.services.database) as statements:
            some = [asked(world, scope, f"{size}-{n}", fans[n % 3]) for n in range(size)]
            answers = await all_at_once(lane, some)
        counts.append(len(statements))
        assert batches in ([size], [1, size - 1])
        assert len({answer["grant"].id for answer in answers}) == size

    assert counts[0] == counts[1]
    assert (await has(world, world.fans[FAN])).spendable == 2 * (1 + 1 + 10)
    async with world.services.database.reading(EVERYTHING) as session:
        log = table_of(AuditEntry)
        deeds = (await session.execute(select(log.c.principal).where(log.c.action == "points:earn"))).scalars().all()
    assert deeds == [scope.principal] * 36
    await sound(world)


async def test_what_is_refused_among_many_is_refused_alone_and_burns_no_key(client: Client, batches: list[int]) -> None:
    world, lane = client.world, gathered(client.world.services.database)
    await rule(client, "post", "post", points=2)
    await rule(client, "later", "post", points=2, startsAt="2026-06-01T00:00:00Z")
    scope = await scope_of(world, "SERVICE")
    wanted = [
        asked(world, scope, "a"),
        asked(world, scope, "b", code="later"),
        asked(world, scope, "c", code="nothing"),
        Asked(scope, 999_999_999, "post", NOON, "d", {}),
        asked(world, scope, "e"),
    ]

    said = await all_at_once(lane, wanted)

    assert max(batches) >= 4
    assert [type(one) for one in said[1:4]] == [PointRuleNotInForce, NotFound, NotFound]
    assert [one.field for one in said[1:4]] == [("input", "code"), ("input", "code"), ("input", "fanId")]
    assert [said[0]["replayed"], said[4]["replayed"]] == [False, False]
    assert (await lane.do(asked(world, scope, "b")))["grant"].granted_points == 2
    assert (await has(world, world.fans[FAN])).spendable == 6


async def test_what_breaks_a_transaction_is_done_again_without_it(client: Client, batches: list[int]) -> None:
    world, lane = client.world, gathered(client.world.services.database)
    await rule(client, "post", "post", points=2)
    scope = await scope_of(world, "SERVICE")
    await lane.do(asked(world, scope, "first", OTHER))
    full = accounts.c.fan_id == world.fans[OTHER]
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(accounts).where(full).values(spendable=MAX_POINTS))

    names = [FAN, THIRD, OTHER, FAN, THIRD]
    said = await all_at_once(lane, [asked(world, scope, f"k{n}", name) for n, name in enumerate(names)])

    assert max(batches) >= 4
    assert [isinstance(one, PointsLimit) for one in said] == [False, False, True, False, False]
    assert [(await has(world, world.fans[name])).spendable for name in (FAN, THIRD)] == [4, 4]
    assert len(await granted(world, world.fans[OTHER])) == 1


async def test_a_key_that_comes_twice_at_once_earns_once(client: Client, batches: list[int]) -> None:
    world, lane = client.world, gathered(client.world.services.database)
    await rule(client, "post", "post", points=2)
    scope = await scope_of(world, "SERVICE")
    same, other = [asked(world, scope, "k") for _ in range(5)], asked(world, scope, "k", OTHER)

    said = await all_at_once(lane, [*same, other, asked(world, scope, "more")])

    assert [one["replayed"] for one in said[:5]] == [False, True, True, True, True]
    assert len({one["grant"].id for one in said[:5]}) == 1
    assert isinstance(said[5], IdempotencyConflict)
    assert (await has(world, world.fans[FAN])).spendable == 4
    assert (await has(world, world.fans[OTHER])).spendable == 0
    before = await snapshot(world)
    again = await all_at_once(lane, same)
    assert [one["replayed"] for one in again] == [True] * 5
    assert changed(before, await snapshot(world)) == set()


async def test_twenty_in_one_transaction_use_up_a_cap_exactly(client: Client, batches: list[int]) -> None:
    world, lane = client.world, gathered(client.world.services.database)
    await rule(client, "post", "post", points=3, growth=1, dailyPointsCap=10)
    scope = await scope_of(world, "SERVICE")

    said = await all_at_once(lane, [asked(world, scope, f"k{n}") for n in range(20)])

    assert sorted(one["grant"].granted_points for one in said) == [0] * 16 + [1, 3, 3, 3]
    assert [cut["cap"] for one in said for cut in one["grant"].cuts or ()] == ["DAILY_POINTS"] * 17
    assert max(batches) >= 19
    assert {(row.period, row.times, row.points, row.growth) for row in await counted(world)} == {
        (period, 20, 10, 20) for period in ("DAY", "MONTH", "EVER")
    }
    await sound(world)


async def test_each_callers_rights_hold_among_others_calls(client: Client, batches: list[int]) -> None:
    world, lane = client.world, gathered(client.world.services.database)
    await rule(client, "post", "post", points=2)
    await rule(client, "post", "post", brand="g1/b2", points=5)
    every, one, another = [await scope_of(world, who) for who in ("HQ1", "B1", "B2")]
    of_b2 = next(name for name in world.fans if name.startswith("g1/b2/"))
    wanted = [
        asked(world, every, "k", FAN),
        asked(world, every, "l", of_b2),
        asked(world, one, "k", FAN),
        asked(world, one, "l", of_b2),
        asked(world, another, "k", FAN),
        asked(world, another, "l", of_b2),
    ]

    said = await all_at_once(lane, wanted)

    refused = [isinstance(answer, DomainError) for answer in said]
    assert refused == [False, False, False, True, True, False]
    assert (await has(world, world.fans[FAN])).spendable == 4
    assert (await has(world, world.fans[of_b2])).spendable == 10
    await sound(world)
    await sound(world, "g1/b2")


async def test_whoever_is_answered_finds_it_written(client: Client) -> None:
    world, lane = client.world, gathered(client.world.services.database)
    await rule(client, "post", "post", points=2)
    scope = await scope_of(world, "SERVICE")

    async def one(n: int) -> None:
        answer = await lane.do(asked(world, scope, f"k{n}"))
        assert answer["grant"].id in {row.id for row in await granted(world)}

    await asyncio.gather(*(one(n) for n in range(12)))
    assert (await has(world, world.fans[FAN])).spendable == 24


async def test_a_key_of_two_transactions_at_once_for_two_fans_earns_one_of_them(client: Client) -> None:
    world, database = client.world, client.world.services.database
    await rule(client, "post", "post", points=2)
    scope = await scope_of(world, "SERVICE")
    other = [asked(world, scope, f"k{n}", OTHER) for n in range(8)]
    wanted = [[asked(world, scope, f"k{n}"), other[n]] for n in range(8)]

    said = await asyncio.gather(
        *(together.earn_each(database, [one]) for pair in wanted for one in pair),
    )

    outcomes = [[answer for (answer,) in said[n : n + 2]] for n in range(0, 16, 2)]
    assert all(sorted(isinstance(one, IdempotencyConflict) for one in two) == [False, True] for two in outcomes)
    assert sum([(await has(world, world.fans[name])).spendable for name in (FAN, OTHER)]) == 16
    assert len(await granted(world)) == 8
    await sound(world)


async def test_a_grant_is_answered_as_it_will_be_read(client: Client, batches: list[int]) -> None:
    world, lane = client.world, gathered(client.world.services.database)
    await rule(client, "post", "post", points=3, growth=1, dailyPointsCap=4)
    await rule(client, "late", "post", points=3, delayDays=2)
    scope, east = await scope_of(world, "SERVICE"), timezone(timedelta(hours=8))
    at = datetime(2026, 5, 1, 12, 0, 0, 123_456, tzinfo=east)
    wanted = [asked(world, scope, f"{code}{n}", code=code, at=at) for code in ("post", "late") for n in range(2)]

    answers = await all_at_once(lane, wanted)

    made = sorted((one["grant"] for one in answers), key=lambda grant: grant.id)
    assert [tuple(grant) for grant in made] == [tuple(row) for row in await granted(world)]
    assert {type(value) for grant in made for value in grant} == {
        type(value) for row in await granted(world) for value in row
    }
    assert {grant.occurred_at.utcoffset() for grant in made} == {timedelta(0)}
    assert [bool(grant.cuts) for grant in made].count(True) == 1


async def test_a_used_key_for_another_fan_is_refused_and_writes_nothing(client: Client) -> None:
    world, lane = client.world, gathered(client.world.services.database)
    await rule(client, "post", "post", points=2)
    scope = await scope_of(world, "SERVICE")
    await lane.do(asked(world, scope, "k"))
    before = await snapshot(world)

    with pytest.raises(IdempotencyConflict):
        await lane.do(asked(world, scope, "k", OTHER))

    assert changed(before, await snapshot(world)) == set()


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect how many calls each try of a transaction was for."""
    sizes: list[int] = []
    earn = together._earn_in_a_brand

    async def noted(session: Any, some: Any, **more: Any) -> Any:
        sizes.append(len(some))
        return await earn(session, some, **more)

    monkeypatch.setattr(together, "_earn_in_a_brand", noted)
    return sizes


@pytest.mark.parametrize("has_account", [True, False])
async def test_a_key_of_many_transactions_at_once_for_one_fan_waits_and_is_answered(
    client: Client, tries: list[int], has_account: bool
) -> None:
    world, database = client.world, client.world.services.database
    await rule(client, "post", "post", points=2)
    scope = await scope_of(world, "SERVICE")
    if has_account:
        await together.earn_each(database, [asked(world, scope, "before")])
        tries.clear()

    said: list[Any] = await asyncio.gather(
        *(together.earn_each(database, [asked(world, scope, "k")]) for _ in range(6)),
    )

    assert sorted(one["replayed"] for (one,) in said) == [False, *[True] * 5]
    assert len({one["grant"].id for (one,) in said}) == 1
    # nobody ran into the key: whoever came later saw it under the lock of the account
    assert tries == [1] * 6
    assert (await has(world, world.fans[FAN])).spendable == 2 + 2 * has_account
    await sound(world)


async def test_a_repeat_is_answered_whose_rule_ends_while_the_first_is_under_way(client: Client) -> None:
    world, database = client.world, client.world.services.database
    if database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    await rule(client, "post", "post", points=2)
    scope, rules = await scope_of(world, "SERVICE"), table_of(PointRule)
    await together.earn_each(database, [asked(world, scope, "before")])

    async with database.writing(scope) as session:
        first = (await together._earn_in_a_brand(session, [asked(world, scope, "k")]))["k"]
        async with database.writing(EVERYTHING) as other:
            await other.execute(update(rules).values(enabled=False))
        again = asyncio.create_task(together.earn_each(database, [asked(world, scope, "k")]))
        new = asyncio.create_task(together.earn_each(database, [asked(world, scope, "new", OTHER)]))
        await asyncio.sleep(0.3)
        assert not again.done()

    (refused,) = await new
    repeat: Any = (await again)[0]
    assert not isinstance(first, Exception)
    assert (repeat["replayed"], repeat["grant"].id) == (True, first["grant"].id)
    assert isinstance(refused, PointRuleNotInForce)
    assert (await has(world, world.fans[FAN])).spendable == 4


async def test_who_is_merged_meanwhile_and_fans_of_other_brands_hold_up_nobody(client: Client) -> None:
    world, database = client.world, client.world.services.database
    if database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    await rule(client, "post", "post", points=2)
    await rule(client, "post", "post", brand="g1/b2", points=5)
    scope, fans = await scope_of(world, "HQ1"), table_of(Fan)
    low, old, high = sorted((n for n in world.fans if n.startswith("g1/b1/")), key=lambda name: world.fans[name])[:3]
    of_b2 = next(name for name in world.fans if name.startswith("g1/b2/"))
    await merge(world, low, old)

    async with database.writing(EVERYTHING) as session:
        # as a merge of the two would hold them, and one of the other brand
        await session.execute(select(fans.c.id).where(fans.c.id == world.fans[low]).with_for_update())
        await session.execute(select(fans.c.id).where(fans.c.id == world.fans[of_b2]).with_for_update())
        both = [asked(world, scope, "a", old), asked(world, scope, "b", high)]
        waiting = asyncio.create_task(together.earn_each(database, [*both, asked(world, scope, "c", of_b2)]))
        mine = await together.earn_each(database, [asked(world, scope, "d", high)])
        await asyncio.sleep(0.3)
        await session.execute(select(fans.c.id).where(fans.c.id == world.fans[high]).with_for_update(nowait=True))
        account = select(accounts.c.id).where(accounts.c.fan_id == world.fans[high])
        await session.execute(account.with_for_update(nowait=True))

    assert [isinstance(one, Exception) for one in (*mine, *await waiting)] == [False] * 4
    assert [(await has(world, world.fans[name])).spendable for name in (low, high, of_b2)] == [2, 4, 5]


async def test_the_old_id_of_a_fan_of_another_brand_leads_nobody_there(client: Client) -> None:
    world, database = client.world, client.world.services.database
    await rule(client, "post", "post", points=2)
    await rule(client, "post", "post", brand="g1/b2", points=5)
    into, gone = [name for name in world.fans if name.startswith("g1/b2/")][:2]
    await merge(world, into, gone)
    scope = await scope_of(world, "B1")
    before = await snapshot(world)

    said = [await together.earn_each(database, [asked(world, scope, "a", name)]) for name in (gone, into)]
    assert [type(one) for (one,) in said] == [NotFound] * 2
    assert changed(before, await snapshot(world)) == set()
    mixed = await together.earn_each(database, [asked(world, scope, "b", gone), asked(world, scope, "c")])

    assert [isinstance(one, Exception) for one in mixed] == [True, False]
    assert [(await has(world, world.fans[name])).spendable for name in (into, FAN)] == [0, 2]


async def test_an_old_id_is_followed_in_a_transaction_of_its_own_and_the_others_do_not_wait(
    client: Client, tries: list[int]
) -> None:
    world, database = client.world, client.world.services.database
    await rule(client, "post", "post", points=2)
    await merge(world, OTHER, FAN)
    scope = await scope_of(world, "SERVICE")
    wanted = [
        asked(world, scope, "old", FAN),
        asked(world, scope, "there", OTHER),
        Asked(scope, 999_999_999, "post", NOON, "nobody", {}),
        asked(world, scope, "other", THIRD),
    ]

    old, there, nobody, other = await together.earn_each(database, wanted)

    assert tries == [4, 2]
    assert isinstance(nobody, NotFound)
    assert not isinstance(old, Exception)
    assert not isinstance(there, Exception)
    assert not isinstance(other, DomainError)
    assert [old["grant"].fan_id, there["grant"].fan_id] == [world.fans[OTHER]] * 2
    assert [there["balance"], old["balance"]] == [2, 4]
    assert (await together.earn_each(database, wanted[:1]))[0]["replayed"]  # type: ignore[index]
    await sound(world)


async def test_an_old_id_whose_fan_comes_back_meanwhile_is_theirs(client: Client) -> None:
    world, database = client.world, client.world.services.database
    if database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    await rule(client, "post", "post", points=2)
    merged = await merge(world, OTHER, FAN)
    scope = await scope_of(world, "SERVICE")

    async with database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merged, later=Side.SURVIVOR, principal="staff:1")
        waiting = asyncio.create_task(together.earn_each(database, [asked(world, scope, "old", FAN)]))
        await asyncio.sleep(0.3)
        assert not waiting.done()

    (said,) = await waiting
    assert isinstance(said, dict)
    assert said["grant"].fan_id == world.fans[FAN]
    assert [(await has(world, world.fans[name])).spendable for name in (FAN, OTHER)] == [2, 0]
    await sound(world)


async def test_whoever_reaches_one_brand_earns_in_four_statements(client: Client) -> None:
    world, database = client.world, client.world.services.database
    if database.dialect == "sqlite":
        pytest.skip("a look is a statement for each of its parts")
    await rule(client, "post", "post", points=2, growth=1, dailyPointsCap=9)
    one, every = await scope_of(world, "SERVICE"), await scope_of(world, "HQ1")
    await together.earn_each(database, [asked(world, one, f"{name}0", name) for name in (FAN, OTHER)])

    counts = []
    for scope in (one, every):
        with statements_of(database) as statements:
            await together.earn_each(database, [asked(world, scope, f"{name}1", name) for name in (FAN, OTHER)])
        counts.append(len(statements))

    # a look that holds the fans, the accounts' lock, a look under it, and what is written; others' fans are found first
    assert counts == [4, 5]


async def test_who_needs_no_account_waits_for_none_and_holds_none(client: Client) -> None:
    """A replay, a code that names no rule, and a fan out of reach are answered at once, whoever holds the account."""
    world, database = client.world, client.world.services.database
    if database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    await rule(client, "post", "post", points=2)
    service = await scope_of(world, "SERVICE")
    first = [asked(world, service, "a"), asked(world, service, "b", THIRD), asked(world, service, "c", OTHER)]
    await together.earn_each(database, first)
    d1 = TenantSet(
        dealers=frozenset({world.nodes["g1/b1/d1"]}),
        above_brands=frozenset({world.nodes["g1/b1"]}),
        above_groups=frozenset({world.nodes["g1"]}),
    )
    dealer = Scope("api_key:99", world.nodes["g1"], {together.EARN: d1, queries.READ: d1})

    async with database.writing(EVERYTHING) as session:
        busy = accounts.c.fan_id.in_([world.fans[FAN], world.fans[THIRD]])
        await session.execute(select(accounts.c.id).where(busy).with_for_update(key_share=True))
        async with asyncio.timeout(1.5):
            (replay,) = await together.earn_each(database, [asked(world, service, "a")])
            (no_rule,) = await together.earn_each(database, [asked(world, service, "d", code="nothing")])
            (foreign,) = await together.earn_each(database, [asked(world, dealer, "e", THIRD)])
            mixed = [asked(world, dealer, "f", THIRD), asked(world, dealer, "g", OTHER)]
            out_of_reach, good = await together.earn_each(database, mixed)

    assert not isinstance(replay, Exception)
    assert replay["replayed"]
    assert [(type(one), one.field) for one in (no_rule, foreign, out_of_reach) if isinstance(one, NotFound)] == [
        (NotFound, ("input", "code")),
        (NotFound, ("input", "fanId")),
        (NotFound, ("input", "fanId")),
    ]
    assert not isinstance(good, DomainError)
    assert [(await has(world, world.fans[name])).spendable for name in (FAN, THIRD, OTHER)] == [2, 2, 4]
    await sound(world)


async def test_what_is_committed_of_a_batch_is_no_replay_where_an_old_id_is_refused_after_it(
    client: Client, batches: list[int]
) -> None:
    world, database, lane = client.world, client.world.services.database, gathered(client.world.services.database)
    await rule(client, "post", "post", points=2)
    await merge(world, OTHER, FAN)
    scope = await scope_of(world, "SERVICE")
    await lane.do(asked(world, scope, "before", OTHER))
    async with database.writing(EVERYTHING) as session:
        full = accounts.c.fan_id == world.fans[OTHER]
        await session.execute(update(accounts).where(full).values(spendable=MAX_POINTS))
    wanted = [asked(world, scope, "a0", THIRD), asked(world, scope, "a", THIRD), asked(world, scope, "b", FAN)]

    said = await all_at_once(lane, [*wanted, asked(world, scope, "c", THIRD)])

    assert [isinstance(one, PointsLimit) for one in said] == [False, False, True, False]
    assert [one["replayed"] for one in said if not isinstance(one, DomainError)] == [False] * 3
    assert max(batches) >= 3
    assert (await has(world, world.fans[THIRD])).spendable == 6


async def test_those_whose_transaction_is_refused_after_another_wait_beside_each_other(client: Client) -> None:
    """Each waits for the lock of its account: were they done in turns, the last would wait as often as there are."""
    world, database = client.world, client.world.services.database
    if database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    await rule(client, "post", "post", points=2)
    await rule(client, "post", "post", brand="g1/b2", points=5)
    scope = await scope_of(world, "HQ1")
    busy, free = [name for name in world.fans if name.startswith("g1/b2/")][:2]
    await together.earn_each(database, [asked(world, scope, f"w{name}", name) for name in (FAN, busy, free)])
    wanted = [asked(world, scope, "a"), *(asked(world, scope, f"b{n}", busy) for n in range(5))]

    async with database.writing(EVERYTHING) as session:
        mine = select(accounts.c.id).where(accounts.c.fan_id == world.fans[busy])
        await session.execute(mine.with_for_update(key_share=True))
        async with asyncio.timeout(9):
            first, *refused, last = await together.earn_each(database, [*wanted, asked(world, scope, "c", free)])

    assert [type(one) for one in refused] == [Conflict] * 5
    assert [one["replayed"] for one in (first, last) if not isinstance(one, Exception)] == [False, False]
    assert [(await has(world, world.fans[name])).spendable for name in (FAN, busy, free)] == [4, 5, 10]


async def test_what_is_committed_is_no_replay_where_a_fault_of_ours_comes_after_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, lane = client.world, gathered(client.world.services.database)
    await rule(client, "post", "post", points=2)
    await rule(client, "post", "post", brand="g1/b2", points=5)
    scope, earn_of = await scope_of(world, "HQ1"), together._earn_of
    of_b2 = next(name for name in world.fans if name.startswith("g1/b2/"))

    async def faulty(session: Any, brand_id: int, *given: Any) -> Any:
        if brand_id == world.nodes["g1/b2"]:
            raise RuntimeError("a fault")
        return await earn_of(session, brand_id, *given)

    monkeypatch.setattr(together, "_earn_of", faulty)
    wanted = [asked(world, scope, key, name) for key, name in (("a", FAN), ("b", OTHER), ("c", of_b2))]
    said = await asyncio.gather(*(lane.do(one) for one in wanted), return_exceptions=True)

    assert [type(one) for one in said] == [dict, dict, RuntimeError]
    assert [one["replayed"] for one in said if isinstance(one, dict)] == [False, False]
    assert (await has(world, world.fans[FAN])).spendable == 2
