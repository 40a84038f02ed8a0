"""Which level growth reaches, which one is kept, and for how long."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.levels.models import Demotion
from domain.levels.rules import NOWHERE, Ladder, Rung, Standing, stand, united

NOW = datetime(2026, 3, 31, 15, 30, tzinfo=UTC)  # half an hour before midnight in Shanghai
ZONE = ZoneInfo("Asia/Shanghai")
REGISTERED, BRONZE, SILVER, GOLD = (
    Rung(1, "REGISTERED", 0, 0),
    Rung(2, "BRONZE", 100, 1),
    Rung(3, "SILVER", 500, 2),
    Rung(4, "GOLD", 2000, 3),
)
NEVER = Ladder([REGISTERED, BRONZE, SILVER, GOLD], [], Demotion.NEVER, None, ZONE)
AT_ONCE = replace(NEVER, demotion=Demotion.AT_ONCE)
YEARLY = replace(NEVER, demotion=Demotion.PERIODIC, valid_months=12)


def at(rung: Rung, **more: object) -> Standing:
    """Stand at a level since long ago."""
    return replace(Standing(rung.id, NOW - timedelta(days=900)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "growth, code",
    [(-5, None), (0, None), (99, None), (100, "BRONZE"), (499, "BRONZE"), (500, "SILVER"), (2**62, "GOLD")],
)
def test_the_highest_threshold_that_growth_reaches_is_the_level(growth: int, code: str | None) -> None:
    reached = NEVER.reached(growth)

    assert (reached and reached.code) == code


@pytest.mark.parametrize("growth, code", [(-5, "BRONZE"), (0, "BRONZE"), (100, "SILVER"), (2000, None)])
def test_the_next_level_is_the_lowest_that_growth_does_not_reach(growth: int, code: str | None) -> None:
    after = NEVER.after(growth)

    assert (after and after.code) == code


def test_a_ladder_without_levels_is_one_where_nobody_stands() -> None:
    empty = replace(NEVER, rungs=[])

    assert stand(empty, NOWHERE, 10**9, NOW) == NOWHERE
    assert (empty.base, empty.code(None)) == (None, None)


@pytest.mark.parametrize("ladder", [NEVER, AT_ONCE, YEARLY])
def test_growth_raises_a_fan_at_once_over_several_levels(ladder: Ladder) -> None:
    risen = stand(ladder, NOWHERE, 700, NOW)

    assert (risen.level_id, risen.since) == (SILVER.id, NOW)
    assert (risen.valid_until is None) == (ladder is not YEARLY)


def test_growth_that_goes_takes_the_level_only_where_the_brand_says_so() -> None:
    assert stand(NEVER, at(GOLD), 120, NOW) == at(GOLD)
    assert stand(AT_ONCE, at(GOLD), 120, NOW) == Standing(BRONZE.id, NOW)
    assert stand(AT_ONCE, at(GOLD), 0, NOW) == NOWHERE
    kept = at(GOLD, valid_until=NOW + timedelta(days=1))
    assert stand(YEARLY, kept, 120, NOW) == kept


def test_a_level_is_kept_for_whole_natural_days_of_the_brand() -> None:
    """Reached at 23:30 on the 31st of March in Shanghai, it lasts to the end of that day a year later."""
    assert YEARLY.until(NOW) == datetime(2027, 3, 31, 16, tzinfo=UTC)
    assert replace(YEARLY, valid_months=11).until(NOW) == datetime(2027, 2, 28, 16, tzinfo=UTC)
    assert replace(YEARLY, valid_months=1).until(NOW + timedelta(minutes=31)) == datetime(2026, 5, 1, 16, tzinfo=UTC)


def test_when_the_months_are_over_the_threshold_is_deducted_and_the_rest_decides() -> None:
    over = at(SILVER, valid_until=NOW)

    fallen = stand(YEARLY, over, 500 + 150, NOW)
    kept = stand(YEARLY, over, 500 + 600, NOW)
    nothing = stand(YEARLY, over, 500 + 99, NOW)

    assert fallen == Standing(BRONZE.id, NOW, YEARLY.until(NOW - timedelta(microseconds=1)), 500)
    assert kept == replace(over, valid_until=YEARLY.until(NOW - timedelta(microseconds=1)), deducted=500)
    assert nothing == Standing(deducted=500)
    assert kept.valid_until == datetime(2027, 3, 31, 16, tzinfo=UTC)


def test_what_was_taken_back_is_not_deducted_too() -> None:
    over = at(SILVER, valid_until=NOW)

    assert stand(YEARLY, over, 120, NOW) == Standing(deducted=120)
    assert stand(YEARLY, Standing(deducted=120), 320, NOW).level_id == BRONZE.id


def test_months_that_nobody_looked_at_are_made_up_for_one_after_the_other() -> None:
    monthly = replace(YEARLY, valid_months=1)
    ended = NOW - timedelta(days=40)
    over = at(GOLD, valid_until=ended)

    late = stand(monthly, over, 2000 + 500 + 100, NOW)

    assert (late.level_id, late.deducted) == (BRONZE.id, 2500)
    assert late.since == monthly.until(ended - timedelta(microseconds=1))
    assert late.valid_until is not None
    assert late.valid_until > NOW


def test_who_keeps_a_level_rises_from_what_is_left() -> None:
    kept = stand(YEARLY, at(SILVER, valid_until=NOW), 1100, NOW)

    assert stand(YEARLY, kept, 2000, NOW) == kept
    assert stand(YEARLY, kept, 2500, NOW).level_id == GOLD.id


@pytest.mark.parametrize("ladder, code", [(NEVER, "BRONZE"), (AT_ONCE, None), (YEARLY, "BRONZE")])
def test_who_held_a_level_that_is_no_more_is_at_the_one_below_it(ladder: Ladder, code: str | None) -> None:
    without = replace(ladder, rungs=[REGISTERED, BRONZE, GOLD], archived=[SILVER])
    held = at(SILVER, valid_until=NOW + timedelta(days=1) if ladder is YEARLY else None)

    now = stand(without, held, 0, NOW)

    assert (without.by_id[now.level_id].code if now.level_id else None) == code


def test_a_change_of_how_levels_are_kept_holds_for_those_who_have_one() -> None:
    begun = stand(YEARLY, at(SILVER), 600, NOW)
    ended = stand(NEVER, at(SILVER, valid_until=NOW, deducted=400), 900, NOW)

    assert begun == at(SILVER, valid_until=YEARLY.until(NOW))
    assert ended == at(SILVER)


def test_who_was_two_stands_at_the_higher_level_with_all_that_was_deducted() -> None:
    one, other = at(SILVER, deducted=500), at(BRONZE, deducted=100)

    assert united(NEVER, [one, other]) == united(NEVER, [other, one]) == at(SILVER, deducted=600)
    assert united(NEVER, [NOWHERE, NOWHERE]) == NOWHERE


STANDINGS = st.builds(
    Standing,
    st.sampled_from([None, BRONZE.id, SILVER.id, GOLD.id]),
    st.just(NOW - timedelta(days=400)),
    st.sampled_from([None, NOW - timedelta(days=40), NOW, NOW + timedelta(days=1)]),
    st.integers(0, 3000),
)


@given(st.sampled_from([NEVER, AT_ONCE, YEARLY]), STANDINGS, st.integers(0, 6000))
def test_to_look_again_at_once_changes_nothing(ladder: Ladder, standing: Standing, growth: int) -> None:
    once = stand(ladder, standing, growth, NOW)

    assert stand(ladder, once, growth, NOW) == once
    reached = ladder.reached(growth - once.deducted)
    held = ladder.held(once.level_id)
    assert (held.growth if held else 0) >= (reached.growth if reached else 0)
