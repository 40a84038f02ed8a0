"""From the columns of one line to an order or a share. Pure; a ValueError says what is wrong with the row."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from domain.orders.models import OrderState
from domain.orders.rules import IdentityInput, OrderInput
from domain.persons.models import IdentityKind
from domain.persons.service import IdentityRef
from domain.shares.service import ShareInput
from domain.vault import normalise
from server.imports.layout import Layout, Times, shown

T = TypeVar("T")

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
# as many as decimal arithmetic keeps; beyond it would round in silence
MAX_DIGITS = 28
MAX_ID, MAX_CODE, MAX_CHANNEL = 255, 128, 32


@dataclass(frozen=True)
class OrderRow:
    """An order of a file; `number` is None where the file gives none."""

    number: str | None
    fan: str
    placed_at: datetime
    amount: Decimal
    quantity: int | None
    state: OrderState

    def content(self) -> str:
        """Return what tells this purchase from others. Its state is left out, because that changes."""
        parts = (self.fan, self.placed_at.isoformat(), f"{self.amount.normalize():f}", self.quantity)
        return "\x1f".join(map(str, parts))

    def order(self, source: str, number: str) -> OrderInput:
        """Return the order under a number, of the fan whom the source knows by the row's id."""
        fan = IdentityInput(IdentityKind.EXTERNAL_ID, self.fan, source)
        return OrderInput(number, fan, self.placed_at, self.amount, self.state, self.quantity)


def named(names: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    """Put names to the columns of a line. Raises ValueError where there are more or fewer."""
    if len(names) != len(fields):
        raise ValueError(f"has {len(fields)} columns, not {len(names)}")
    return dict(zip(names, fields, strict=True))


def order_row(values: Mapping[str, str], times: Times) -> OrderRow:
    """Read an order."""
    on = values.get("placed_on")
    return OrderRow(
        number=_text("number", values["number"], MAX_CODE) if "number" in values else None,
        fan=_fan("fan", values["fan"]),
        placed_at=_at("placed_on", on, times.day)
        if on is not None
        else _at("placed_at", values["placed_at"], times.moment),
        amount=_amount(values["amount"]),
        quantity=_quantity(values["quantity"]) if values.get("quantity") else None,
        state=_state(values["state"]) if values.get("state") else OrderState.PAID,
    )


def share_row(values: Mapping[str, str], layout: Layout, times: Times) -> ShareInput:
    """Read a share."""
    cascade = _text("cascade", values["cascade"], MAX_CODE)
    at = values.get("shared_at")
    return ShareInput(
        cascade=cascade,
        sharer=fan_of(layout, cascade, _fan("sharer", values["sharer"])),
        reached=fan_of(layout, cascade, _fan("reached", values["reached"])),
        shared_at=_at("shared_at", at, times.moment) if at else None,
        channel=_text("channel", values["channel"], MAX_CHANNEL) if values.get("channel") else None,
    )


def fan_of(layout: Layout, cascade: str, name: str) -> IdentityRef:
    """Return the identity of a fan whom a row of a cascade names."""
    value = f"{cascade}:{name}" if layout.local_names else name
    return IdentityRef(IdentityKind.EXTERNAL_ID, value, layout.source)


def _fan(column: str, text: str) -> str:
    return _text(column, normalise(IdentityKind.EXTERNAL_ID, text), MAX_ID)


def _text(column: str, text: str, limit: int) -> str:
    if not text:
        raise ValueError(f"{column}: is empty")
    if len(text) > limit:
        raise ValueError(f"{column}: has more than {limit} characters")
    if "\0" in text:
        raise ValueError(f"{column}: has a NUL character")
    return text


def _at(column: str, text: str, read: Callable[[str], datetime]) -> datetime:
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{column}: {error}") from None


def _amount(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"amount: {shown(text)} is not a number")
    if len(text) > MAX_DIGITS:
        raise ValueError(f"amount: {shown(text)} has too many digits")
    amount = Decimal(text)
    if amount < 0:
        raise ValueError("amount: is negative")
    return amount


def _quantity(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"quantity: {shown(text)} is not a whole number")
    quantity = int(text)
    if quantity < 0:
        raise ValueError("quantity: is negative")
    return quantity


def _state(text: str) -> OrderState:
    try:
        return OrderState(text.upper())
    except ValueError:
        states = ", ".join(state.value for state in OrderState)
        raise ValueError(f"state: {shown(text)} is none of {states}") from None
