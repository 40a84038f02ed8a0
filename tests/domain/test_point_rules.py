"""The rules of earning, without a database: amounts, frequencies, caps, days and delays."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.points.earning.models import Basis, Frequency, Period, PointRule
from domain.points.earning.rules import (
    EVER,
    NOTHING,
    Amounts,
    Cap,
    Cut,
    Used,
    available_at,
    day_of,
    in_force,
    judge,
    kept,
    remaining,
    resets_at,
    starts_of,
    wanted,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY = date(2026, 1, 31)
START = datetime(2026, 1, 1, tzinfo=UTC)


def rule(**more: Any) -> PointRule:
    given: dict[str, Any] = {"points": 3, "growth": 3, "starts_at": START, **more}
    return PointRule(group_id=1, brand_id=1, code="r", name="r", module="m", event="post", **given)


def by_amount(**more: Any) -> PointRule:
    return rule(basis=Basis.AMOUNT, per_amount=1_000, points=1, growth=1, **more)


@pytest.mark.parametrize("fen, points", [(0, 0), (999, 0), (1_000, 1), (1_999, 1), (10_500, 10), (-5, 0)])
def test_ten_yuan_are_one_point_rounded_down(fen: int, points: int) -> None:
    assert wanted(by_amount(), fen) == Amounts(points, points)


def test_an_earning_by_event_asks_for_no_amount() -> None:
    assert wanted(rule()) == Amounts(3, 3)


def test_a_rule_counts_from_its_start_on_and_before_its_end_where_it_is_enabled() -> None:
    one = rule(ends_at=START + timedelta(days=1))

    assert [in_force(one, START + timedelta(days=days)) for days in (-1, 0, 1)] == [False, True, False]
    assert not in_force(rule(enabled=False), START)


def test_caps_of_points_and_growth_cut_each_for_itself_and_say_when_they_reset() -> None:
    one = rule(daily_points_cap=15, monthly_growth_cap=90)

    verdict = judge(one, Amounts(3, 3), {Period.DAY: Used(4, 14, 14), Period.MONTH: Used(9, 30, 90)}, DAY, SHANGHAI)

    assert (verdict.desired, verdict.granted) == (Amounts(3, 3), Amounts(1, 0))
    assert verdict.cuts == (
        Cut(Cap.DAILY_POINTS, datetime(2026, 1, 31, 16, tzinfo=UTC)),
        Cut(Cap.MONTHLY_GROWTH, datetime(2026, 1, 31, 16, tzinfo=UTC)),
    )


def test_a_cap_that_does_not_cut_is_not_named() -> None:
    assert judge(rule(daily_points_cap=15), Amounts(3, 3), {Period.DAY: Used(4, 12, 12)}, DAY, SHANGHAI).cuts == ()


def test_of_two_caps_on_one_amount_the_stricter_is_named_last() -> None:
    one = rule(daily_points_cap=2, monthly_points_cap=1)

    verdict = judge(one, Amounts(3, 3), {}, DAY, SHANGHAI)

    assert verdict.granted == Amounts(1, 3)
    assert [cut.cap for cut in verdict.cuts] == [Cap.DAILY_POINTS, Cap.MONTHLY_POINTS]


def test_once_a_day_and_once_ever_give_nothing_the_second_time() -> None:
    daily = judge(rule(frequency=Frequency.DAILY), Amounts(1, 3), {Period.DAY: Used(1, 1, 3)}, DAY, SHANGHAI)
    once = judge(rule(frequency=Frequency.ONCE), Amounts(1, 3), {Period.EVER: Used(1, 1, 3)}, DAY, SHANGHAI)

    assert (daily.granted, daily.cuts) == (NOTHING, (Cut(Cap.FREQUENCY, datetime(2026, 1, 31, 16, tzinfo=UTC)),))
    assert (once.granted, once.cuts) == (NOTHING, (Cut(Cap.FREQUENCY, None),))


def test_what_gave_nothing_does_not_use_up_the_one_time() -> None:
    assert Used().plus(NOTHING) == Used()
    assert Used().plus(Amounts(0, 1)) == Used(1, 0, 1)


def test_what_remains_is_the_strictest_cap() -> None:
    one = rule(daily_points_cap=15, monthly_points_cap=90)

    assert remaining(one, {Period.DAY: Used(1, 3, 3), Period.MONTH: Used(28, 88, 88)}).points == 2
    assert remaining(rule(frequency=Frequency.DAILY), {Period.DAY: Used(1, 3, 3)}) == NOTHING


@pytest.mark.parametrize(
    "moment, day",
    [("2026-01-31T15:59:59.900Z", DAY), ("2026-01-31T16:00:00Z", date(2026, 2, 1))],
)
def test_a_day_is_the_brands_and_not_the_servers(moment: str, day: date) -> None:
    assert day_of(datetime.fromisoformat(moment), SHANGHAI) == day


def test_periods_begin_and_end_at_the_brands_midnight() -> None:
    assert starts_of(DAY) == {Period.DAY: DAY, Period.MONTH: date(2026, 1, 1), Period.EVER: EVER}
    assert resets_at(Period.MONTH, date(2026, 12, 31), SHANGHAI) == datetime(2026, 12, 31, 16, tzinfo=UTC)
    # the clocks of Berlin go forward in between: that day has 23 hours
    assert resets_at(Period.DAY, date(2026, 3, 29), ZoneInfo("Europe/Berlin")) == datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert resets_at(Period.EVER, DAY, SHANGHAI) is None


def test_fifteen_natural_days_after_end_where_the_fifteenth_day_begins() -> None:
    late = datetime(2026, 1, 1, 15, 59, tzinfo=UTC)  # 23:59 of the 1st in Shanghai

    assert available_at(rule(delay_days=15), late, SHANGHAI) == datetime(2026, 1, 15, 16, tzinfo=UTC)
    assert available_at(rule(delay_days=15), late + timedelta(minutes=1), SHANGHAI) == datetime(
        2026, 1, 16, 16, tzinfo=UTC
    )
    assert available_at(rule(), late, SHANGHAI) is None


@pytest.mark.parametrize("yuan, points", [(100, 10), (70, 7), (69, 6), (0, 0), (-1, 0), (200, 10)])
def test_of_an_order_paid_back_in_part_stays_what_the_rest_would_have_earned(yuan: int, points: int) -> None:
    assert kept(Amounts(10, 10), Amounts(10, 10), 10, yuan // 10) == Amounts(points, points)


def test_a_grant_that_a_cap_cut_is_not_cut_by_a_refund_that_leaves_enough() -> None:
    assert kept(Amounts(4, 4), Amounts(10, 10), 10, 5) == Amounts(4, 4)


def test_a_grant_by_event_goes_in_the_share_that_was_paid_back() -> None:
    assert kept(Amounts(50, 9), Amounts(50, 9), 10_000, 5_000) == Amounts(25, 4)


@given(
    st.lists(st.integers(0, 40), max_size=30),
    st.integers(0, 60),
    st.integers(0, 120),
)
def test_however_it_comes_a_cap_is_used_up_exactly(amounts: list[int], daily: int, monthly: int) -> None:
    one = rule(daily_points_cap=daily, monthly_points_cap=monthly)
    usage = {Period.DAY: Used(), Period.MONTH: Used()}

    for amount in amounts:
        granted = judge(one, Amounts(amount, 0), usage, DAY, SHANGHAI).granted
        usage = {period: used.plus(granted) for period, used in usage.items()}

    assert usage[Period.DAY].points == min(sum(amounts), daily, monthly)
