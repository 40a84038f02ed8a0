"""How rows go to SQLite: the text of a statement for one of them, and the rows as its driver takes them."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any

from sqlalchemy import Table

from domain.compiled import SQLITE


@lru_cache(maxsize=128)
def insertion(table: Table, columns: tuple[str, ...], ending: str = "") -> str:
    """Write the insertion of one row; every name in it is one of ours."""
    values = ", ".join("?" * len(columns))
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({values}) {ending}"  # noqa: S608


@lru_cache(maxsize=64)
def addition(table: Table, shared: tuple[str, ...], columns: tuple[str, ...]) -> str:
    """Write the change of the row that has the `id` and the `shared` values; it takes the others, then these."""
    added = [f"{name} = {name} + ?" for name in columns if name != "id"]
    where = " AND ".join(f"{name} = ?" for name in ("id", *shared))
    return f"UPDATE {table.name} SET {', '.join(added)} WHERE {where}"  # noqa: S608


def rows(table: Table, shared: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Return the rows in the order of the columns, what all share after them."""
    size = len(next(iter(columns.values())))
    sent = [_sent(table, name, values) for name, values in columns.items()]
    return list(
        zip(*sent, *(repeat(_sent(table, name, [value])[0], size) for name, value in shared.items()), strict=True)
    )


def _sent(table: Table, name: str, values: Sequence[Any]) -> Sequence[Any]:
    convert = _converter(table, name)
    if convert is None:
        return values
    return [convert(value) for value in values]


@lru_cache(maxsize=256)
def _converter(table: Table, name: str) -> Callable[[Any], Any] | None:
    convert: Callable[[Any], Any] | None = table.c[name].type.dialect_impl(SQLITE).bind_processor(SQLITE)
    return convert
