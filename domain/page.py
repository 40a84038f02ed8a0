"""Keyset pages: a cursor names the last row seen, so that inserts never shift a page and no offset is ever counted."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import orjson
from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import BadInput

Row = TypeVar("Row")

MAX_PAGE = 100


@dataclass(frozen=True)
class PageArgs:
    """A window on a list: `first` after a cursor, or `last` before one. One of the two sizes is required."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
    limit: int = MAX_PAGE

    def size(self) -> int:
        """Return how many rows are asked for. Raises BadInput where the window is not one."""
        if (self.first is None) == (self.last is None):
            raise BadInput("Give either first or last.", field=("first",))
        name, size = ("first", self.first) if self.first is not None else ("last", self.last)
        assert size is not None
        if not 1 <= size <= self.limit:
            raise BadInput(f"{name} must be between 1 and {self.limit}.", field=(name,))
        if self.first is not None and self.before is not None:
            raise BadInput("before goes with last.", field=("before",))
        if self.last is not None and self.after is not None:
            raise BadInput("after goes with first.", field=("after",))
        return size


@dataclass(frozen=True)
class Sort:
    """A stable total order: `code` names it in cursors, the last column is unique, all are NOT NULL."""

    code: str
    columns: tuple[ColumnElement[Any], ...]
    descending: bool = False


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A window of rows with their cursors. `counted` is the whole list, to be counted only when somebody asks."""

    rows: Sequence[Row]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    counted: Select[Any]


def encode_cursor(order: Sort, values: Sequence[Any]) -> str:
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(orjson.dumps([order.code, *plain])).decode().rstrip("=")


def decode_cursor(order: Sort, cursor: str, name: str) -> list[Any]:
    """Return the key values in a cursor. Raises BadInput where it is not one of this order."""
    try:
        code, *values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if code != order.code or len(values) != len(order.columns):
            raise ValueError(code)
        return [_typed(column, value) for column, value in zip(order.columns, values, strict=True)]
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise BadInput(f"{name} is not a cursor of this list.", field=(name,)) from error


def _typed(column: ColumnElement[Any], value: Any) -> Any:
    kind = column.type.python_type
    if kind is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment.astimezone(UTC)
    if type(value) is not kind or (kind is int and not -(2**63) <= value < 2**63):
        raise ValueError(value)
    return value


def after_key(columns: Sequence[ColumnElement[Any]], values: Sequence[Any], *, descending: bool) -> ColumnElement[bool]:
    """Build the condition that a row comes after the key, in a form both databases serve from one index range."""
    head, value = columns[0], literal(values[0], columns[0].type)
    beyond = head < value if descending else head > value
    if len(columns) == 1:
        return beyond
    # `a <= x AND (a < x OR rest)` bounds the index scan where a row comparison would not on SQLite
    bound = head <= value if descending else head >= value
    return and_(bound, or_(beyond, after_key(columns[1:], values[1:], descending=descending)))


async def paginate(session: AsyncSession, statement: Select[Any], order: Sort, args: PageArgs) -> Page[Any]:
    """Run one page of the statement, which must select the order's columns. Reads at most `size + 1` rows."""
    counted = statement
    size, backwards = args.size(), args.last is not None
    descending = order.descending != backwards
    name, cursor = ("before", args.before) if backwards else ("after", args.after)
    if cursor is not None:
        statement = statement.where(after_key(order.columns, decode_cursor(order, cursor, name), descending=descending))
    directed = [column.desc() if descending else column.asc() for column in order.columns]
    found = (await session.execute(statement.order_by(*directed).limit(size + 1))).all()
    rows = found[:size][::-1] if backwards else found[:size]
    more, came_from = len(found) > size, cursor is not None
    return Page(
        rows=rows,
        cursors=[encode_cursor(order, [getattr(row, str(c.key)) for c in order.columns]) for row in rows],
        has_next=came_from if backwards else more,
        has_previous=more if backwards else came_from,
        counted=counted,
    )


async def count_of(session: AsyncSession, page: Page[Any]) -> int:
    """Count the whole list a page is a window on."""
    statement = select(func.count()).select_from(page.counted.order_by(None).subquery())
    return int((await session.execute(statement)).scalar_one())
