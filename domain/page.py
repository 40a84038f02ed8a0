"""Keyset pages: a cursor names the last row seen, so that inserts never shift a page and no offset is ever counted."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeVar

import orjson
from sqlalchemy import ColumnElement, Select, and_, bindparam, func, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import BadInput

Row = TypeVar("Row")
Counted = Select[Any] | Callable[[], Select[Any]]

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
    """A stable total order: `code` names it in cursors, the last column is unique, all are NOT NULL.

    Where the order is `gapped` the first column may be NULL, and the rows without it come last.
    """

    code: str
    columns: tuple[ColumnElement[Any], ...]
    descending: bool = False
    gapped: bool = False


@dataclass(frozen=True)
class Page(Generic[Row]):
    """A window of rows with their cursors. `counted` is the whole list, to be counted only when somebody asks.

    It may be what builds it: most lists are read without being counted.
    """

    rows: Sequence[Row]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    counted: Counted


def encode_cursor(order: Sort, values: Sequence[Any]) -> str:
    plain = [_written(value) if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(orjson.dumps([order.code, *plain])).decode().rstrip("=")


def _written(moment: datetime) -> str:
    # the driver's own rows have the first and the last moment there is without a time zone
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).isoformat()


def decode_cursor(order: Sort, cursor: str, name: str) -> list[Any]:
    """Return the key values in a cursor. Raises BadInput where it is not one of this order."""
    try:
        code, *values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if code != order.code or len(values) != len(order.columns):
            raise ValueError(code)
        if order.gapped and values[0] is None:
            return [None, *map(_typed, order.columns[1:], values[1:])]
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
    if kind is date:
        return date.fromisoformat(value)
    if type(value) is not kind or (kind is int and not -(2**63) <= value < 2**63):
        raise ValueError(value)
    return value


def after_key(columns: Sequence[ColumnElement[Any]], key: Sequence[ColumnElement[Any]], *, descending: bool) -> Any:
    """Build the condition that a row comes after the key, in a form both databases serve from one index range."""
    head, value = columns[0], key[0]
    beyond = head < value if descending else head > value
    if len(columns) == 1:
        return beyond
    # `a <= x AND (a < x OR rest)` bounds the index scan where a row comparison would not on SQLite
    bound = head <= value if descending else head >= value
    return and_(bound, or_(beyond, after_key(columns[1:], key[1:], descending=descending)))


@dataclass(frozen=True)
class Frame:
    """Which part of which order a page is, without what reads it."""

    order: Sort
    size: int
    backwards: bool
    cursor: bool

    @property
    def descending(self) -> bool:
        """Tell whether the rows are read from the end of the order."""
        return self.order.descending != self.backwards

    def key_names(self) -> list[str]:
        """Name the columns of the order."""
        return [str(column.key) for column in self.order.columns]

    def neighbours(self, found: int) -> tuple[bool, bool]:
        """Tell whether rows follow and whether rows come before, by how many were read."""
        more = found > self.size
        return (self.cursor, more) if self.backwards else (more, self.cursor)

    def rows(self, found: Sequence[Row]) -> Sequence[Row]:
        """Return the rows of the page, in the order of the list, of those that were read."""
        kept = found[: self.size]
        return kept[::-1] if self.backwards else kept


@dataclass(frozen=True)
class Window:
    """A page before it is read: what reads it, at most a row more than its size, and what it is a part of."""

    statement: Select[Any]
    frame: Frame
    counted: Counted

    def page(self, found: Sequence[Any]) -> Page[Any]:
        """Return the rows that were read as a page."""
        names, rows = self.frame.key_names(), self.frame.rows(found)
        has_next, has_previous = self.frame.neighbours(len(found))
        cursors = [encode_cursor(self.frame.order, [getattr(row, name) for name in names]) for row in rows]
        return Page(rows, cursors, has_next, has_previous, self.counted)


def cursor_binds(order: Sort, cursor: str, name: str) -> dict[str, Any]:
    """Return the values of a cursor by the names they are bound under in a window's statement."""
    return {f"cursor_{place}": value for place, value in enumerate(decode_cursor(order, cursor, name))}


