"""What an order from outside must be. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from domain.batches import Problem
from domain.ids import DealerId, StoreId
from domain.money import to_minor
from domain.orders.models import OrderState
from domain.persons.models import IdentityKind

MAX_LINES = 100
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class IdentityInput:
    """An identity as the sending system knows it; `issuer` is the account of an openid or the system of an id."""

    kind: IdentityKind
    value: str
    issuer: str = ""


@dataclass(frozen=True)
class OrderLineInput:
    """A line of an order; `amount` is the line's total in the brand's currency."""

    title: str
    quantity: int
    amount: Decimal
    product_code: str | None = None


@dataclass(frozen=True)
class OrderInput:
    """An order of another system. `number` is its key there, `amount` its total in the brand's currency."""

    number: str
    fan: IdentityInput
    placed_at: datetime
    amount: Decimal
    state: OrderState = OrderState.PAID
    item_count: int | None = None
    dealer_id: DealerId | None = None
    store_id: StoreId | None = None
    lines: list[OrderLineInput] = field(default_factory=list)

    def items(self) -> int:
        """Return how many pieces were bought."""
        return self.item_count if self.item_count is not None else sum(line.quantity for line in self.lines)


def problems(order: OrderInput, currency: str, now: datetime) -> list[Problem]:
    """Say everything that is wrong with the order by itself."""
    found = [*_size("number", order.number, 128), *_size("fan.value", order.fan.value, 255)]
    found += [Problem("fan.issuer", "has at most 128 characters")] if len(order.fan.issuer) > 128 else []
    found += _amount("amount", order.amount, currency)
    if order.placed_at.tzinfo is None:
        found.append(Problem("placedAt", "needs its time zone"))
    elif order.placed_at > now + CLOCK_SKEW:
        found.append(Problem("placedAt", "lies in the future"))
    if order.item_count is not None and not 0 <= order.item_count < 2**31:
        found.append(Problem("itemCount", "must not be negative"))
    if order.store_id is not None and order.dealer_id is None:
        found.append(Problem("storeId", "needs its dealer", optional=True))
    return found + _line_problems(order.lines, currency)


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
