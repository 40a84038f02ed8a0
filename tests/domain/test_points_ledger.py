"""The ledger (M01–M10, M17, M20): what it posts, what it refuses, and that the books are right after each."""

import asyncio
import itertools
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from domain import clock
from domain.database import Database
from domain.errors import BadInput, Conflict, NotFound
from domain.fans.models import Fan
from domain.points.ledger import service as ledger
from domain.points.ledger.adjusting import Adjustment, adjust
from domain.points.ledger.book import draws, entries, transfers
from domain.points.ledger.models import MAX_POINTS, EntryKind
from domain.points.ledger.rules import (
    Balances,
    Earn,
    HoldEnded,
    InsufficientPoints,
    NotReversible,
    PointsLimit,
    SourceConflict,
)
from domain.points.ledger.sealing import seals
from domain.points.programme.models import ClawBackPolicy, ExpiryPolicy
from domain.tables import table_of
from tests.books import NOW, Books, of
from tests.cast import EVERYTHING, scope_of
from tests.domain.test_point_chain import seal_all

NEVER_CHANGED = (transfers, entries, draws, seals)


async def test_what_is_earned_can_be_spent(books: Books) -> None:
    earned = await books.earn(100, 30, source="order:1", reason="order", rule_id=7, reference="Order:1")

    spent = await books.spend(40, source="gift:1")

    assert (earned.balance, earned.growth_balance, earned.pending) == (100, 30, False)
    assert (spent.points, spent.balance, spent.growth_balance) == (-40, 60, 30)
    assert await books.has() == Balances(spendable=60, growth=30, spent=40)


async def test_the_same_source_again_is_answered_as_before(books: Books) -> None:
    first = await books.earn(100, source="order:1")
    spent = await books.spend(40, source="gift:1")

    again = await books.earn(100, source="order:1")
    twice = await books.spend(40, source="gift:1")

    assert again == replace(first, replayed=True)
    assert twice == replace(spent, replayed=True)
    assert (await books.has()).spendable == 60


@pytest.mark.parametrize("other", [{"points": 101}, {"growth": 1}, {"fan": "g1/b1/d1#2"}])
async def test_a_source_with_other_amounts_or_another_fan_is_refused(books: Books, other: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"points": 100, "source": "order:1"}
    await books.earn(**asked)

    with pytest.raises(SourceConflict):
        await books.earn(**(asked | other))

    assert await books.count() == 1


async def test_a_batch_posts_each_source_once(books: Books) -> None:
    one, two = books.fan(), books.fan("g1/b1/d1#2")
    wanted = [Earn(one, "a", 5), Earn(two, "b", 7, 1), Earn(one, "a", 5), Earn(one, "c", 2)]

    async with books.writing() as session:
        posted = await ledger.earn(session, books.programme, wanted, actor="test")

    assert [(p.fan_id, p.points, p.balance, p.replayed) for p in posted] == [
        *((one, 5, 5, False), (two, 7, 7, False), (one, 5, 5, True), (one, 2, 7, False)),
    ]
    assert (await books.has()).spendable == 7


@pytest.mark.parametrize("points", [0, -1, 2**63])
async def test_an_amount_that_is_none_is_refused(books: Books, points: int) -> None:
    with pytest.raises(BadInput):
        await books.earn(points, source="x")
    with pytest.raises(BadInput):
        await books.spend(points, source="x")

    assert await books.count() == 0


async def test_no_balance_wraps(books: Books) -> None:
    await books.earn(MAX_POINTS, source="all")

    with pytest.raises(PointsLimit):
        await books.earn(1, source="more")

    assert (await books.has()).spendable == MAX_POINTS


async def test_a_fan_of_another_brand_has_no_points_here(books: Books) -> None:
    with pytest.raises(NotFound):
        await books.earn(1, source="x", fan="g1/b2/d1#1")

    assert await books.count() == 0


