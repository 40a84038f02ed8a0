"""Many rows in one statement, for what comes in by the thousand: sent by column, held to the session's scope.

PostgreSQL takes each column as one parameter (`domain.columnar`) and gives columns back as one array each: a row costs
no parsing there and no object here. SQLite has no arrays and is in the process: there the driver runs the statement for
each row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Table,
    any_,
    bindparam,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import NullType

from domain import columnar, compiled
from domain.compiled import ArrayOf, is_postgresql
from domain.database import dialect_insert
from domain.guard import check_insert


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
    if is_postgresql(session):
        return sorted(await _run(session, bulk, "", returning="id"))
    # one writer at a time: nobody else takes the next ids meanwhile
    last = (await session.execute(select(bulk.table.c.id).order_by(bulk.table.c.id.desc()).limit(1))).scalar() or 0
    ids = list(range(last + 1, last + 1 + len(bulk)))
    await session.execute(insert(bulk.table), [row | {"id": id_} for row, id_ in zip(bulk.rows, ids, strict=True)])
    return ids


async def insert_rows(session: AsyncSession, bulk: Bulk) -> None:
    """Insert the rows."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    if is_postgresql(session):
        await _run(session, bulk, "")
    else:
        await session.execute(insert(bulk.table), bulk.rows)


async def insert_new(session: AsyncSession, bulk: Bulk, key: str) -> set[Any]:
    """Insert the rows whose unique key nobody has, in the order given, and return their values of the column `key`."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    if is_postgresql(session):
        return set(await _run(session, bulk, "ON CONFLICT DO NOTHING", returning=key))
    column = bulk.table.c[key]
    shared = [bulk.table.c[name] == value for name, value in bulk.shared.items() if bulk.table.c[name].primary_key]
    known = set((await session.execute(select(column).where(*shared, column.in_(bulk.columns[key])))).scalars())
    rows = [row for row in bulk.rows if row[key] not in known]
    if rows:
        await session.execute(insert(bulk.table), rows)
    return {row[key] for row in rows}


async def write_together(session: AsyncSession, change: Bulk, bulks: Sequence[Bulk]) -> None:
    """Add to the columns of rows that are there, known by their `id`, and insert rows: one statement on PostgreSQL.

    In one statement nothing sees what another part of it wrote, but for what the database checks at its end.
    """
    for one in (change, *bulks):
        check_insert(session.info["scope"], one.table, one.shared)
    written = [one for one in (change, *bulks) if len(one)]
    if not is_postgresql(session):
        await _add(session, change)
        for one in bulks:
            if len(one):
                await session.execute(insert(one.table), one.rows)
        return
    parts: list[str] = []
    parameters: list[Any] = []
    for one in written:
        build = columnar.addition if one is change else columnar.insertion
        parts.append(build(one.table, tuple(one.shared), tuple(one.columns), len(parameters)))
        parameters += columnar.parameters(one.table, one.shared, one.columns)
    *before, last = parts
    named = ", ".join(f"part{number} AS ({part})" for number, part in enumerate(before))
    await compiled.fetch(session, f"WITH {named} {last}" if named else last, parameters)


async def _add(session: AsyncSession, change: Bulk) -> None:
    names = [name for name in change.columns if name != "id"]
    statement = update(change.table).where(change.table.c.id == bindparam("of"))
    added = {name: change.table.c[name] + bindparam(f"by_{name}") for name in names}
    rows = [{"of": row["id"], **{f"by_{name}": row[name] for name in names}} for row in change.rows]
    if rows and names:
        await session.execute(statement.values(added), rows)


async def put(session: AsyncSession, bulk: Bulk) -> None:
    """Insert the rows; where one of their primary key exists, put them in its place."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    keys = [column.name for column in bulk.table.primary_key]
    names = [name for name in bulk.columns if name not in keys]
    if is_postgresql(session):
        anew = ", ".join(f"{name} = excluded.{name}" for name in names)
        await _run(session, bulk, f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {anew}")
        return
    insertion = dialect_insert(session, bulk.table)
    replaced = {name: insertion.excluded[name] for name in names}
    await session.execute(insertion.on_conflict_do_update(index_elements=keys, set_=replaced), bulk.rows)


async def add_up(session: AsyncSession, bulk: Bulk, number: str) -> None:
    """Insert the rows; where one of their primary key exists, add their `number` to it."""
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    keys = [column.name for column in bulk.table.primary_key]
    if is_postgresql(session):
        sum_ = f"{number} = {bulk.table.name}.{number} + excluded.{number}"
        await _run(session, bulk, f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sum_}")
        return
    insertion = dialect_insert(session, bulk.table)
    grown = {number: bulk.table.c[number] + insertion.excluded[number]}
    await session.execute(insertion.on_conflict_do_update(index_elements=keys, set_=grown), bulk.rows)


async def raise_to(session: AsyncSession, bulk: Bulk, value: str) -> None:
    """Insert the rows; where one of their primary key exists with a smaller `value`, give it theirs.

    A row that stays as it is is not written nor locked.
    """
    check_insert(session.info["scope"], bulk.table, bulk.shared)
    keys, name = [column.name for column in bulk.table.primary_key], bulk.table.name
    if is_postgresql(session):
        same = " AND ".join(f"{name}.{key} = new.{key}" for key in keys)
        ending = (
            f"WHERE NOT EXISTS (SELECT FROM {name} WHERE {same} AND {name}.{value} >= new.{value}) "
            f"ORDER BY {', '.join(f'new.{key}' for key in keys)} "
            f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {value} = excluded.{value} "
            f"WHERE {name}.{value} < excluded.{value}"
        )
        await _run(session, bulk, ending)
        return
    insertion = dialect_insert(session, bulk.table)
    theirs = insertion.excluded[value]
    raised = insertion.on_conflict_do_update(
        index_elements=keys, set_={value: theirs}, where=bulk.table.c[value] < theirs
    )
    await session.execute(raised, bulk.rows)


def among(session: AsyncSession, column: Column[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Build the condition that a column has one of many values: on PostgreSQL one parameter, and one plan for all."""
    if not is_postgresql(session):
        return column.in_(values)
    return column == any_(literal(values, ArrayOf(column.type)))


async def run(session: AsyncSession, statement: str, *parameters: Any) -> Any:
    """Run a statement of PostgreSQL's as it is written, and return its only row."""
    return (await compiled.fetch(session, statement, parameters))[0]


async def read_columns(session: AsyncSession, statement: Select[Any]) -> Sequence[Sequence[Any]]:
    """Return the values of each column the statement selects, in the order of the rows; plain values only."""
    if not is_postgresql(session):
        rows = (await session.execute(statement)).all()
        return list(zip(*rows, strict=True)) or [()] * len(statement.selected_columns)
    found = statement.subquery("found")
    arrays = select(*(func.array_agg(column, type_=NullType()) for column in found.c))
    return [array or () for array in (await session.execute(arrays)).one()]


def _condensed(bulk: Bulk) -> Bulk:
    """Send once what a column says in every row."""
    # in Python 1, 1.0 and True are equal, and in JSON they are not
    plain = {name: values for name, values in bulk.columns.items() if not columnar.is_json(bulk.table, name)}
    same = {name: values[0] for name, values in plain.items() if values.count(values[0]) == len(values)}
    columns = {name: values for name, values in bulk.columns.items() if name not in same}
    # rows are made by a column, so one has to stay
    return Bulk(bulk.table, {**bulk.shared, **same}, columns) if columns else bulk


async def _run(session: AsyncSession, bulk: Bulk, ending: str, returning: str | None = None) -> Sequence[Any]:
    bulk = _condensed(bulk)
    statement = columnar.statement(bulk.table, tuple(bulk.shared), tuple(bulk.columns), ending, returning)
    found = await compiled.fetch(session, statement, columnar.parameters(bulk.table, bulk.shared, bulk.columns))
    return (found[0][0] or ()) if returning is not None else ()
