"""Points of fans who become one and come apart again: what is under way then is nobody else's, and is not lost."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from domain import clock
from domain.persons.merging import Wanted, merge_persons
from domain.persons.models import MergeReason, Side
from domain.persons.review import merge_by_hand
from domain.persons.unmerging import unmerge
from domain.points.ledger import service as ledger
from domain.points.ledger.rules import Balances, SourceConflict
from tests.books import NOW, Books
from tests.domain.test_merging import person_of

ME, TWIN, THIRD = "g1/b1/d1#2", "g1/b1/d1#3", "g1/b1/d1#4"
DAY = NOW + timedelta(days=15)


async def merge(books: Books) -> int:
    """Make one of both, an hour later."""
    wanted = Wanted(await person_of(books.world, ME), await person_of(books.world, TWIN), MergeReason.MANUAL)
    with clock.at(NOW + timedelta(hours=1)):
        async with books.writing() as session:
            made = await merge_persons(session, books.world.nodes["g1"], [wanted], principal="staff:1")
    return made[wanted.absorbed]


async def part(books: Books, merge_id: int, later: Side = Side.SURVIVOR) -> None:
    """Make two of them again, three hours later."""
    with clock.at(NOW + timedelta(hours=3)):
        async with books.writing() as session:
            await unmerge(session, books.world.nodes["g1"], merge_id, later=later, principal="staff:1")


async def hold_of_twin(books: Books) -> int:
    """Let the one who is merged away hold 30 of 100 points, and return the hold."""
    await books.earn(100, source="order:1", fan=TWIN)
    return int((await books.hold(30, source="gift:1", fan=TWIN)).transfer_id)


async def test_a_refund_cancels_what_waits_for_who_came_back(books: Books) -> None:
    merged = await merge(books)
    with clock.at(NOW + timedelta(hours=2)):
        await books.earn(100, 10, source="order:1", fan=ME, available_at=DAY)
    await part(books, merged, Side.ABSORBED)
    assert await books.has(TWIN) == Balances(pending=100, growth_pending=10)

    back = await books.claw_back("order:1", 40, 4, source="refund:1")
    rest = await books.reverse("order:1")

    assert (back.cancelled_points, rest.points) == (40, -60)
    assert await books.has(TWIN) == await books.has(ME) == Balances()


async def test_growth_that_was_only_promised_is_none_that_goes_along(books: Books) -> None:
    await books.earn(growth=50, source="order:1", fan=ME)
    merged = await merge(books)
    with clock.at(NOW + timedelta(hours=2)):
        await books.earn(growth=20, source="order:2", fan=TWIN)
        await books.earn(growth=10, source="order:3", fan=TWIN, available_at=DAY)
        await books.claw_back("order:3", 0, 10, source="refund:3")

    await part(books, merged, Side.ABSORBED)

    assert (await books.has(ME), await books.has(TWIN)) == (Balances(growth=50), Balances(growth=20))


async def test_what_was_held_before_and_given_back_meanwhile_is_whose_it_was(books: Books) -> None:
    held = await hold_of_twin(books)
    merged = await merge(books)
    with clock.at(NOW + timedelta(hours=2)):
        await books.void_hold(held)
    assert await books.has(ME) == Balances(spendable=100)

    await part(books, merged)

    assert (await books.has(ME), await books.has(TWIN)) == (Balances(), Balances(spendable=100))


async def test_a_hold_that_ends_while_its_fan_is_merged_away_can_be_spent_by_who_they_are(books: Books) -> None:
    held = await hold_of_twin(books)
    me, twin = [await person_of(books.world, fan) for fan in (ME, TWIN)]

    await _meanwhile(books, _merging(me, twin), books.void_hold(held))

    assert await books.has(ME) == Balances(spendable=100)
    assert (await books.spend(100, source="gift:2", fan=ME)).balance == 0


async def test_a_hold_that_ends_while_its_fan_comes_back_takes_nothing_else_along(books: Books) -> None:
    held = await hold_of_twin(books)
    merged = await merge(books)

    async def parting(session: Any) -> None:
        with clock.at(NOW + timedelta(hours=3)):
            await unmerge(session, books.world.nodes["g1"], merged, later=Side.SURVIVOR, principal="staff:1")

    await _meanwhile(books, parting, books.void_hold(held))

    assert (await books.has(ME), await books.has(TWIN)) == (Balances(), Balances(spendable=100))


async def test_a_refund_while_its_fan_is_merged_away_finds_who_they_are(books: Books) -> None:
    await books.earn(100, 9, source="order:1", fan=TWIN)
    me, twin = [await person_of(books.world, fan) for fan in (ME, TWIN)]

    await _meanwhile(books, _merging(me, twin), books.claw_back("order:1", 60, 9, source="refund:1"))

    assert await books.has(ME) == Balances(spendable=40)


async def test_what_was_posted_for_one_fan_is_no_answer_to_another(books: Books) -> None:
    for fan in (ME, TWIN):
        await books.earn(100, source=f"order of {fan}", fan=fan)
    await books.spend(40, source="gift:1", fan=ME)

    with pytest.raises(SourceConflict):
        await books.spend(40, source="gift:1", fan=TWIN)

    assert [(await books.has(fan)).spendable for fan in (ME, TWIN)] == [60, 100]
    await merge(books)
    assert (await books.spend(40, source="gift:1", fan=TWIN)).replayed


async def test_what_was_cancelled_is_answered_the_same_again(books: Books) -> None:
    await books.earn(100, 10, source="order:1", available_at=DAY)

    async def cancel() -> Any:
        async with books.writing() as session:
            wanted = {"of": "order:1", "source": "cancel:1", "reason": "gone", "actor": "test"}
            return await ledger.cancel_pending(session, books.programme, **wanted)

    first, again = await cancel(), await cancel()

    assert (first.cancelled_points, first.cancelled_growth, first.left_points, first.left_growth) == (100, 10, 0, 0)
    assert (again.points, again.left_points, again.left_growth) == (100, 0, 0)


@pytest.mark.parametrize("has_points", [True, False])
async def test_an_id_that_was_led_on_once_is_led_on_again_while_a_second_merge_is_under_way(
    books: Books, has_points: bool
) -> None:
    """A fan whose heir is merged away just then is somebody: what they earn is theirs whom they are afterwards."""
    if books.world.services.database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    if has_points:
        await books.earn(1, source="order:0", fan=ME)
    await merge(books)
    third, me = await person_of(books.world, THIRD), await person_of(books.world, ME)
    await _meanwhile(books, _merging(third, me), books.earn(10, 4, source="order:1", fan=TWIN))

    assert await books.has(THIRD) == Balances(spendable=10 + has_points, growth=4)


@pytest.mark.parametrize("has_points", [True, False])
async def test_who_comes_back_meanwhile_earns_what_is_said_of_their_id(books: Books, has_points: bool) -> None:
    """The id leads to who stays until the merge is undone; who waits for that gives nothing to them afterwards."""
    if books.world.services.database.dialect == "sqlite":
        pytest.skip("one writer at a time")
    if has_points:
        await books.earn(5, source="order:0", fan=TWIN)
    merged = await merge(books)
    await _meanwhile(books, _parting(merged), books.earn(10, 4, source="order:1", fan=TWIN))

    assert await books.has(TWIN) == Balances(spendable=10 + 5 * has_points, growth=4)
    assert await books.has(ME) == Balances()


def _parting(merge_id: int) -> Any:
    async def parting(session: Any) -> None:
        with clock.at(NOW + timedelta(hours=3)):
            await unmerge(session, 1, merge_id, later=Side.ABSORBED, principal="staff:1")

    return parting


def _merging(me: int, twin: int) -> Any:
    async def merging(session: Any) -> None:
        with clock.at(NOW + timedelta(hours=1)):
            wanted = Wanted(me, twin, MergeReason.MANUAL)
            await merge_by_hand(session, 1, wanted, principal="staff:1")

    return merging


async def _meanwhile(books: Books, change: Any, other: Any) -> None:
    """Do the other while the change is written and not committed yet: it waits, or comes after."""
    async with books.writing() as session:
        await change(session)
        waiting = asyncio.create_task(other)
        await asyncio.sleep(0.3)
    await waiting
