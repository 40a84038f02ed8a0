"""One's debt and another's points meet in a merge, and come apart again as if they never had."""

from datetime import timedelta
from typing import Any

import pytest

from domain import clock
from domain.persons.merging import Wanted, merge_persons
from domain.persons.models import MergeReason, Side
from domain.persons.unmerging import unmerge
from domain.points.ledger import service as ledger
from domain.points.ledger.rules import Balances, InsufficientPoints
from domain.points.programme.models import ClawBackPolicy, ExpiryPolicy
from tests.books import NOW, Books, of
from tests.cast import EVERYTHING
from tests.domain.test_merging import person_of

STAYS, GOES, THIRD = "g1/b1/d1#2", "g1/b1/d1#3", "g1/b1/d1#4"
RICH, OWING = Balances(spendable=100), Balances(debt=-60, spent=60)


async def rich(books: Books, fan: str, **more: Any) -> None:
    await books.earn(100, source=f"order of {fan}", fan=fan, **more)


async def owing(books: Books, fan: str) -> None:
    """Let a fan owe 60: they spent what a refund takes back."""
    of(books, claw_back=ClawBackPolicy.DEBT)
    await books.earn(60, source=f"order of {fan}", fan=fan)
    await books.spend(60, source=f"gift of {fan}", fan=fan)
    await books.claw_back(f"order of {fan}", 60, source=f"refund of {fan}")


async def merge(books: Books, hours: int = 1, *, into: str = STAYS, gone: str = GOES) -> int:
    wanted = Wanted(await person_of(books.world, into), await person_of(books.world, gone), MergeReason.MANUAL)
    with clock.at(NOW + timedelta(hours=hours)):
        async with books.writing() as session:
            made = await merge_persons(session, books.world.nodes["g1"], [wanted], principal="staff:1")
    return made[wanted.absorbed]


async def part(books: Books, merge_id: int, hours: int = 5, later: Side = Side.SURVIVOR) -> None:
    with clock.at(NOW + timedelta(hours=hours)):
        async with books.writing() as session:
            await unmerge(session, books.world.nodes["g1"], merge_id, later=later, principal="staff:1")


@pytest.mark.parametrize("later", list(Side))
@pytest.mark.parametrize("who_owes", [STAYS, GOES])
async def test_undone_at_once_each_has_and_owes_what_they_did(books: Books, who_owes: str, later: Side) -> None:
    other = STAYS if who_owes == GOES else GOES
    await rich(books, other)
    await owing(books, who_owes)

    merged = await merge(books)
    together = await books.has(STAYS)
    await part(books, merged, later=later)

    assert (together.active, together.negative) == (40, 0)
    assert (await books.has(other), await books.has(who_owes)) == (RICH, OWING)


async def test_no_more_can_be_spent_than_is_left_after_the_debt(books: Books) -> None:
    await rich(books, STAYS)
    await owing(books, GOES)
    merged = await merge(books)

    with pytest.raises(InsufficientPoints):
        await books.spend(41, source="gift:1", fan=STAYS)
    assert (await books.spend(40, source="gift:2", fan=STAYS)).balance == 0
    assert (await books.has(STAYS)).active == 0
    with pytest.raises(InsufficientPoints):
        await books.hold(1, source="gift:3", fan=STAYS)

    await part(books, merged)
    assert (await books.has(STAYS), await books.has(GOES)) == (Balances(spendable=60, spent=40), OWING)


async def test_what_is_earned_meanwhile_pays_the_debt_and_no_older_point_does(books: Books) -> None:
    await rich(books, STAYS)
    await owing(books, GOES)
    merged = await merge(books)
    with clock.at(NOW + timedelta(hours=2)):
        await books.earn(10, source="order:2", fan=STAYS)
    assert (await books.has(STAYS)).active == 50

    await part(books, merged)
    assert (await books.has(STAYS), await books.has(GOES)) == (RICH, Balances(debt=-50, spent=60))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_of_two_merges_into_one_fan_nobody_pays_for_a_third(books: Books, order: tuple[int, int]) -> None:
    await rich(books, GOES)
    await owing(books, THIRD)
    merged = [await merge(books), await merge(books, 2, gone=THIRD)]
    assert (await books.has(STAYS)).active == 40

    for hours, place in enumerate(order, start=3):
        await part(books, merged[place], hours)

    assert [await books.has(fan) for fan in (STAYS, GOES, THIRD)] == [Balances(), RICH, OWING]


async def test_an_order_refunded_meanwhile_takes_its_own_points(books: Books) -> None:
    await rich(books, STAYS)
    await owing(books, GOES)
    merged = await merge(books)
    with clock.at(NOW + timedelta(hours=2)):
        await books.claw_back(f"order of {STAYS}", 100, source="refund:1")
    assert (await books.has(STAYS)).negative == 60

    await part(books, merged)
    assert (await books.has(STAYS), await books.has(GOES)) == (Balances(), OWING)


async def test_what_was_held_and_given_back_meanwhile_pays_nobody_elses_debt(books: Books) -> None:
    await rich(books, GOES)
    held = (await books.hold(100, source="gift:1", fan=GOES)).transfer_id
    await owing(books, STAYS)
    merged = await merge(books)
    with clock.at(NOW + timedelta(hours=2)):
        await books.void_hold(held)
    assert (await books.has(STAYS)).active == 40

    await part(books, merged)
    assert (await books.has(STAYS), await books.has(GOES)) == (OWING, RICH)


async def test_points_pay_the_debt_beside_them_before_they_expire(books: Books) -> None:
    settings = {"expiry": ExpiryPolicy.ROLLING_MONTHS, "expiry_months": 1}
    of(books, **settings)
    await rich(books, STAYS)
    await owing(books, GOES)
    await merge(books)

    with clock.at(NOW + timedelta(days=40)):
        async with books.world.services.database.reading(EVERYTHING) as session:
            expiring = await ledger.expiring_by_fan(session, [books.fan(STAYS)])
        assert sum(one.points for one in expiring[books.fan(STAYS)]) == 40
        assert await books.run(ledger.expire_due) == 1

    assert await books.has(STAYS) == Balances(spent=60, expired=40)


async def test_where_there_is_to_be_no_debt_a_refund_takes_what_may_be_spent(books: Books) -> None:
    await rich(books, STAYS)
    await owing(books, GOES)
    await merge(books)
    of(books, claw_back=ClawBackPolicy.WITHIN_BALANCE)

    back = await books.claw_back(f"order of {STAYS}", 100, source="refund:1")

    assert (back.points, back.owed_points, back.left_points) == (40, 0, 60)
    assert (await books.has(STAYS)).active == (await books.has(STAYS)).negative == 0
