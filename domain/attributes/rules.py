"""What an attribute takes, and how its values are kept. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from domain.attributes.models import Attribute, AttributeType
from domain.errors import BadInput
from domain.ids import AttributeId
from domain.inputs import said

KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_TEXT, MAX_CHOICES, MAX_CHOSEN = 500, 100, 20
UNIT, MAX_NUMBER = 10_000, Decimal(10) ** 14


@dataclass(frozen=True)
class AttributeValue:
    """The value of one attribute, in the field of its type. Without any the value is taken away."""

    attribute_id: AttributeId = said("The attribute.")
    text: str | None = said("For TEXT, 1 to 500 characters, and for CHOICE, one of its choices.", None)
    number: Decimal | None = said("For NUMBER, with at most four places.", None)
    flag: bool | None = said("For FLAG.", None)
    day: date | None = said("For DAY.", None)
    choices: list[str] | None = said("For CHOICES, 1 to 20 of its choices, each once.", None)


class Kept(NamedTuple):
    """A value as a row keeps it."""

    item: int
    text: str | None
    number: int | None


FIELDS = {
    AttributeType.TEXT: "text",
    AttributeType.NUMBER: "number",
    AttributeType.FLAG: "flag",
    AttributeType.DAY: "day",
    AttributeType.CHOICE: "text",
    AttributeType.CHOICES: "choices",
}


def kept(attribute: Attribute, given: AttributeValue, path: tuple[str, ...]) -> list[Kept]:
    """Return the rows that keep a value, none where it is taken away. Raises BadInput naming the field at fault."""
    takes = FIELDS[AttributeType(attribute.type)]
    for name in ("text", "number", "flag", "day", "choices"):
        if name != takes and getattr(given, name) is not None:
            raise BadInput(f"{attribute.key} takes {takes}, and not {name}.", field=(*path, name))
    value = getattr(given, takes)
    if value is None:
        return []
    try:
        return _rows(attribute, value)
    except ValueError as error:
        raise BadInput(f"{attribute.key} {error}.", field=(*path, takes)) from error


def _rows(attribute: Attribute, value: str | Decimal | bool | date | Sequence[str]) -> list[Kept]:
    if isinstance(value, bool):
        return [Kept(0, None, int(value))]
    if isinstance(value, Decimal):
        return [Kept(0, None, scaled(value))]
    if isinstance(value, date):
        return [Kept(0, None, value.toordinal())]
    if isinstance(value, str):
        return [Kept(0, _text(attribute, value), None)]
    if not 1 <= len(value) <= MAX_CHOSEN or len(set(value)) != len(value):
        raise ValueError(f"takes 1 to {MAX_CHOSEN} choices, each once")
    # in the order they are offered: the same choices are the same value
    offered = {choice: place for place, choice in enumerate(attribute.choices)}
    if set(value) - offered.keys():
        raise ValueError("has no such choice")
    return [Kept(item, choice, None) for item, choice in enumerate(sorted(value, key=offered.__getitem__))]


def _text(attribute: Attribute, value: str) -> str:
    if attribute.type == AttributeType.CHOICE and value not in attribute.choices:
        raise ValueError("has no such choice")
    if not 1 <= len(value.strip()) <= len(value) <= MAX_TEXT:
        raise ValueError(f"has 1 to {MAX_TEXT} characters")
    return value


def scaled(value: Decimal) -> int:
    """Return a number in ten-thousandths. Raises ValueError where it has more places or digits than are kept."""
    if not value.is_finite() or abs(value) >= MAX_NUMBER:
        raise ValueError("has at most 14 digits before the point")
    found = value * UNIT
    if found != found.to_integral_value():
        raise ValueError("has at most four places")
    return int(found)


@dataclass(frozen=True)
class Shown:
    """A fan's attribute as it is shown; one of the last five is the value."""

    fan_id: int
    attribute_id: int
    key: str
    name: str
    type: AttributeType
    offered: Sequence[str] = ()
    writable: bool = False
    text: str | None = None
    number: Decimal | None = None
    flag: bool | None = None
    day: date | None = None
    choices: list[str] | None = None


def value_of(kind: AttributeType, rows: Sequence[tuple[str | None, int | None]]) -> dict[str, object]:
    """Return what the rows of one value say, by the name of its field."""
    if not rows:
        return {}
    text, number = rows[0]
    if kind is AttributeType.CHOICES:
        return {"choices": [chosen for chosen, _ in rows]}
    if number is None:
        return {"text": text}
    if kind is AttributeType.NUMBER:
        return {"number": (Decimal(number) / UNIT).normalize() + 0}
    return {"flag": bool(number)} if kind is AttributeType.FLAG else {"day": date.fromordinal(number)}


def check_choices(kind: AttributeType, choices: Sequence[str], field: tuple[str, ...]) -> None:
    """Raise BadInput where an attribute cannot offer these choices."""
    if kind not in (AttributeType.CHOICE, AttributeType.CHOICES):
        if choices:
            raise BadInput(f"{kind} has no choices.", field=field)
        return
    if not 1 <= len(choices) <= MAX_CHOICES or len(set(choices)) != len(choices):
        raise BadInput(f"An attribute offers 1 to {MAX_CHOICES} choices, each once.", field=field)
    for place, choice in enumerate(choices):
        if not 1 <= len(choice.strip()) <= len(choice) <= 100:
            raise BadInput("A choice has 1 to 100 characters.", field=(*field, str(place)))