async def test_forty_at_once_do_not_overspend(books: Books) -> None:
    await books.earn(100, source="order:1")

    async def redeem(number: int) -> bool:
        try:
            await books.spend(60, source=f"gift:{number}")
        except InsufficientPoints:
            return False
        return True

    won = await asyncio.gather(*(redeem(number) for number in range(40)))

    assert sum(won) == 1
    assert (await books.has()).spendable == 40


async def test_the_same_redemption_many_times_at_once_is_one(books: Books) -> None:
    await books.earn(1_000, source="order:1")

    posted = await asyncio.gather(*(books.spend(10, source="gift:1") for _ in range(20)))

    assert len({p.transfer_id for p in posted}) == 1
    assert sum(not p.replayed for p in posted) == 1
    assert (await books.has()).spendable == 990


async def test_crosswise_batches_wait_for_each_other(books: Books) -> None:
    fans = [books.fan(f"g1/b1/d1#{n}") for n in (1, 2, 3, 4)]

    async def both(number: int) -> None:
        wanted = [Earn(fan, f"{number}:{fan}", 1) for fan in (fans if number % 2 else fans[::-1])]
        async with books.writing() as session:
            await ledger.earn(session, books.programme, wanted, actor="test")

    await asyncio.gather(*(both(number) for number in range(20)))

    assert (await books.has()).spendable == 20


async def test_spending_takes_what_expires_soonest_then_what_is_oldest(books: Books) -> None:
    of(books, expiry=ExpiryPolicy.ROLLING_MONTHS, expiry_months=1)
    await books.earn(10, source="late")
    of(books)
    await books.earn(10, source="never")
    of(books, expiry=ExpiryPolicy.ROLLING_MONTHS, expiry_months=1)
    await books.earn(10, source="soon", at=NOW - timedelta(days=20))

    await books.spend(15, source="gift:1")

    assert await books.left() == [5, 10, 0]


async def test_what_is_held_is_spent_or_given_back_once(books: Books) -> None:
    await books.earn(100, source="order:1")
    one, two = await books.hold(30, source="gift:1"), await books.hold(20, source="gift:2")
    assert await books.has() == Balances(spendable=50, held=50)

    spent, back = await books.post_hold(one.transfer_id), await books.void_hold(two.transfer_id)

    assert (spent.points, spent.balance) == (-30, 50)
    assert (back.points, back.balance) == (20, 70)
    assert await books.has() == Balances(spendable=70, spent=30)
    assert (await books.post_hold(one.transfer_id)).replayed
    assert (await books.void_hold(two.transfer_id)).replayed
    with pytest.raises(HoldEnded):
        await books.void_hold(one.transfer_id)
    with pytest.raises(HoldEnded):
        await books.post_hold(two.transfer_id)


async def test_two_cancels_at_once_give_back_once(books: Books) -> None:
    await books.earn(100, source="order:1")
    held = await books.hold(30, source="gift:1")

    posted = await asyncio.gather(*(books.void_hold(held.transfer_id) for _ in range(10)))

    assert sum(not p.replayed for p in posted) == 1
    assert await books.has() == Balances(spendable=100)


async def test_a_cancelled_redemption_gives_back_to_the_same_lots(books: Books) -> None:
    of(books, expiry=ExpiryPolicy.ROLLING_MONTHS, expiry_months=1)
    await books.earn(10, source="a")
    await books.earn(10, source="b", at=NOW - timedelta(days=3))
    spent = await books.spend(15, source="gift:1")
    assert await books.left() == [5, 0]

    back = await books.reverse(spent.transfer_id)
    again = await books.reverse(spent.transfer_id)

    assert (back.points, again.replayed) == (15, True)
    assert await books.left() == [10, 10]
    assert await books.has() == Balances(spendable=20)


