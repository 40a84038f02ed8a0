"""Many rows in one statement, for what comes in by the thousand: sent by column, held to the session's scope.

PostgreSQL takes each column as one parameter (`domain.columnar`) and gives columns back as one array each: a row costs
no parsing there and no object here. SQLite has no arrays and is in the process: there the driver runs the statement for
each row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Table,
    any_,
    func,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import NullType

from domain import columnar, rowwise, running
from domain.compiled import ArrayOf
from domain.guard import check_insert
from domain.running import is_postgresql


@dataclass(frozen=True)
class Bulk:
    """Rows of a table: what all of them share, and for each other column its values in the order of the rows.

    `ending` is what ends their insertion: what becomes of rows whose key is there.
    """

    table: Table
    shared: Mapping[str, Any]
    columns: Mapping[str, Sequence[Any]]
    ending: str = ""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


async def insert_all(session: AsyncSession, bulk: Bulk) -> list[int]:
    """Insert the rows and return the ids they got, which ascend in the order of the rows."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    if is_postgresql(session):
        return sorted(await _run(session, bulk, returning="id"))
    # one writer at a time: nobody else takes the next ids meanwhile
    ids = await next_ids(session, bulk.table, len(bulk))
    await _insert(session, replace(bulk, columns={**bulk.columns, "id": ids}))
    return ids


async def insert_rows(session: AsyncSession, bulk: Bulk) -> None:
    """Insert the rows."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    await _insert(session, bulk)


async def insert_new(session: AsyncSession, bulk: Bulk, key: str) -> set[Any]:
    """Insert the rows whose unique key nobody has, in the order given, and return their values of the column `key`."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    if is_postgresql(session):
        return set(await _run(session, replace(bulk, ending="ON CONFLICT DO NOTHING"), returning=key))
    column = bulk.table.c[key]
    shared = [bulk.table.c[name] == value for name, value in bulk.shared.items() if bulk.table.c[name].primary_key]
    known = set((await session.execute(select(column).where(*shared, column.in_(bulk.columns[key])))).scalars())
    new = [value not in known for value in bulk.columns[key]]
    if not any(new):
        return set()
    columns = {name: list(compress(values, new)) for name, values in bulk.columns.items()}
    await _insert(session, replace(bulk, columns=columns))
    return set(columns[key])


async def write_together(session: AsyncSession, bulks: Sequence[Bulk], change: Bulk | None = None) -> None:
    """Insert rows, and add to the columns of rows that are there, known by their `id`: one statement on PostgreSQL.

    In one statement nothing sees what another part of it wrote, but for what the database checks at its end. What comes
    last PostgreSQL writes first: rows that others may be writing too belong there, in one order.
    """
    written = [one for one in (*([] if change is None else [change]), *bulks) if len(one)]
    for one in written:
        check_insert(session.info["scope"], one.table, one.shared)
    if not written:
        return
    if not is_postgresql(session):
        await running.write_rows(session, [_addition(one) if one is change else _insertion(one) for one in written])
        return
    parts: list[str] = []
    parameters: list[Any] = []
    for one in written:
        build = columnar.addition if one is change else columnar.insertion
        part = build(one.table, tuple(one.shared), tuple(one.columns), len(parameters))
        parts.append(f"{part} {one.ending}" if one.ending else part)
        parameters += columnar.parameters(one.table, one.shared, one.columns)
    *before, last = parts
    named = ", ".join(f"part{number} AS ({part})" for number, part in enumerate(before))
    await running.fetch(session, f"WITH {named} {last}" if named else last, parameters)


async def next_ids(session: AsyncSession, table: Table, count: int) -> list[int]:
    """Take the next ids of a table, in order, for rows that name each other in one transaction."""
    if is_postgresql(session):
        taken = f"SELECT nextval('{table.name}_id_seq') FROM generate_series(1, $1::int)"  # noqa: S608 (one of ours)
        return sorted(row[0] for row in await running.fetch(session, taken, [count]))
    # one writer at a time: nobody else takes the next ids meanwhile
    ((last,),) = await running.fetch(session, f"SELECT max(id) FROM {table.name}", ())  # noqa: S608 (one of ours)
    return list(range((last or 0) + 1, (last or 0) + 1 + count))


