"""Many rows in one statement, for what comes in by the thousand: sent by column, held to the session's scope.

PostgreSQL takes each column as one array (`unnest`); a row costs it no parsing and Python no object. SQLite has no
arrays and is in the process: there the driver runs the statement for each row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, String, Table, any_, insert, literal, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from domain.database import dialect_insert
from domain.guard import check_insert

_DIALECT = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Bulk:
    """Rows of a table: what all of them share, and for each other column its values in the order of the rows."""

    table: Table
    shared: Mapping[str, Any]
    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows one by one."""
        names = list(self.columns)
        return [
            dict(self.shared, **dict(zip(names, row, strict=True))) for row in zip(*self.columns.values(), strict=True)
        ]


async def insert_all(session: AsyncSession, bulk: Bulk) -> list[int]:
    """Insert the rows and return the ids they got, which ascend in the order of the rows."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    if _has_arrays(session):
        return sorted(row[0] for row in await _run(session, bulk, "RETURNING id"))
    # one writer at a time: nobody else takes the next ids meanwhile
    last = (await session.execute(select(bulk.table.c.id).order_by(bulk.table.c.id.desc()).limit(1))).scalar() or 0
    ids = list(range(last + 1, last + 1 + len(bulk)))
    await session.execute(insert(bulk.table), [row | {"id": id_} for row, id_ in zip(bulk.rows, ids, strict=True)])
    return ids


async def insert_rows(session: AsyncSession, bulk: Bulk) -> None:
    """Insert the rows."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    if _has_arrays(session):
        await _run(session, bulk, "")
    else:
        await session.execute(insert(bulk.table), bulk.rows)


async def insert_new(session: AsyncSession, bulk: Bulk, key: str) -> set[Any]:
    """Insert the rows whose unique key nobody has, in the order given, and return their values of the column `key`."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    if _has_arrays(session):
        return {row[0] for row in await _run(session, bulk, f"ON CONFLICT DO NOTHING RETURNING {key}")}
    column = bulk.table.c[key]
    shared = [bulk.table.c[name] == value for name, value in bulk.shared.items() if bulk.table.c[name].primary_key]
    known = set((await session.execute(select(column).where(*shared, column.in_(bulk.columns[key])))).scalars())
    rows = [row for row in bulk.rows if row[key] not in known]
    if rows:
        await session.execute(insert(bulk.table), rows)
    return {row[key] for row in rows}


async def add_up(session: AsyncSession, bulk: Bulk, number: str) -> None:
    """Insert the rows; where one of their primary key exists, add their `number` to it."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    keys = [column.name for column in bulk.table.primary_key]
    if _has_arrays(session):
        sum_ = f"{number} = {bulk.table.name}.{number} + excluded.{number}"
        await _run(session, bulk, f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sum_}")
        return
    insertion = dialect_insert(session, bulk.table)
    grown = {number: bulk.table.c[number] + insertion.excluded[number]}
    await session.execute(insertion.on_conflict_do_update(index_elements=keys, set_=grown), bulk.rows)


def among(session: AsyncSession, column: Column[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Build the condition that a column has one of many values: on PostgreSQL one parameter, and one plan for all."""
    if not _has_arrays(session):
        return column.in_(values)
    return column == any_(literal(values, postgresql.ARRAY(column.type)))


def _has_arrays(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _condensed(bulk: Bulk) -> Bulk:
    """Send once what a column says in every row: the driver looks at each value of an array."""
    # in Python 1, 1.0 and True are equal, and in JSON they are not
    plain = {name: values for name, values in bulk.columns.items() if _type_of(bulk.table, name) != "JSONB"}
    same = {name: values[0] for name, values in plain.items() if values.count(values[0]) == len(values)}
    columns = {name: values for name, values in bulk.columns.items() if name not in same}
    # rows are made by a column, so one has to stay
    return Bulk(bulk.table, {**bulk.shared, **same}, columns) if columns else bulk


async def _run(session: AsyncSession, bulk: Bulk, ending: str) -> Sequence[Any]:
    bulk = _condensed(bulk)
    statement = _statement(bulk.table, tuple(bulk.shared), tuple(bulk.columns), ending)
    arrays = (_sent(bulk.table, name, values) for name, values in bulk.columns.items())
    shared = (_sent(bulk.table, name, [value])[0] for name, value in bulk.shared.items())
    connection = await session.connection()
    result = await connection.exec_driver_sql(statement, (*shared, *arrays))
    return result.all() if result.returns_rows else ()


def _sent(table: Table, name: str, values: Sequence[Any]) -> list[Any]:
    # the driver would take JSON apart and put it together again; as text it goes through
    if _type_of(table, name) == "JSONB":
        return [None if value is None else orjson.dumps(value).decode() for value in values]
    return list(values)


@lru_cache(maxsize=64)
def _statement(table: Table, shared: tuple[str, ...], columns: tuple[str, ...], ending: str) -> str:
    """Write the statement; every name in it is a table's or a column's of ours."""
    sent = {name: "text" if _type_of(table, name) == "JSONB" else _type_of(table, name) for name in (*shared, *columns)}
    fixed = [f"${n}::{sent[name]}::{_type_of(table, name)}" for n, name in enumerate(shared, start=1)]
    kinds = [_type_of(table, name) for name in columns]
    arrays = [f"${n}::{sent[name]}[]" for n, name in enumerate(columns, start=len(shared) + 1)]
    read = [f"given.{name}::{kind}" for name, kind in zip(columns, kinds, strict=True)]
    given = f"unnest({', '.join(arrays)}) AS given({', '.join(columns)})"
    chosen = f"SELECT {', '.join((*fixed, *read))} FROM {given}"  # noqa: S608
    return f"INSERT INTO {table.name} ({', '.join((*shared, *columns))}) {chosen} {ending}"


@lru_cache(maxsize=256)
def _type_of(table: Table, name: str) -> str:
    kind = table.c[name].type
    # a cast to varchar(n) would cut what is too long; as text, the column refuses it
    return "text" if isinstance(kind, String) else str(kind.compile(_DIALECT))