async def test_what_is_given_back_after_it_expired_is_gone(books: Books) -> None:
    of(books, expiry=ExpiryPolicy.ROLLING_MONTHS, expiry_months=1)
    await books.earn(10, source="a")
    held = await books.hold(10, source="gift:1")

    with clock.at(NOW + timedelta(days=60)):
        await books.void_hold(held.transfer_id)

    assert await books.has() == Balances(expired=10)


async def test_points_wait_for_their_day(books: Books) -> None:
    day = NOW + timedelta(days=15)
    earned = await books.earn(100, 10, source="order:1", available_at=day)
    assert (earned.points, earned.balance, earned.pending) == (100, 0, True)
    assert await books.has() == Balances(pending=100, growth_pending=10)
    with pytest.raises(InsufficientPoints):
        await books.spend(1, source="gift:1")
    assert await books.run(ledger.release_due) == 0

    with clock.at(day):
        runs = [await books.run(ledger.release_due) for _ in range(2)]

    assert runs == [1, 0]
    assert await books.has() == Balances(spendable=100, growth=10)


async def test_a_refund_before_the_day_cancels_after_it_claws_back(books: Books) -> None:
    day = NOW + timedelta(days=15)
    await books.earn(100, 10, source="order:1", available_at=day)

    part = await books.claw_back("order:1", 40, 4, source="refund:1")
    with clock.at(day):
        await books.run(ledger.release_due)
        rest = await books.claw_back("order:1", 60, 6, source="refund:2")

    assert (part.points, part.cancelled_points, part.cancelled_growth) == (40, 40, 4)
    assert (rest.points, rest.growth, rest.cancelled_points, rest.left_points) == (60, 6, 0, 0)
    assert await books.has() == Balances()


async def test_no_more_is_clawed_back_than_was_given(books: Books) -> None:
    await books.earn(100, source="order:1")
    await books.claw_back("order:1", 60, source="refund:1")

    with pytest.raises(BadInput):
        await books.claw_back("order:1", 41, source="refund:2")
    with pytest.raises(SourceConflict):
        await books.claw_back("order:1", 59, source="refund:1")
    again = await books.claw_back("order:1", 60, source="refund:1")

    assert (again.points, again.posted[0].replayed) == (60, True)
    assert (await books.has()).spendable == 40


@pytest.mark.parametrize(
    "policy, taken, owed, has",
    [
        (ClawBackPolicy.ONLY_PENDING, 0, 0, Balances(spendable=30, spent=70, growth=9)),
        (ClawBackPolicy.WITHIN_BALANCE, 30, 0, Balances(spent=70)),
        (ClawBackPolicy.DEBT, 100, 70, Balances(debt=-70, spent=70)),
    ],
)
async def test_a_claw_back_after_spending_goes_as_far_as_the_policy(
    books: Books, policy: ClawBackPolicy, taken: int, owed: int, has: Balances
) -> None:
    of(books, claw_back=policy)
    await books.earn(100, 9, source="order:1")
    await books.spend(70, source="gift:1")

    back = await books.claw_back("order:1", 100, 9, source="refund:1")
    again = await books.claw_back("order:1", 100, 9, source="refund:1")

    assert (back.points, back.owed_points, back.left_points) == (taken, owed, 100 - taken)
    assert replace(again, posted=back.posted) == back
    assert await books.has() == has


async def test_who_owes_cannot_spend_until_later_earnings_settled_it(books: Books) -> None:
    of(books, claw_back=ClawBackPolicy.DEBT)
    await books.earn(100, source="order:1")
    await books.spend(100, source="gift:1")
    await books.claw_back("order:1", 100, source="refund:1")
    await books.earn(60, source="order:2")
    assert await books.has() == Balances(debt=-40, spent=100)
    with pytest.raises(InsufficientPoints):
        await books.spend(1, source="gift:2")

    await books.earn(50, source="order:3")

    assert await books.has() == Balances(spendable=10, spent=100)