async def put(session: AsyncSession, bulk: Bulk) -> None:
    """Insert the rows; where one of their primary key exists, put them in its place."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    await _insert(session, replacing(bulk))


def replacing(bulk: Bulk) -> Bulk:
    """Return the rows as `put` writes them, to be written together with others."""
    keys = [column.name for column in bulk.table.primary_key]
    anew = ", ".join(f"{name} = excluded.{name}" for name in bulk.columns if name not in keys)
    return replace(bulk, ending=f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {anew}")


async def add_up(session: AsyncSession, bulk: Bulk, number: str) -> None:
    """Insert the rows; where one of their primary key exists, add their `number` to it."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    keys = [column.name for column in bulk.table.primary_key]
    sum_ = f"{number} = {bulk.table.name}.{number} + excluded.{number}"
    await _insert(session, replace(bulk, ending=f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sum_}"))


async def raise_to(session: AsyncSession, bulk: Bulk, value: str) -> None:
    """Insert the rows; where one of their primary key exists with a smaller `value`, give it theirs.

    A row that stays as it is is not written nor locked.
    """
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    keys, name = [column.name for column in bulk.table.primary_key], bulk.table.name
    raised = (
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {value} = excluded.{value} "
        f"WHERE {name}.{value} < excluded.{value}"
    )
    if is_postgresql(session):
        same = " AND ".join(f"{name}.{key} = new.{key}" for key in keys)
        raised = (
            f"WHERE NOT EXISTS (SELECT FROM {name} WHERE {same} AND {name}.{value} >= new.{value}) "
            f"ORDER BY {', '.join(f'new.{key}' for key in keys)} {raised}"
        )
    await _insert(session, replace(bulk, ending=raised))


def among(session: AsyncSession, column: Column[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Build the condition that a column has one of many values: on PostgreSQL one parameter, and one plan for all."""
    if not is_postgresql(session):
        return column.in_(values)
    return column == any_(literal(values, ArrayOf(column.type)))


async def run(session: AsyncSession, statement: str, *parameters: Any) -> Any:
    """Run a statement of PostgreSQL's as it is written, and return its only row."""
    return (await running.fetch(session, statement, parameters))[0]


async def read_columns(session: AsyncSession, statement: Select[Any]) -> Sequence[Sequence[Any]]:
    """Return the values of each column the statement selects, in the order of the rows; plain values only."""
    if not is_postgresql(session):
        rows = (await session.execute(statement)).all()
        return list(zip(*rows, strict=True)) or [()] * len(statement.selected_columns)
    found = statement.subquery("found")
    arrays = select(*(func.array_agg(column, type_=NullType()) for column in found.c))
    return [array or () for array in (await session.execute(arrays)).one()]


async def _insert(session: AsyncSession, bulk: Bulk) -> None:
    if is_postgresql(session):
        await _run(session, bulk)
    else:
        await running.write_rows(session, [_insertion(bulk)])


def _insertion(bulk: Bulk) -> tuple[str, Sequence[Any]]:
    text = rowwise.insertion(bulk.table, (*bulk.columns, *bulk.shared), bulk.ending)
    return text, rowwise.rows(bulk.table, bulk.shared, bulk.columns)


def _addition(bulk: Bulk) -> tuple[str, Sequence[Any]]:
    added = {name: values for name, values in bulk.columns.items() if name != "id"}
    text = rowwise.addition(bulk.table, tuple(bulk.shared), tuple(added))
    return text, rowwise.rows(bulk.table, bulk.shared, {**added, "id": bulk.columns["id"]})


def _condensed(bulk: Bulk) -> Bulk:
    """Send once what a column says in every row."""
    # in Python 1, 1.0 and True are equal, and in JSON they are not
    plain = {name: values for name, values in bulk.columns.items() if not columnar.is_json(bulk.table, name)}
    same = {name: values[0] for name, values in plain.items() if values.count(values[0]) == len(values)}
    columns = {name: values for name, values in bulk.columns.items() if name not in same}
    # rows are made by a column, so one has to stay
    return replace(bulk, shared={**bulk.shared, **same}, columns=columns) if columns else bulk


async def _run(session: AsyncSession, bulk: Bulk, returning: str | None = None) -> Sequence[Any]:
    bulk = _condensed(bulk)
    statement = columnar.statement(bulk.table, tuple(bulk.shared), tuple(bulk.columns), bulk.ending, returning)
    found = await running.fetch(session, statement, columnar.parameters(bulk.table, bulk.shared, bulk.columns))
    return (found[0][0] or ()) if returning is not None else ()
