"""What reads share: rows straight from the driver, typed as their model, and the few shapes batches take.

A row is SQLAlchemy's own named tuple. Its attributes read like the model's; there is no identity map behind it,
nothing loads lazily and nothing can be flushed, which is why a hot list costs microseconds a row.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from sqlalchemy import ColumnElement, FromClause, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from domain.scope import Scope
from domain.tables import table_of

Model = TypeVar("Model", bound=SQLModel)
Key = TypeVar("Key")
Value = TypeVar("Value")


async def rows(session: AsyncSession, statement: Select[Any], model: type[Model]) -> list[Model]:
    """Run the statement and return its rows, which read like `model`."""
    return cast("list[Model]", (await session.execute(statement)).all())


async def one(session: AsyncSession, statement: Select[Any], model: type[Model]) -> Model | None:
    """Run the statement and return its only row, or None."""
    return cast("Model | None", (await session.execute(statement)).one_or_none())


async def by_id(
    session: AsyncSession, condition: ColumnElement[bool], model: type[Model], ids: Iterable[int]
) -> dict[int, Model]:
    """Return the rows of `model` with these ids that meet the condition."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    table = table_of(model)
    found = await rows(session, select(table).where(table.c.id.in_(wanted), condition), model)
    return {row.id: row for row in found}  # type: ignore[attr-defined]


def grouped(found: Iterable[Value], key: Callable[[Value], Key]) -> dict[Key, list[Value]]:
    """Gather rows under their key, in the order they come."""
    groups: defaultdict[Key, list[Value]] = defaultdict(list)
    for row in found:
        groups[key(row)].append(row)
    return groups


def first_of_each(
    statement: Select[Any], owner: str, owner_ids: Sequence[int], order: Sequence[ColumnElement[Any]], first: int
) -> Select[Any]:
    """Select at most `first` rows of each owner in the given order, for many owners in one statement."""
    owner_column = statement.selected_columns[owner]
    rank = func.row_number().over(partition_by=owner_column, order_by=order).label("rank_in_owner")
    ranked = statement.add_columns(rank).where(owner_column.in_(sorted(set(owner_ids))))
    inner = ranked.subquery()
    columns = [inner.c[str(column.key)] for column in statement.selected_columns]
    return select(*columns).where(inner.c.rank_in_owner <= first).order_by(inner.c[owner], inner.c.rank_in_owner)


class Referred(NamedTuple):
    """What the rows of a relation refer to, many of them to the same few: `column` holds the id of one of `rows`.

    What is selected of it is shown beside the relation's own columns.
    """

    column: str
    rows: Callable[[Scope], Select[Any]]


class Listed(NamedTuple):
    """The rows of each owner written into one, in the relation's order (see `schema/lookahead/lists.py`).

    `bare` is what is referred to alone, and `owns` has one of the relation's own columns beside it, by its name; NULL
    where that cannot be. `version` selects a number that grows with every change of what is referred to.
    """

    rows: Table
    bare: str
    owns: Mapping[str, str]
    version: Callable[[Scope], Select[Any]]


class Among(NamedTuple):
    """A relation to many as one select: the rows of all owners, whose they are, and which come first.

    `readable` is the condition on an owner's row, of those it was read with, that the caller may read the relation too.
    `listed` has the same rows where they are kept by their owner as well.
    """

    rows: Select[Any]
    owner: str
    order: Sequence[ColumnElement[Any]]
    readable: Callable[[Scope, FromClause], ColumnElement[bool]]
    referred: Referred
    listed: Listed | None = None