async def test_what_is_given_back_settles_a_debt_first(books: Books) -> None:
    of(books, claw_back=ClawBackPolicy.DEBT)
    await books.earn(100, source="order:1")
    spent = await books.spend(100, source="gift:1")
    await books.claw_back("order:1", 30, source="refund:1")

    await books.reverse(spent.transfer_id)

    assert await books.has() == Balances(spendable=70)


async def test_an_earn_is_reversed_whole_and_once(books: Books) -> None:
    await books.earn(5, 3, source="registration:1")
    await books.earn(10, source="other")

    first, again = await books.reverse("registration:1"), await books.reverse("registration:1")

    assert (first.points, first.growth, again.replayed) == (-5, -3, True)
    assert await books.has() == Balances(spendable=10)
    assert await books.left() == [0, 10]
    with pytest.raises(NotReversible):
        await books.reverse(first.transfer_id)


async def test_lots_expire_once_however_often_the_job_runs(books: Books) -> None:
    of(books, expiry=ExpiryPolicy.END_OF_YEAR)
    await books.earn(10, source="a")
    of(books)
    await books.earn(5, source="b")

    with clock.at(datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)):
        before = await books.run(ledger.expire_due)
    with clock.at(datetime(2026, 12, 31, 16, tzinfo=UTC)):
        after = await asyncio.gather(*(books.run(ledger.expire_due) for _ in range(4)))

    assert (before, sum(after)) == (0, 1)
    assert await books.has() == Balances(spendable=5, expired=10)


async def test_lots_expire_once_while_others_redeem(books: Books) -> None:
    of(books, expiry=ExpiryPolicy.END_OF_YEAR)
    for n in range(3):
        await books.earn(10, source=f"ends {n}")
    of(books)
    await books.earn(25, source="stays")

    async def redeem(n: int) -> int:
        for _ in range(50):
            try:
                return -int((await books.spend(10, source=f"gift:{n}")).points)
            except InsufficientPoints:
                return 0
            except Conflict:
                continue
        pytest.fail("others were in the way fifty times")

    async def expire() -> int:
        done = 0
        for _ in range(50):
            with suppress(Conflict):
                done = await books.run(ledger.expire_due)
                break
        return done

    with clock.at(datetime(2026, 12, 31, 16, tzinfo=UTC)):
        jobs = [job for n in range(8) for job in (redeem(n), expire())]
        spent = sum((await asyncio.gather(*jobs))[::2])
        again = await books.run(ledger.expire_due)

    # what has ended buys nothing, whichever comes first, and what stays buys two
    assert (spent, again) == (20, 0)
    assert await books.has() == Balances(spendable=5, spent=20, expired=30)
    assert await books.left() == [0, 0, 0, 5]
    async with books.writing() as session:
        kinds = (await session.execute(select(transfers.c.kind))).scalars().all()
    assert Counter(kinds) == {"EARN": 4, "SPEND": 2, "EXPIRE": 1}


async def test_expired_points_are_not_spent_before_the_job_comes(books: Books) -> None:
    of(books, expiry=ExpiryPolicy.ROLLING_MONTHS, expiry_months=1)
    await books.earn(10, source="a")

    with clock.at(NOW + timedelta(days=40)), pytest.raises(InsufficientPoints):
        await books.spend(5, source="gift:1")

    assert await books.has() == Balances(spendable=10)


async def test_a_refused_spend_writes_nothing(books: Books) -> None:
    await books.earn(10, source="a")

    with pytest.raises(InsufficientPoints):
        await books.spend(11, source="gift:1")

    assert await books.count() == 1


async def test_the_database_takes_no_transfer_that_does_not_add_up(books: Books) -> None:
    await books.earn(10, source="a")
    async with books.writing() as session:
        row: Any = (await session.execute(select(transfers))).one()
    place = {"group_id": row.group_id, "brand_id": row.brand_id}
    made = {**row._mapping, "id": row.id + 1, "source": "b"}
    amounts = [{"kind": "SPENDABLE", "amount": 5}, {"kind": "ISSUED", "amount": -4}]

    sides = [{**place, "transfer_id": made["id"], **one} for one in amounts]

    async def post() -> None:
        async with books.writing() as session:
            await session.execute(insert(entries), sides)
            await session.execute(insert(transfers), [made])

    with pytest.raises(DBAPIError, match="add up to zero"):
        await post()

    assert await books.count() == 1


