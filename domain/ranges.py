"""Typed comparisons of filters, the same for every list."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, literal

from domain.columns import BigInt
from domain.errors import BadInput
from domain.ids import Int64
from domain.inputs import said


@dataclass(frozen=True)
class IntRange:
    """Whole numbers within inclusive bounds; a missing bound is open."""

    gte: Int64 | None = said("At least this.", None)
    lte: Int64 | None = said("At most this.", None)


@dataclass(frozen=True)
class TimeRange:
    """Moments from `since` (inclusive) to `before` (exclusive); a missing bound is open."""

    since: datetime | None = said("At this moment or later.", None)
    before: datetime | None = said("Before this moment.", None)


@dataclass(frozen=True)
class DateRange:
    """Days from `gte` to `lte`, both inclusive; a missing bound is open."""

    gte: date | None = said("On this day or later.", None)
    lte: date | None = said("On this day or earlier.", None)


@dataclass(frozen=True)
class DecimalRange:
    """Numbers within inclusive bounds; a missing bound is open."""

    gte: Decimal | None = said("At least this.", None)
    lte: Decimal | None = said("At most this.", None)


def within_ints(column: ColumnElement[Any], wanted: IntRange) -> list[ColumnElement[bool]]:
    # bound as 64 bits: a column of 32 is compared with a number it could not hold
    low = [] if wanted.gte is None else [column >= literal(wanted.gte, BigInt)]
    return low if wanted.lte is None else [*low, column <= literal(wanted.lte, BigInt)]


def within_dates(column: ColumnElement[Any], wanted: DateRange) -> list[ColumnElement[bool]]:
    low = [] if wanted.gte is None else [column >= wanted.gte]
    return low if wanted.lte is None else [*low, column <= wanted.lte]


def within_times(column: ColumnElement[Any], wanted: TimeRange) -> list[ColumnElement[bool]]:
    for moment in (wanted.since, wanted.before):
        if moment is not None and moment.tzinfo is None:
            raise BadInput("A moment needs its time zone.", field=("filter",))
    low = [] if wanted.since is None else [column >= wanted.since]
    return low if wanted.before is None else [*low, column < wanted.before]
