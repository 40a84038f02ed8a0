"""What fields say in SQL, for answers that PostgreSQL writes: the twins of functions of a row.

Each expression gives what its Python twin gives, to the character; a differential test holds them to it.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Numeric, Text, case, cast, func, literal_column

from domain.money import EXPONENTS

_UNITS = {places: literal_column(unit, Numeric) for places, unit in {0: "1", 2: "0.01", 3: "0.001"}.items()}
LONGEST_KIND = 36  # with a colon and nineteen digits; PostgreSQL breaks lines after 57 bytes
Columns = Any  # the columns of a row by name: a FromClause's `.c`, or a mapping


def id_text(kind: str, columns: Columns, name: str = "id") -> ColumnElement[str]:
    """Return the opaque id of `schema.ids.encode`; letters, digits and a colon need neither + nor / in base64."""
    if len(kind) > LONGEST_KIND:
        raise ValueError(f"base64 of an id of {kind} would be broken into lines")
    plain = cast(literal_column(f"'{kind}:'", Text) + cast(columns[name], Text), LargeBinary)
    # what base64 ends with is cut off by a cheaper way than a trim is
    return func.split_part(func.encode(plain, literal_column("'base64'")), literal_column("'='"), literal_column("1"))


def money(minor: ColumnElement[Any], currency: ColumnElement[Any]) -> Mapping[str, ColumnElement[Any]]:
    """Return what `schema.scalars.money` makes of minor units."""
    return {"amount": _decimal(minor, currency), "currency": currency}


def _decimal(minor: ColumnElement[Any], currency: ColumnElement[Any]) -> ColumnElement[str]:
    # a product has the places of its factors together: 5 * 0.01 is 0.05, and 100 * 0.01 is 1.00
    odd: dict[int, list[ColumnElement[str]]] = {}
    for code, places in EXPONENTS.items():
        odd.setdefault(places, []).append(literal_column(f"'{code}'", Text))
    usual = (currency == literal_column("'CNY'", Text), _UNITS[2])  # spares most rows the search
    whens = [usual, *((currency.in_(codes), _UNITS[places]) for places, codes in odd.items())]
    return cast(cast(minor, Numeric) * case(*whens, else_=_UNITS[2]), Text)


def spend_of(columns: Columns) -> Mapping[str, ColumnElement[Any]]:
    """Return what a fan has spent."""
    return money(columns["spend"], columns["currency"])


def amount_of(columns: Columns) -> Mapping[str, ColumnElement[Any]]:
    """Return the amount of an order or of a line."""
    return money(columns["amount"], columns["currency"])


def cash_of(columns: Columns) -> Mapping[str, ColumnElement[Any]]:
    """Return the money that is asked for beside points."""
    return money(columns["cash"], columns["currency"])


def refunded_of(columns: Columns) -> Mapping[str, ColumnElement[Any]]:
    """Return what of an order was paid back."""
    return money(columns["refunded"], columns["currency"])
