"""SQLite's driver with one trip to its thread for each statement.

SQLAlchemy's own adapter makes four: for a cursor, to run, for the rows, and to close. A trip wakes two threads, which
costs more than most statements.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import aiosqlite
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_dbapi
from sqlalchemy.util import await_only


class _Came(NamedTuple):
    """What a statement came to."""

    rows: Sequence[Any]
    description: Any
    rowcount: int
    lastrowid: int | None


class _Cursor:
    """A cursor of the DBAPI's, which holds all rows of its statement."""

    server_side = False
    arraysize = 1

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection
        self._came = _Came((), None, -1, None)
        self._rows = deque[Any]()

    @property
    def description(self) -> Any:
        return self._came.description

    @property
    def rowcount(self) -> int:
        return self._came.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._came.lastrowid

    def execute(self, operation: str, parameters: Sequence[Any] = ()) -> None:
        self._run(_execute, operation, parameters)

    def executemany(self, operation: str, parameters: Iterable[Sequence[Any]]) -> None:
        self._run(_executemany, operation, parameters)

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def close(self) -> None:
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """Do nothing: the driver's own cursor is closed already."""

    def _run(self, work: Callable[..., _Came], operation: str, parameters: Any) -> None:
        self._came = self._connection.in_its_thread(work, operation, parameters)
        self._rows = deque(self._came.rows)


class _Connection(AsyncAdapt_aiosqlite_connection):
    _cursor_cls: Any = _Cursor
    _is_closing = False

    def in_its_thread(self, work: Callable[..., _Came], operation: str, parameters: Any) -> _Came:
        try:
            came: _Came = await_only(in_its_thread(self._connection, work, operation, parameters))
        except Exception as error:  # noqa: BLE001 (the adapter tells them apart)
            self._handle_exception(error)
        return came

    async def _terminate_graceful_close(self) -> None:
        self._is_closing = True
        await super()._terminate_graceful_close()

    def _terminate_force_close(self) -> None:
        """Stop its thread, unless that is being done: at a second stop who closes would wait for ever (aiosqlite)."""
        if not self._is_closing:
            super()._terminate_force_close()


async def in_its_thread(driver: Any, work: Callable[..., Any], *given: Any) -> Any:
    """Let an aiosqlite connection's thread do a piece of work with the connection of `sqlite3`, in one trip."""
    # the driver has no public name for this; SQLAlchemy's adapter reaches in as well
    return await driver._execute(work, driver._conn, *given)  # noqa: SLF001


class Driver(AsyncAdapt_aiosqlite_dbapi):
    """The DBAPI for an engine's `module`."""

    def __init__(self) -> None:
        super().__init__(aiosqlite, sqlite3)

    def connect(self, *arguments: Any, **options: Any) -> _Connection:
        return _Connection(self, super().connect(*arguments, **options).driver_connection)


def _execute(connection: sqlite3.Connection, operation: str, parameters: Sequence[Any]) -> _Came:
    return _came(connection.execute(operation, parameters))


def _executemany(connection: sqlite3.Connection, operation: str, parameters: Iterable[Sequence[Any]]) -> _Came:
    return _came(connection.executemany(operation, parameters))


def _came(cursor: sqlite3.Cursor) -> _Came:
    rows = cursor.fetchall() if cursor.description else ()
    return _Came(rows, cursor.description, cursor.rowcount, cursor.lastrowid)