async def test_the_database_takes_no_entry_of_a_transfer_that_has_its_entries(books: Books) -> None:
    await books.earn(10, source="a")
    async with books.writing() as session:
        row: Any = (await session.execute(select(transfers))).one()
    place = {"group_id": row.group_id, "brand_id": row.brand_id, "transfer_id": row.id}
    # they add up to zero by themselves
    sides = [{**place, "kind": "EXPIRED", "amount": 5}, {**place, "kind": "REDEEMED", "amount": -5}]
    before = await rows_of(books, entries)

    with pytest.raises(DBAPIError, match="the transfer has its entries"):
        async with books.writing() as session:
            # in one statement: by itself each side would be refused for what it does not add up to
            await session.execute(insert(entries).values(sides))

    assert await rows_of(books, entries) == before


async def test_a_transfer_that_was_written_without_entries_takes_none_later(books: Books) -> None:
    of(books, claw_back=ClawBackPolicy.ONLY_PENDING)
    await books.earn(10, source="order:1")
    await books.claw_back("order:1", 5, source="refund:1")
    async with books.writing() as session:
        last = select(transfers).order_by(transfers.c.id.desc()).limit(1)
        row: Any = (await session.execute(last)).one()
        had = (await session.execute(select(entries).where(entries.c.transfer_id == row.id))).all()
    place = {"group_id": row.group_id, "brand_id": row.brand_id, "transfer_id": row.id}
    sides = [{**place, "kind": "EXPIRED", "amount": 5}, {**place, "kind": "REDEEMED", "amount": -5}]

    with pytest.raises(DBAPIError, match="the transfer has its entries"):
        async with books.writing() as session:
            await session.execute(insert(entries).values(sides))

    assert (row.kind, had) == ("CLAW_BACK", [])


@pytest.mark.postgresql
async def test_another_brand_cannot_add_entries_of_its_own_to_a_transfer(books: Books) -> None:
    await books.earn(10, source="a")
    async with books.writing() as session:
        row: Any = (await session.execute(select(transfers))).one()
    other, scope = books.world.nodes["g1/b2"], await scope_of(books.world, "B2")
    place = {"group_id": row.group_id, "brand_id": other, "transfer_id": row.id}
    sides = [{**place, "kind": "EXPIRED", "amount": 5}, {**place, "kind": "REDEEMED", "amount": -5}]

    with pytest.raises(DBAPIError, match="the transfer has its entries"):
        async with books.world.services.database.writing(scope) as session:
            await session.execute(insert(entries).values(sides))


async def posted(books: Books) -> None:
    """Give every table that is never changed a row."""
    await books.earn(10, source="a")
    await books.spend(5, source="b")
    assert await seal_all(books.world) == 2


async def rows_of(books: Books, table: Any) -> list[Any]:
    async with books.writing() as session:
        return list(await session.execute(select(table).order_by(*table.c)))


@pytest.mark.parametrize("change", ["UPDATE", "DELETE"])
@pytest.mark.parametrize("table", NEVER_CHANGED, ids=lambda table: table.name)
async def test_what_is_posted_is_never_changed_or_deleted(books: Books, table: Any, change: str) -> None:
    await posted(books)
    before = await rows_of(books, table)

    statement = delete(table) if change == "DELETE" else update(table).values(group_id=table.c.group_id)
    with pytest.raises(DBAPIError, match=f"{table.name} is append-only"):
        async with books.writing() as session:
            await session.execute(statement)

    assert before
    assert await rows_of(books, table) == before


