"""What reads share: rows straight from the driver, typed as their model, and the few shapes batches take.

A row is SQLAlchemy's own named tuple. Its attributes read like the model's; there is no identity map behind it,
nothing loads lazily and nothing can be flushed, which is why a hot list costs microseconds a row.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

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
    table: Table,
    owner: str,
    owner_ids: Sequence[int],
    order: Sequence[ColumnElement[Any]],
    first: int,
    condition: ColumnElement[bool] | None = None,
) -> Select[Any]:
    """Select at most `first` rows of each owner in the given order, for many owners in one statement."""
    rank = func.row_number().over(partition_by=table.c[owner], order_by=order).label("rank_in_owner")
    ranked = select(table, rank).where(table.c[owner].in_(sorted(set(owner_ids))))
    if condition is not None:
        ranked = ranked.where(condition)
    inner = ranked.subquery()
    columns = [inner.c[column.key] for column in table.c]
    return select(*columns).where(inner.c.rank_in_owner <= first).order_by(inner.c[owner], inner.c.rank_in_owner)
