"""Statements of hot paths, built once: they go to the driver as text, in the session's transaction, behind its walls.

To build a select, look it up among the compiled ones and wrap its rows costs SQLAlchemy eight times what the driver
needs to run it.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BindParameter, Column, ColumnElement, Dialect, Select, String, any_, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.visitors import iterate
from sqlalchemy.types import TypeEngine, UserDefinedType

from domain.columns import UtcDateTime
from domain.running import fetch, is_postgresql


def dumps(value: Any) -> str:
    """Write a value as JSON, as columns of JSON take it."""
    return orjson.dumps(value).decode()


POSTGRESQL: Dialect = postgresql.asyncpg.dialect(json_deserializer=orjson.loads)  # type: ignore[no-untyped-call]
SQLITE: Dialect = sqlite.dialect(json_serializer=dumps, json_deserializer=orjson.loads)
SIZES_KEPT = 128  # of lists, for which SQLite has a text each

Among = Callable[[Column[Any], str], ColumnElement[bool]]
Convert = Callable[[Any], Any]


class Compiled:
    """A select built once for each dialect. What builds it gets a function that says a column is one of many values.

    Values are given by the names of the statement's parameters.
    """

    def __init__(self, build: Callable[[Among], Select[Any]]) -> None:
        self._build = build
        self._texts_of_sqlite: dict[tuple[tuple[str, int], ...], Text] = {}
        self.__doc__ = build.__doc__

    async def rows(self, session: AsyncSession, **values: Any) -> Sequence[Any]:
        """Return the rows, their columns by name."""
        made = self.for_postgresql if is_postgresql(session) else self._for_sqlite(values)
        return made.make(await fetch(session, made.text, [one.of(values) for one in made.given]))

    async def scalars(self, session: AsyncSession, **values: Any) -> list[Any]:
        """Return the values of the first column."""
        return [row[0] for row in await self.rows(session, **values)]

    @cached_property
    def for_postgresql(self) -> "Text":
        """The statement as PostgreSQL takes it."""
        statement = self._build(lambda column, name: column == any_(bindparam(name, type_=ArrayOf(column.type))))
        return _text_of(statement, POSTGRESQL, {})

    def _for_sqlite(self, values: Mapping[str, Any]) -> "Text":
        sizes = {name: len(values[name]) for name in self._lists_of_sqlite}
        key = tuple(sorted(sizes.items()))
        if key not in self._texts_of_sqlite:
            if len(self._texts_of_sqlite) >= SIZES_KEPT:
                self._texts_of_sqlite.clear()
            self._texts_of_sqlite[key] = _text_of(self._statement_of_sqlite, SQLITE, sizes)
        return self._texts_of_sqlite[key]

    @cached_property
    def _statement_of_sqlite(self) -> Select[Any]:
        return self._build(lambda column, name: column.in_(bindparam(name, expanding=True)))

    @cached_property
    def _lists_of_sqlite(self) -> set[str]:
        return {part.key for part in _asked(self._statement_of_sqlite) if part.expanding}


class _Given(NamedTuple):
    """A parameter: the caller's by its name where it is asked for, or what stands in the statement.

    `place` is where in the caller's list it is, for a database that takes each value of a list apart.
    """

    name: str
    asked: bool
    fixed: Any
    convert: Convert | None
    place: int | None

    def of(self, values: Mapping[str, Any]) -> Any:
        value = values[self.name] if self.asked else self.fixed
        if self.place is not None:
            value = value[self.place]
        return value if self.convert is None else self.convert(value)


class Text(NamedTuple):
    """A statement for the driver, its parameters in their order, and what makes rows of its records."""

    text: str
    given: Sequence[_Given]
    make: Callable[[Sequence[Any]], Sequence[Any]]


def _asked(statement: Select[Any]) -> list[BindParameter[Any]]:
    return [part for part in iterate(statement) if isinstance(part, BindParameter) and part.required]


def _text_of(statement: Select[Any], dialect: Dialect, sizes: Mapping[str, int]) -> Text:
    asked = {part.key for part in _asked(statement)}
    # lists that stand in the statement are written out, which wants a value of every parameter
    filled = statement.params({name: [None] * sizes[name] if name in sizes else None for name in asked})
    made: Any = filled.compile(dialect=dialect).construct_expanded_state()
    apart = {
        one: (name, place)
        for name in asked & made.parameter_expansion.keys()
        for place, one in enumerate(made.parameter_expansion[name])
    }
    given = []
    for one in made.positiontup:
        name, place = apart.get(one, (one, None))
        given.append(_Given(name, name in asked, made.parameters.get(one), made.processors.get(one), place))
    return Text(made.statement, given, _maker(statement, dialect))


def _maker(statement: Select[Any], dialect: Dialect) -> Callable[[Sequence[Any]], Sequence[Any]]:
    columns = statement.selected_columns
    row: Any = namedtuple("Row", columns.keys())  # type: ignore[misc]
    came = {
        place: convert
        for place, column in enumerate(columns)
        if (convert := _received(column.type, dialect)) is not None
    }

    def converted(record: Any) -> Any:
        values = list(record)
        for place, convert in came.items():
            values[place] = convert(values[place])
        return row._make(values)

    make = converted if came else row._make
    return lambda records: [make(record) for record in records]


def _received(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    if isinstance(kind, UtcDateTime) and dialect is POSTGRESQL:
        return None  # the driver's moments know their zone
    convert: Convert | None = kind.dialect_impl(dialect).result_processor(dialect, None)
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
    return "text" if isinstance(kind, String) else kind.compile(POSTGRESQL)
