"""What a gift may be, and who may have one. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.errors import BadInput, DomainError
from domain.mall.models import GiftState

# far above any price and any store-room, and what they are multiplied to stays far below 2^63
MAX_POINTS, MAX_STOCK, MAX_LIMIT, MAX_QUANTITY = 10**12, 10**9, 10**6, 100

NEXT: Mapping[GiftState, frozenset[GiftState]] = {
    GiftState.DRAFT: frozenset({GiftState.ON_SALE}),
    GiftState.ON_SALE: frozenset({GiftState.OFF_SALE}),
    GiftState.OFF_SALE: frozenset({GiftState.ON_SALE}),
}


class GiftNotOnSale(DomainError):
    code = "GIFT_NOT_ON_SALE"
    default = "This gift is not on sale now."


class GiftOutOfStock(DomainError):
    code = "GIFT_OUT_OF_STOCK"
    default = "There are not so many of this gift left."


class GiftLimitReached(DomainError):
    code = "GIFT_LIMIT_REACHED"
    default = "One fan may not have so many of this gift."


class GiftLevelTooLow(DomainError):
    code = "GIFT_LEVEL_TOO_LOW"
    default = "This gift is for fans of a higher level."


class PriceChanged(DomainError):
    code = "PRICE_CHANGED"
    default = "The price is not the one that was seen."


class RedemptionEnded(DomainError):
    code = "REDEMPTION_ENDED"
    default = "This redemption is fulfilled or cancelled already."


class RedemptionUnpaid(DomainError):
    code = "REDEMPTION_UNPAID"
    default = "What it costs in money is not paid yet."


class RedemptionPaid(DomainError):
    code = "REDEMPTION_PAID"
    default = "Its money is paid already."


class GiftBar(StrEnum):
    """Why a fan cannot have a gift now."""

    NOT_ON_SALE = "NOT_ON_SALE"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    LIMIT_REACHED = "LIMIT_REACHED"
    LEVEL_TOO_LOW = "LEVEL_TOO_LOW"
    POINTS_TOO_FEW = "POINTS_TOO_FEW"


# what the ledger refuses is not here: only it knows what there is when it is asked
REFUSALS: Mapping[GiftBar, type[DomainError]] = {
    GiftBar.NOT_ON_SALE: GiftNotOnSale,
    GiftBar.OUT_OF_STOCK: GiftOutOfStock,
    GiftBar.LIMIT_REACHED: GiftLimitReached,
    GiftBar.LEVEL_TOO_LOW: GiftLevelTooLow,
}


@dataclass(frozen=True)
class Standing:
    """Where a fan stands with a gift: how many they have or have coming, and what keeps them from one more."""

    taken: int
    bars: list[GiftBar]
    left: int | None


def is_on_sale(gift: Any, now: datetime) -> bool:
    """Tell whether the gift is offered at the moment; a bound of its window that is missing is open."""
    begun = gift.sale_from is None or gift.sale_from <= now
    return gift.state == GiftState.ON_SALE and begun and (gift.sale_until is None or now < gift.sale_until)


def bars(gift: Any, *, taken: int, quantity: int, now: datetime, level_too_low: bool = False) -> list[GiftBar]:
    """Say everything that keeps a fan who has `taken` pieces from `quantity` more."""
    found = [] if is_on_sale(gift, now) else [GiftBar.NOT_ON_SALE]
    if gift.stock < quantity:
        found.append(GiftBar.OUT_OF_STOCK)
    if gift.per_fan_limit is not None and taken + quantity > gift.per_fan_limit:
        found.append(GiftBar.LIMIT_REACHED)
    return [*found, GiftBar.LEVEL_TOO_LOW] if level_too_low else found


def standing(gift: Any, *, taken: int, points: int, now: datetime, level_too_low: bool = False) -> Standing:
    """Say where a fan stands who has `taken` pieces and may spend `points`; `left` is None where there is no limit."""
    left = None if gift.per_fan_limit is None else max(0, gift.per_fan_limit - taken)
    found = bars(gift, taken=taken, quantity=1, now=now, level_too_low=level_too_low)
    return Standing(taken, found if points >= gift.points else [*found, GiftBar.POINTS_TOO_FEW], left)


def check_state(before: GiftState, after: GiftState) -> None:
    """Raise BadInput where a gift cannot go from one state to the other; to stay is no change."""
    if after != before and after not in NEXT[before]:
        raise BadInput(f"A gift that is {before.value} cannot become {after.value}.", field=("input", "state"))


def check_gift(row: Mapping[str, Any]) -> None:
    """Raise BadInput naming the field of a gift that cannot be so. `row` has the columns of the whole gift."""
    _check_text("title", row["title"], 200)
    for name, limit in (("description", 2000), ("image_url", 500), ("category", 100)):
        if row[name] is not None:
            _check_text(name, row[name], limit)
    _check_number("points", row["points"], MAX_POINTS)
    if row["per_fan_limit"] is not None:
        _check_number("per_fan_limit", row["per_fan_limit"], MAX_LIMIT)
    _check_window(row["sale_from"], row["sale_until"])


def _check_window(since: datetime | None, until: datetime | None) -> None:
    for name, moment in (("saleFrom", since), ("saleUntil", until)):
        if moment is not None and moment.tzinfo is None:
            raise BadInput(f"{name} needs its time zone.", field=("input", name))
    if since is not None and until is not None and since >= until:
        raise BadInput("saleUntil must come after saleFrom.", field=("input", "saleUntil"))


def _check_text(name: str, text: str, limit: int) -> None:
    if not 1 <= len(text.strip()) <= len(text) <= limit:
        raise BadInput(f"{_shown(name)} has 1 to {limit} characters.", field=("input", _shown(name)))


def _check_number(name: str, number: int, limit: int) -> None:
    if not 1 <= number <= limit:
        raise BadInput(f"{_shown(name)} must be between 1 and {limit}.", field=("input", _shown(name)))


def _shown(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