def window(statement: Select[Any], order: Sort, args: PageArgs) -> Window:
    """Cut a window out of the statement, which must select the order's columns."""
    counted = statement
    frame, values = framed(order, args)
    if order.gapped:
        return Window(_gapped(statement, frame, values), frame, counted)
    if values is not None:
        key = [
            bindparam(f"cursor_{place}", value, column.type)
            for place, (value, column) in enumerate(zip(values, order.columns, strict=True))
        ]
        statement = statement.where(after_key(order.columns, key, descending=frame.descending))
    return Window(_cut(statement, order.columns, frame), frame, counted)


def framed(order: Sort, args: PageArgs) -> tuple[Frame, list[Any] | None]:
    """Return the frame that is asked for and the key of its cursor, where it has one."""
    name, cursor = ("before", args.before) if args.last is not None else ("after", args.after)
    frame = Frame(order, args.size(), args.last is not None, cursor is not None)
    return frame, None if cursor is None else decode_cursor(order, cursor, name)


def directed(columns: Sequence[ColumnElement[Any]], *, descending: bool) -> list[ColumnElement[Any]]:
    """Order by the columns, all in one direction."""
    return [column.desc() if descending else column.asc() for column in columns]


def _cut(statement: Select[Any], columns: Sequence[ColumnElement[Any]], frame: Frame) -> Select[Any]:
    return statement.order_by(*directed(columns, descending=frame.descending)).limit(frame.size + 1)


def _gapped(statement: Select[Any], frame: Frame, key: Sequence[Any] | None) -> Select[Any]:
    """Cut a window out of rows whose first key may be missing: of those that have it, then of those that have not.

    Each is a range of an index, which one condition over both would not be; the second is read for what the first
    leaves room for, and not at all where that is nothing: there may be few such rows among very many.
    """
    head, *rest = frame.order.columns
    parts: list[tuple[ColumnElement[bool], list[ColumnElement[Any]]]] = [
        (head.is_not(None), [head, *rest]),
        (head.is_(None), rest),
    ]
    parts = parts[::-1] if frame.backwards else parts
    if key is not None and (key[0] is None) != frame.backwards:
        parts = parts[1:]  # the cursor stands in the part that comes last
    arms = [_cut(statement.where(which), columns, frame) for which, columns in parts]
    if key is not None:
        which, columns = parts[0]
        values = [literal(value, column.type) for value, column in zip(key[-len(columns) :], columns, strict=True)]
        beyond = after_key(columns, values, descending=frame.descending)
        arms[0] = _cut(statement.where(which, beyond), columns, frame)
    first, *others = arms
    begun = first.cte("begun")
    room = frame.size + 1 - select(func.count()).select_from(begun).scalar_subquery()
    # each has a limit of its own inside, which the planner knows
    rest_of = (select(arm.subquery()).limit(room).subquery() for arm in others)
    rows = union_all(select(begun), *(select(arm) for arm in rest_of)).subquery()
    missing = rows.c[str(head.key)].is_(None)
    order = [missing.desc() if frame.backwards else missing.asc(), *(rows.c[name] for name in frame.key_names())]
    return select(rows).order_by(order[0], *directed(order[1:], descending=frame.descending)).limit(frame.size + 1)


async def read(session: AsyncSession, wanted: Window) -> Page[Any]:
    """Read a window."""
    return wanted.page((await session.execute(wanted.statement)).all())


async def paginate(session: AsyncSession, statement: Select[Any], order: Sort, args: PageArgs) -> Page[Any]:
    """Run one page of the statement, which must select the order's columns. Reads at most `size + 1` rows."""
    return await read(session, window(statement, order, args))


async def count_of(session: AsyncSession, page: Page[Any]) -> int:
    """Count the whole list a page is a window on."""
    counted = page.counted if isinstance(page.counted, Select) else page.counted()
    statement = select(func.count()).select_from(counted.order_by(None).subquery())
    return int((await session.execute(statement)).scalar_one())
