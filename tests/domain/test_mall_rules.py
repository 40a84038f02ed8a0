"""What keeps a fan from a gift, without a database."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from domain.errors import BadInput
from domain.mall.models import GiftState
from domain.mall.rules import NEXT, GiftBar, bars, check_state, is_on_sale, standing

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def gift(**given: Any) -> Any:
    usual = {"state": "ON_SALE", "sale_from": None, "sale_until": None, "stock": 5, "per_fan_limit": None, "points": 60}
    return SimpleNamespace(**usual | given)


@pytest.mark.parametrize(
    "given, offered",
    [
        ({}, True),
        ({"state": "DRAFT"}, False),
        ({"state": "OFF_SALE"}, False),
        ({"sale_from": NOW}, True),
        ({"sale_from": NOW + SECOND}, False),
        ({"sale_until": NOW}, False),
        ({"sale_until": NOW + SECOND}, True),
    ],
)
def test_a_gift_is_on_sale_from_its_first_moment_to_before_its_last(given: dict[str, Any], offered: bool) -> None:
    assert is_on_sale(gift(**given), NOW) is offered


def test_everything_that_keeps_a_fan_from_it_is_said_at_once() -> None:
    wanted = gift(state="OFF_SALE", stock=1, per_fan_limit=3)

    assert bars(wanted, taken=2, quantity=2, now=NOW) == list(GiftBar)[:3]
    assert bars(gift(stock=2, per_fan_limit=3), taken=1, quantity=2, now=NOW) == []


def test_what_is_left_to_a_fan_is_never_less_than_nought() -> None:
    # a limit that was lowered after they had theirs
    assert standing(gift(per_fan_limit=1), taken=3, points=60, now=NOW).left == 0
    assert standing(gift(), taken=3, points=60, now=NOW).left is None


def test_a_fan_sees_that_they_have_too_few_points() -> None:
    assert standing(gift(), taken=0, points=59, now=NOW).bars == [GiftBar.POINTS_TOO_FEW]
    assert standing(gift(), taken=0, points=60, now=NOW).bars == []


def test_a_gift_never_becomes_a_draft_again() -> None:
    for before in GiftState:
        for after in GiftState:
            if after == before or after in NEXT[before]:
                check_state(before, after)
            else:
                with pytest.raises(BadInput, match=f"A gift that is {before.value} cannot become {after.value}"):
                    check_state(before, after)
    assert all(GiftState.DRAFT not in after for after in NEXT.values())