@pytest.mark.postgresql
@pytest.mark.parametrize("table", NEVER_CHANGED, ids=lambda table: table.name)
async def test_what_is_posted_is_not_emptied_even_by_who_owns_the_tables(
    books: Books, owner_database: Database, table: Any
) -> None:
    await posted(books)
    before = await rows_of(books, table)

    for database, refusal in (
        (owner_database, f"{table.name} is append-only"),
        (books.world.services.database, "permission denied"),
    ):
        with pytest.raises(DBAPIError, match=refusal):
            async with database.writing(EVERYTHING) as session:
                await session.execute(text(f"TRUNCATE {table.name} CASCADE"))

    assert before
    assert await rows_of(books, table) == before


async def test_points_that_expire_are_told_by_their_day(books: Books) -> None:
    of(books, expiry=ExpiryPolicy.ROLLING_MONTHS, expiry_months=12)
    await books.earn(10, source="a")
    await books.earn(5, source="b", at=NOW - timedelta(days=31))

    async with books.writing() as session:
        found = (await ledger.expiring_by_fan(session, [books.fan()]))[books.fan()]

    days = [datetime(2027, 3, 31, 16, tzinfo=UTC), datetime(2027, 5, 1, 16, tzinfo=UTC)]
    assert [(row.expires_at, row.points) for row in found] == [(days[0], 5), (days[1], 10)]


async def test_a_claw_back_takes_the_points_of_its_order_before_others(books: Books) -> None:
    of(books, expiry=ExpiryPolicy.ROLLING_MONTHS, expiry_months=1)
    await books.earn(10, source="order:1")
    of(books)
    await books.earn(10, source="order:2", available_at=NOW + timedelta(days=15))
    with clock.at(NOW + timedelta(days=15)):
        await books.run(ledger.release_due)

        await books.claw_back("order:2", 10, source="refund:2")

    assert await books.left() == [10, 0]


async def test_the_growth_log_says_what_the_balance_is(books: Books) -> None:
    day = NOW + timedelta(days=15)
    await books.earn(10, 30, source="order:1")
    await books.earn(10, 50, source="order:2", available_at=day)
    await books.claw_back("order:2", 0, 20, source="refund:2")
    with clock.at(day):
        await books.run(ledger.release_due)
    await books.claw_back("order:1", 0, 5, source="refund:1")
    await books.reverse("order:2")

    changes = select(func.coalesce(func.sum(entries.c.amount), 0)).where(
        entries.c.transfer_id == transfers.c.id, entries.c.kind == EntryKind.GROWTH.value
    )
    async with books.writing() as session:
        statement = select(changes.scalar_subquery(), transfers.c.growth_balance).order_by(transfers.c.id)
        log = [tuple(row) for row in await session.execute(statement)]
    assert [balance for _, balance in log] == list(itertools.accumulate(int(change) for change, _ in log))
    assert log[-1][1] == (await books.has()).growth == 25


async def test_an_account_that_holds_no_more_keeps_nobody_else_from_their_points(books: Books) -> None:
    other, due = "g1/b1/d1#2", NOW + timedelta(hours=1)
    await books.earn(MAX_POINTS, source="all")
    await books.earn(1, 5, source="one more", available_at=due)
    await books.earn(7, source="theirs", fan=other, available_at=due)

    with clock.at(due):
        assert await books.run(ledger.release_due) == 1

    assert (await books.has(other)).spendable == 7
    assert await books.has() == Balances(spendable=MAX_POINTS, pending=1, growth_pending=5)
    await books.spend(10, source="gift")
    with clock.at(due):
        assert await books.run(ledger.release_due) == 1


async def test_an_erased_fan_is_given_nothing_by_hand(books: Books) -> None:
    fans = table_of(Fan)
    async with books.writing() as session:
        await session.execute(update(fans).where(fans.c.id == books.fan()).values(erased_at=NOW))

    async with books.writing() as session:
        with pytest.raises(NotFound):
            await adjust(session, books.programme, Adjustment(books.fan(), "sorry", 3), actor="staff:1")
