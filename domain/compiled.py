"""Statements of hot paths, built once: on PostgreSQL they go to the driver as text.

To build a select, look it up among the compiled ones and wrap its rows costs SQLAlchemy eight times what the driver
needs to run it. Both ways run in the session's transaction, behind its walls.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import asyncpg
import orjson
from sqlalchemy import BindParameter, Column, ColumnElement, Select, String, any_, bindparam
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import TypeEngine, UserDefinedType

from domain.columns import UtcDateTime

DIALECT = postgresql.asyncpg.dialect(json_deserializer=orjson.loads)  # type: ignore[no-untyped-call]

Among = Callable[[Column[Any], str], ColumnElement[bool]]
Convert = Callable[[Any], Any]


class Compiled:
    """A select built once for each dialect. What builds it gets a function that says a column is one of many values.

    Values are given by the names of the statement's parameters.
    """

    def __init__(self, build: Callable[[Among], Select[Any]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    async def rows(self, session: AsyncSession, **values: Any) -> Sequence[Any]:
        """Return the rows, their columns by name."""
        if not is_postgresql(session):
            found: Sequence[Any] = (await session.execute(self._for_sqlite, values)).all()
            return found
        text, given, make = self._for_postgresql
        return make(await fetch(session, text, [one.of(values) for one in given]))

    async def scalars(self, session: AsyncSession, **values: Any) -> list[Any]:
        """Return the values of the first column."""
        return [row[0] for row in await self.rows(session, **values)]

    @cached_property
    def _for_sqlite(self) -> Select[Any]:
        return self._build(lambda column, name: column.in_(bindparam(name, expanding=True)))

    @cached_property
    def _for_postgresql(self) -> "_Text":
        statement = self._build(lambda column, name: column == any_(bindparam(name, type_=ArrayOf(column.type))))
        asked = {str(part.key) for part in iterate(statement) if isinstance(part, BindParameter) and part.required}
        # lists that stand in the statement are written out, which wants a value of every parameter
        filled = statement.params(dict.fromkeys(asked))
        made: Any = filled.compile(dialect=DIALECT).construct_expanded_state()
        given = [
            _Given(name, name in asked, made.parameters[name], made.processors.get(name)) for name in made.positiontup
        ]
        return _Text(made.statement, given, _maker(statement))


class _Given(NamedTuple):
    """A parameter: the caller's by its name where it is asked for, or what stands in the statement."""

    name: str
    asked: bool
    fixed: Any
    convert: Convert | None

    def of(self, values: Mapping[str, Any]) -> Any:
        value = values[self.name] if self.asked else self.fixed
        return value if self.convert is None else self.convert(value)


class _Text(NamedTuple):
    """A statement for the driver, its parameters in their order, and what makes rows of its records."""

    text: str
    given: Sequence[_Given]
    make: Callable[[Sequence[Any]], Sequence[Any]]


def _maker(statement: Select[Any]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    columns = statement.selected_columns
    row: Any = namedtuple("Row", columns.keys())  # type: ignore[misc]
    came = {place: convert for place, column in enumerate(columns) if (convert := _received(column.type)) is not None}

    def converted(record: Any) -> Any:
        values = list(record)
        for place, convert in came.items():
            values[place] = convert(values[place])
        return row._make(values)

    make = converted if came else row._make
    return lambda records: [make(record) for record in records]


def _received(kind: TypeEngine[Any]) -> Convert | None:
    if isinstance(kind, UtcDateTime):
        return None  # the driver's moments know their zone
    convert: Convert | None = kind.dialect_impl(DIALECT).result_processor(DIALECT, None)
    return convert


class ArrayOf(UserDefinedType[Any]):
    """An array the driver takes as it is: SQLAlchemy's own looks at each value."""

    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        self.item = item

    def get_col_spec(self, **_: Any) -> str:
        return f"{written(self.item)}[]"


def written(kind: TypeEngine[Any]) -> str:
    """Return a type as PostgreSQL writes it in a cast."""
    # a cast to varchar(n) would cut what is too long; as text, a column refuses it and equals none of it
    return "text" if isinstance(kind, String) else kind.compile(DIALECT)


def is_postgresql(session: AsyncSession) -> bool:
    """Tell what a session speaks to: it takes arrays, and round trips cost."""
    return session.get_bind().dialect.name == "postgresql"


async def fetch(session: AsyncSession, text: str, parameters: Sequence[Any]) -> list[Any]:
    """Run a statement of PostgreSQL's in the session's transaction and return the driver's records.

    Raises what SQLAlchemy would.
    """
    connection = (await session.connection()).sync_connection
    assert connection is not None, "a session that runs has a connection"
    if connection.dispatch.before_cursor_execute:
        # whoever listens to what the engine is asked hears of this too
        connection.dispatch.before_cursor_execute(connection, None, text, tuple(parameters), None, executemany=False)
    driver: Any = connection.connection.driver_connection
    try:
        return list(await driver.fetch(text, *parameters))
    except asyncpg.IntegrityConstraintViolationError as error:
        raise IntegrityError(text, None, error, hide_parameters=True) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        lost = driver.is_closed() or _is_lost(error)
        if lost:
            # nothing can be rolled back over it, and the pool must not hand it to the next
            connection.invalidate(error)
        raise DBAPIError(text, None, error, hide_parameters=True, connection_invalidated=lost) from error


def _is_lost(error: Exception) -> bool:
    # while a server says goodbye, the driver says of the next statement that another is in progress
    ended = str(getattr(error, "sqlstate", None)).startswith(("08", "57P"))
    return ended or isinstance(error, asyncpg.InternalClientError)
