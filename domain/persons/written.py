"""Rows as JSON, for the record of a merge, and back."""

import base64
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Table


def write_row(row: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return columns of a row as JSON holds them."""
    return {str(name): write_value(getattr(row, name)) for name in names}


def write_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime | date) else value


def read_row(table: Table, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a written row as the table takes them."""
    return {name: read_value(table, name, value) for name, value in written.items() if name in table.c}


def read_value(table: Table, name: str, value: Any) -> Any:
    if value is None:
        return None
    kind = table.c[name].type.python_type
    if kind is bytes:
        return base64.b64decode(value)
    return kind.fromisoformat(value) if kind in (datetime, date) else value
