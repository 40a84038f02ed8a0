"""JSON written by PostgreSQL, to the byte what orjson writes of the same values.

NULL is the trap: `text || NULL` is NULL, and string_agg drops such a row without a word. So whatever can be NULL is
coalesced, and what GraphQL calls non-null is only taken from a column that is NOT NULL.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any, NamedTuple

from graphql import GraphQLEnumType, GraphQLNonNull, GraphQLOutputType
from sqlalchemy import ColumnElement, Float, Integer, Text, case, cast, func, literal_column

# JSON in the making: text of our own, which has no quote, expressions of type text, and what is left for Python
Pieces = list[Any]


class NotInSql(Exception):
    """PostgreSQL cannot write this answer, or must not; it is given in another way."""


def merged(pieces: Iterable[Any]) -> Pieces:
    """Return the pieces with neighbouring texts in one."""
    found: Pieces = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        else:
            found.append(piece)
    return found


def joined(pieces: Iterable[Any]) -> ColumnElement[str]:
    """Return the pieces as one text, in as few concatenations as can be."""
    parts = [constant(piece) if isinstance(piece, str) else piece for piece in merged(pieces)]
    if not parts:
        return cast(EMPTY, Text)
    # a literal that stands alone would have no type
    return reduce(lambda whole, part: whole.concat(part), parts) if len(parts) > 1 else cast(parts[0], Text)


def as_bytes(text: ColumnElement[str]) -> ColumnElement[bytes]:
    """Return the text as the bytes that are sent."""
    return func.convert_to(text, literal_column("'UTF8'"))


class Items(NamedTuple):
    """The items of a list as they are written: the text all begin with, each one's own, the text all end with."""

    head: str
    own: Pieces
    tail: str

    @classmethod
    def of(cls, pieces: Pieces) -> "Items":
        """Take an object apart: what all items have in common is then written between them and not for each."""
        head, *own = merged(pieces)
        assert isinstance(head, str)
        tail = own.pop() if own and isinstance(own[-1], str) else ""
        return cls(head, own, str(tail))

    def gathered(self, written: ColumnElement[str]) -> ColumnElement[str]:
        """Return the aggregate of what is each one's own."""
        return func.string_agg(written, constant(f"{self.tail},{self.head}"))

    def listed(self, gathered: ColumnElement[str]) -> ColumnElement[str]:
        """Return the items of a list, nothing where there are none."""
        return func.coalesce(joined([self.head, gathered, self.tail]), EMPTY)


def constant(text: str) -> ColumnElement[str]:
    """Return JSON made of GraphQL names, which are letters, digits and underscores, as a literal."""
    if "'" in text:
        raise NotInSql(text)
    return literal_column(f"'{text}'", Text)


def leaf(column: ColumnElement[Any], graphql_type: GraphQLOutputType) -> Pieces:
    """Return the JSON of a column as a field of this type. Raises NotInSql."""
    required = isinstance(graphql_type, GraphQLNonNull)
    inner: Any = graphql_type.of_type if isinstance(graphql_type, GraphQLNonNull) else graphql_type
    write = _enum(inner) if isinstance(inner, GraphQLEnumType) else _WRITERS.get(getattr(inner, "name", ""))
    if write is None:
        raise NotInSql(inner)
    if not _can_be_null(column):
        return write(column)
    if required:
        raise NotInSql(column)
    return [func.coalesce(joined(write(column)), NULL)]


def _can_be_null(column: ColumnElement[Any]) -> bool:
    # what is computed is computed of columns that are NOT NULL: schema/sql.py has no others
    return any(getattr(base, "nullable", False) for base in column.base_columns)


def _quoted(text: ColumnElement[Any]) -> Pieces:
    return ['"', cast(text, Text), '"']


def _plain(column: ColumnElement[Any]) -> Pieces:
    return [cast(column, Text)]


def _string(column: ColumnElement[Any]) -> Pieces:
    return [cast(func.to_json(column), Text)]


def _moment(column: ColumnElement[Any]) -> Pieces:
    # a session's time zone is UTC; six places of a second, or none
    written = func.to_char(column, literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""))
    text = func.replace(written, literal_column("'.000000Z'"), literal_column("'Z'"))
    # the driver keeps the first and the last moment there is as infinite, of which to_char makes NULL
    return _quoted(case((func.isfinite(column), text), else_=_error(cast(column, Text))))


def _error(text: ColumnElement[str]) -> ColumnElement[str]:
    """Return what fails where it is come to, and by that leaves the answer to Python."""
    return cast(cast(text.concat(literal_column("' is for Python to write'")), Integer), Text)


def _float(column: ColumnElement[Any]) -> Pieces:
    # within these bounds both write the shortest digits and no exponent; orjson writes 1.0 where PostgreSQL writes 1
    text, whole = cast(column, Text), column == func.trunc(column)
    least, most = _number("0.0001"), _number("1e15")
    # the usual comes first: a condition on each of eight thousand weights is a millisecond
    usual = (column >= least) & (column < most) & (column != func.trunc(column))
    negative = (column <= -least) & (column > -most)
    whens = [(usual, text), (whole & (func.abs(column) < most), text.concat(literal_column("'.0'"))), (negative, text)]
    return [case(*whens, else_=_error(text))]


def _number(text: str) -> ColumnElement[float]:
    return cast(literal_column(text), Float(53))


def _enum(enum: GraphQLEnumType) -> Callable[[ColumnElement[Any]], Pieces] | None:
    # a CHECK of the column holds it to these values
    same = all(getattr(value.value, "value", value.value) == name for name, value in enum.values.items())
    return _quoted if same else None


NULL = literal_column("'null'", Text)
EMPTY = literal_column("''", Text)
_WRITERS: Mapping[str, Callable[[ColumnElement[Any]], Pieces]] = {
    "String": _string,
    "ID": _quoted,
    "Int": _plain,
    "Int64": _plain,
    "Boolean": _plain,
    "Float": _float,
    "Decimal": _quoted,
    "DateTime": _moment,
}
