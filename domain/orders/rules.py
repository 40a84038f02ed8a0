"""What an order from outside must be. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from domain.batches import Problem
from domain.ids import DealerId, StoreId
from domain.inputs import said
from domain.money import to_minor
from domain.orders.models import OrderState
from domain.persons.models import IdentityKind
from domain.vault import is_phone, normalise_phone

MAX_LINES = 100
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class IdentityInput:
    """An identity as the sending system knows it; `issuer` is the account of an openid or the system of an id."""

    kind: IdentityKind = said("What kind of identity it is.")
    value: str = said("The identity itself.")
    issuer: str = said("Whose it is: the account of an openid, the system of an external id.", "")


@dataclass(frozen=True)
class OrderLineInput:
    """A line of an order; `amount` is the line's total in the brand's currency."""

    title: str = said("What was bought.")
    quantity: int = said("How many, at least 1.")
    amount: Decimal = said("What they cost together, in the brand's currency.")
    product_code: str | None = said("The product's code in the source system.", None)


@dataclass(frozen=True)
class OrderInput:
    """An order of another system. `number` is its key there, `amount` its total in the brand's currency."""

    number: str = said("Its number in the source system, by which it is known again.")
    fan: IdentityInput = said("Who bought; made a fan where nobody knows them.")
    placed_at: datetime = said("When it was placed.")
    amount: Decimal = said("What it costs in all, in the brand's currency.")
    state: OrderState = said("Where it stands.", OrderState.PAID)
    item_count: int | None = said("How many pieces. Without it: the sum of its lines, else as it was.", None)
    dealer_id: DealerId | None = said("The dealer who sold it.", None)
    store_id: StoreId | None = said("The store that sold it; needs its dealer.", None)
    lines: list[OrderLineInput] = said("What was bought; lines that are sent replace those there are.", factory=list)
    received_at: datetime | None = said(
        "When the fan had it. Without it, for one that is received: as it was said before, else now.", None
    )

    def items(self) -> int:
        """Return how many pieces were bought."""
        return self.item_count if self.item_count is not None else sum(line.quantity for line in self.lines)


def problems(order: OrderInput, currency: str, now: datetime) -> list[Problem]:
    """Say everything that is wrong with the order by itself."""
    found = [*_size("number", order.number, 128), *_identity_problems(order.fan)]
    found += _amount("amount", order.amount, currency)
    if order.placed_at.tzinfo is None:
        found.append(Problem("placedAt", "needs its time zone"))
    elif order.placed_at > now + CLOCK_SKEW:
        found.append(Problem("placedAt", "lies in the future"))
    found += _received_problems(order, now)
    if order.item_count is not None and not 0 <= order.item_count < 2**31:
        found.append(Problem("itemCount", "must not be negative"))
    elif order.items() >= 2**31:
        found.append(Problem("lines", "hold too many pieces"))
    if order.store_id is not None and order.dealer_id is None:
        found.append(Problem("storeId", "needs its dealer", optional=True))
    return found + _line_problems(order.lines, currency)


def _received_problems(order: OrderInput, now: datetime) -> list[Problem]:
    if order.received_at is None:
        return []
    if order.received_at.tzinfo is None:
        return [Problem("receivedAt", "needs its time zone")]
    return [Problem("receivedAt", "lies in the future")] if order.received_at > now + CLOCK_SKEW else []


@dataclass(frozen=True)
class RefundInput:
    """Money of an order that was paid back. `number` is its key, within the order, in the source system."""

    order_number: str = said("The number of the order it is of.")
    number: str = said("Its own number, by which it is known again.")
    amount: Decimal = said("How much was paid back, in the brand's currency.")
    refunded_at: datetime | None = said("When; without it, now.", None)


def refund_problems(refund: RefundInput, currency: str, now: datetime) -> list[Problem]:
    """Say everything that is wrong with the refund by itself."""
    found = [*_size("orderNumber", refund.order_number, 128), *_size("number", refund.number, 128)]
    found += _amount("amount", refund.amount, currency)
    if not found and refund.amount <= 0:
        found.append(Problem("amount", "must be more than nothing"))
    if refund.refunded_at is not None and refund.refunded_at.tzinfo is None:
        found.append(Problem("refundedAt", "needs its time zone"))
    elif refund.refunded_at is not None and refund.refunded_at > now + CLOCK_SKEW:
        found.append(Problem("refundedAt", "lies in the future"))
    return found


def _identity_problems(fan: IdentityInput) -> list[Problem]:
    found = _size("fan.value", fan.value, 255)
    if not found and fan.kind is IdentityKind.PHONE and not is_phone(normalise_phone(fan.value)):
        # what is left of `unknown` is nothing, and all without a phone would be one person
        found.append(Problem("fan.value", "must be a phone of 5 to 15 digits"))
    return found + ([Problem("fan.issuer", "has at most 128 characters")] if len(fan.issuer) > 128 else [])


def _line_problems(lines: list[OrderLineInput], currency: str) -> list[Problem]:
    if len(lines) > MAX_LINES:
        return [Problem("lines", f"has at most {MAX_LINES} rows")]
    found: list[Problem] = []
    for position, line in enumerate(lines):
        found += _size(f"lines.{position}.title", line.title, 300)
        if not 1 <= line.quantity < 2**31:
            found.append(Problem(f"lines.{position}.quantity", "must be at least 1"))
        found += _amount(f"lines.{position}.amount", line.amount, currency)
        if line.product_code is not None and len(line.product_code) > 128:
            found.append(Problem(f"lines.{position}.productCode", "has at most 128 characters"))
    return found


def _amount(field_name: str, amount: Decimal, currency: str) -> list[Problem]:
    try:
        to_minor(amount, currency)
    except ValueError as error:
        return [Problem(field_name, str(error))]
    return []


def _size(field_name: str, text: str, limit: int) -> list[Problem]:
    if len(text.strip()) >= 1 and len(text) <= limit and "\0" not in text:
        return []
    return [Problem(field_name, f"must have 1 to {limit} characters")]
