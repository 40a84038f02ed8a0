"""Fans by what they have of an attribute, and the SQL it means."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, literal, select

from domain.attributes.models import Attribute, AttributeType, FanAttribute
from domain.attributes.rules import FIELDS, scaled
from domain.columns import BigInt
from domain.errors import BadInput
from domain.ids import AttributeId
from domain.inputs import said
from domain.ranges import DateRange, DecimalRange
from domain.tables import table_of

fan_attributes = table_of(FanAttribute)
MAX_ANY_OF = 100
FIELD = ("filter", "attributes")


@dataclass(frozen=True)
class AttributeFilter:
    """A condition on one attribute. Exactly one of the fields after the first is given, the one of its type."""

    attribute_id: AttributeId = said("The attribute.")
    known: bool | None = said("Fans who have a value of it, or have none. For any type.", None)
    any_of: list[str] | None = said("For TEXT, CHOICE and CHOICES: fans who have one of these, at most 100.", None)
    number: DecimalRange | None = said("For NUMBER.", None)
    flag: bool | None = said("For FLAG.", None)
    day: DateRange | None = said("For DAY.", None)


_TAKES = {"text": "any_of", "choices": "any_of"}


def check_attribute(attribute: Attribute, wanted: AttributeFilter) -> None:
    """Raise BadInput where the condition is not one, or not one of the attribute's type."""
    takes = FIELDS[AttributeType(attribute.type)]
    takes = _TAKES.get(takes, takes)
    given = [name for name in ("known", "any_of", "number", "flag", "day") if getattr(wanted, name) is not None]
    if len(given) != 1 or given[0] not in ("known", takes):
        shown = "anyOf" if takes == "any_of" else takes
        raise BadInput(f"{attribute.key} is filtered by known or by {shown}.", field=FIELD)
    if wanted.any_of is not None and not 1 <= len(wanted.any_of) <= MAX_ANY_OF:
        raise BadInput(f"anyOf takes 1 to {MAX_ANY_OF} texts.", field=(*FIELD, "anyOf"))


def fans_with(wanted: AttributeFilter, fan_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Build the condition that a fan meets the filter, which was checked."""
    of_it = select(fan_attributes.c.fan_id).where(fan_attributes.c.attribute_id == wanted.attribute_id)
    if wanted.known is not None:
        return fan_id.in_(of_it) if wanted.known else fan_id.not_in(of_it)
    return fan_id.in_(of_it.where(*_compared(wanted)))


def _compared(wanted: AttributeFilter) -> list[ColumnElement[bool]]:
    number = fan_attributes.c.number
    if wanted.any_of is not None:
        return [fan_attributes.c.text.in_(sorted(set(wanted.any_of)))]
    if wanted.flag is not None:
        return [number == int(wanted.flag)]
    low, high = _bounds(wanted)
    at_least = [] if low is None else [number >= literal(low, BigInt)]
    # all rows of an attribute of this type have a number; said again, so that the index of numbers is used
    return [number.is_not(None), *at_least] + ([] if high is None else [number <= literal(high, BigInt)])


def _bounds(wanted: AttributeFilter) -> tuple[int | None, int | None]:
    if wanted.day is not None:
        low, high = wanted.day.gte, wanted.day.lte
        return (None if low is None else low.toordinal(), None if high is None else high.toordinal())
    assert wanted.number is not None
    return _scaled(wanted.number.gte), _scaled(wanted.number.lte)


def _scaled(bound: Decimal | None) -> int | None:
    try:
        return None if bound is None else scaled(bound)
    except ValueError as error:
        raise BadInput(f"A bound {error}.", field=(*FIELD, "number")) from error
