"""How rows go to PostgreSQL by the column: the text of a statement that takes them apart, and its parameters."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Table

from domain.compiled import dumps, written

# The driver asks of every value in an array whether it is an array too, which costs more than the value. A text that
# PostgreSQL takes apart costs a tenth of that; what has no cheap text goes as the driver's array.
_PLAIN, _BYTES, _TEXTS, _JSON, _OTHERS = "plain", "bytes", "texts", "json", "others"
_WAYS = {
    **dict.fromkeys(("BIGINT", "INTEGER", "SMALLINT", "BOOLEAN", "DATE", "TIMESTAMP WITH TIME ZONE"), _PLAIN),
    "BYTEA": _BYTES,
    "text": _TEXTS,
    "JSONB": _JSON,
}
_UNFOLDED = {
    **dict.fromkeys((_PLAIN, _BYTES), "unnest(${0}::text::{1}[])"),
    _TEXTS: "json_array_elements_text(${0}::text::json)",
    _JSON: "jsonb_array_elements(${0}::text::jsonb)",
    _OTHERS: "unnest(${0}::{1}[])",
}


def is_json(table: Table, name: str) -> bool:
    """Tell whether a column holds JSON."""
    return _column(table, name).way == _JSON


def parameters(table: Table, shared: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> list[Any]:
    """Return the parameters of a statement: what all rows share, and a parameter for each other column."""
    alone = (_alone(table, name, value) for name, value in shared.items())
    return [*alone, *(_ENCODED[_column(table, name).way](values) for name, values in columns.items())]


class _Sent(NamedTuple):
    """A column's type at PostgreSQL, and the way its values go there."""

    kind: str
    way: str


@lru_cache(maxsize=64)
def statement(
    table: Table, shared: tuple[str, ...], columns: tuple[str, ...], ending: str, returning: str | None
) -> str:
    """Write an insertion with its ending, which answers the column `returning` as one array."""
    made = f"{insertion(table, shared, columns, 0)} {ending}"
    if returning is None:
        return made
    return f"WITH made AS ({made} RETURNING {returning}) SELECT array_agg({returning}) FROM made"  # noqa: S608


@lru_cache(maxsize=64)
def insertion(table: Table, shared: tuple[str, ...], columns: tuple[str, ...], after: int) -> str:
    """Write the insertion, its parameters numbered `after` others; every name in it is one of ours."""
    fixed = [_of_one(_column(table, name), number) for number, name in enumerate(shared, start=after + 1)]
    # what is absent is no JSON null
    read = [
        f"NULLIF(given.{name}, 'null')" if _column(table, name).way == _JSON else f"given.{name}" for name in columns
    ]
    given = _given(table, columns, after + len(shared))
    # everything is named as the column it goes to, which what follows may ask for
    named = [f"{value} AS {name}" for name, value in zip((*shared, *columns), (*fixed, *read), strict=True)]
    chosen = f"SELECT * FROM (SELECT {', '.join(named)} FROM {given}) AS new"  # noqa: S608
    return f"INSERT INTO {table.name} ({', '.join((*shared, *columns))}) {chosen}"


@lru_cache(maxsize=64)
def addition(table: Table, shared: tuple[str, ...], columns: tuple[str, ...], after: int) -> str:
    """Write the change of rows that have the `shared` values, in the same way."""
    fixed = [
        f"{table.name}.{name} = {_of_one(_column(table, name), number)}"
        for number, name in enumerate(shared, start=after + 1)
    ]
    added = [f"{name} = {table.name}.{name} + given.{name}" for name in columns if name != "id"]
    where = " AND ".join((f"{table.name}.id = given.id", *fixed))
    given = _given(table, columns, after + len(shared))
    return f"UPDATE {table.name} SET {', '.join(added)} FROM {given} WHERE {where}"  # noqa: S608


def _given(table: Table, columns: tuple[str, ...], after: int) -> str:
    taken = [_column(table, name) for name in columns]
    unfolded = [_UNFOLDED[one.way].format(number, one.kind) for number, one in enumerate(taken, start=after + 1)]
    return f"ROWS FROM ({', '.join(unfolded)}) AS given({', '.join(columns)})"


def _of_one(sent: _Sent, number: int) -> str:
    return f"${number}::{'text' if sent.way == _JSON else sent.kind}::{sent.kind}"


def _alone(table: Table, name: str, value: Any) -> Any:
    return dumps(value) if value is not None and _column(table, name).way == _JSON else value


def _plain(values: Sequence[Any]) -> str:
    # what JSON writes of numbers, days and moments is what stands in an array's text, and null is NULL
    return "{" + dumps(values)[1:-1] + "}"


def _bytes(values: Sequence[Any]) -> str:
    return "{" + ",".join(["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]) + "}"


_ENCODED: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    _PLAIN: _plain,
    _BYTES: _bytes,
    _TEXTS: dumps,
    _JSON: dumps,
    _OTHERS: list,
}


@lru_cache(maxsize=256)
def _column(table: Table, name: str) -> _Sent:
    kind = written(table.c[name].type)
    return _Sent(kind, _WAYS.get(kind, _OTHERS))
