"""Scalars beyond GraphQL's own."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig

from domain.money import to_decimal

LIMIT = 2**63

Int64 = NewType("Int64", int)


def _parse_int64(value: Any) -> int:
    if type(value) is not int or not -LIMIT <= value < LIMIT:
        raise GraphQLError("Int64 cannot represent this value.")
    return value


def _parse_moment(value: Any) -> datetime:
    if type(value) is not str:
        raise GraphQLError("DateTime cannot represent this value.")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise GraphQLError("DateTime cannot represent this value.") from error
    if moment.tzinfo is None:
        raise GraphQLError("DateTime needs an offset.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise GraphQLError("DateTime cannot represent this value.") from error


def _serialize_moment(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


CONFIG = StrawberryConfig(
    scalar_map={
        Int64: strawberry.scalar(
            name="Int64",
            description="A whole number of 64 bits, written and read as a JSON number.",
            serialize=int,
            parse_value=_parse_int64,
        ),
        datetime: strawberry.scalar(
            name="DateTime",
            description="A moment in UTC as RFC 3339, such as 2026-01-31T08:00:00Z. An input needs its offset.",
            serialize=_serialize_moment,
            parse_value=_parse_moment,
        ),
    }
)


@strawberry.type(description="An amount of money.")
class Money:
    """An amount with its currency."""

    amount: Decimal = strawberry.field(description="The amount as a decimal of the currency.")
    currency: str = strawberry.field(description="The currency by its ISO 4217 code.")


def money(minor: int, currency: str) -> Money:
    """Return minor units as money."""
    return Money(amount=to_decimal(minor, currency), currency=currency)


def spend_of(fan: Any) -> Money:
    """Return what a fan has spent."""
    return money(fan.spend, fan.currency)


def cash_of(row: Any) -> Money:
    """Return the money that is asked for beside points."""
    return money(row.cash, row.currency)


def amount_of(row: Any) -> Money:
    """Return the amount of an order or of a line, whose currency is the order's."""
    return money(row.amount, row.currency)


def refunded_of(order: Any) -> Money:
    """Return what of an order was paid back."""
    return money(order.refunded, order.currency)
