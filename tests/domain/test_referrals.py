"""Who may be whose referrer: the first valid one, for ever, and never in a circle."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from domain.referrals.models import Referral
from domain.referrals.rules import Refusal, accept
from domain.referrals.service import NewReferral, record_referrals
from domain.tables import table_of
from domain.tenancy.models import Brand
from tests.cast import EVERYTHING, snapshot
from tests.world import World

referrals, brands = table_of(Referral), table_of(Brand)


def test_the_first_referrer_is_for_ever() -> None:
    assert accept([(1, 2), (3, 2), (1, 2)], {}) == [None, Refusal.ALREADY_REFERRED, Refusal.ALREADY_REFERRED]
    assert accept([(3, 2)], {2: 1}) == [Refusal.ALREADY_REFERRED]


def test_nobody_refers_themselves_or_those_who_brought_them() -> None:
    assert accept([(1, 1)], {}) == [Refusal.SELF]
    assert accept([(1, 2), (2, 1)], {}) == [None, Refusal.CYCLE]
    assert accept([(3, 1)], {2: 1, 3: 2}) == [Refusal.CYCLE]
    assert accept([(2, 3), (1, 2), (3, 1)], {}) == [None, None, Refusal.CYCLE]


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), max_size=40))
def test_what_is_accepted_is_a_forest(pairs: list[tuple[int, int]]) -> None:
    accepted = [pair for pair, refusal in zip(pairs, accept(pairs, {}), strict=True) if refusal is None]

    parents = {invitee: referrer for referrer, invitee in accepted}
    assert len(parents) == len(accepted)
    for above in parents.values():
        seen: set[int | None] = set()
        fan: int | None = above
        while fan is not None:
            assert fan not in seen
            seen.add(fan)
            fan = parents.get(fan)


async def record(world: World, *pairs: tuple[str, str], place: str = "g1/b1/d1") -> list[Refusal | None]:
    brand = "/".join(place.split("/")[:2])
    wanted = [NewReferral(world.fans[f"{place}#{a}"], world.fans[f"{place}#{b}"]) for a, b in pairs]
    async with world.services.database.writing(EVERYTHING) as session:
        found = (await session.execute(select(brands).where(brands.c.id == world.nodes[brand]))).one()
        return await record_referrals(session, found, wanted)  # type: ignore[arg-type]


async def test_a_circle_that_closes_over_earlier_batches_is_refused(world: World) -> None:
    """World W has 1 → 2 → 3 → 4 in every place."""
    before = await snapshot(world)

    assert await record(world, ("4", "1"), ("2", "1"), ("1", "4"), ("3", "3")) == [
        *(Refusal.CYCLE, Refusal.CYCLE, Refusal.ALREADY_REFERRED, Refusal.SELF)
    ]

    assert await snapshot(world) == before


async def _forget(world: World) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(referrals.delete())


async def test_two_halves_of_a_circle_at_once_do_not_close_it(world: World) -> None:
    await _forget(world)

    answers = await asyncio.gather(*(record(world, pair) for pair in (("1", "2"), ("2", "3"), ("3", "4"), ("4", "1"))))

    assert sorted(map(str, (answer[0] for answer in answers))) == sorted(["None", "None", "None", "CYCLE"])


async def test_a_fan_brought_by_ten_at_once_has_one_referrer(world: World) -> None:
    await _forget(world)

    answers = await asyncio.gather(*(record(world, (str(1 + n % 3), "4")) for n in range(10)))

    assert sum(answer == [None] for answer in answers) == 1
    async with world.services.database.reading(EVERYTHING) as session:
        assert len((await session.execute(select(referrals))).all()) == 1


@pytest.mark.parametrize("pairs", [[], [("1", "1")]])
async def test_nothing_accepted_writes_nothing(world: World, pairs: list[tuple[str, str]]) -> None:
    before = await snapshot(world)

    await record(world, *pairs)

    assert await snapshot(world) == before
