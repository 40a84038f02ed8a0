"""How the text of a statement runs: at the driver, in the session's transaction and behind its walls."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import SessionTransaction

from domain.sqlite import in_its_thread


def is_postgresql(session: AsyncSession) -> bool:
    """Tell what a session speaks to: it takes arrays, and round trips cost."""
    return session.get_bind().dialect.name == "postgresql"


async def fetch(session: AsyncSession, text: str, parameters: Sequence[Any]) -> list[Any]:
    """Run a statement of the database's own in the session's transaction and return the driver's records.

    Raises what SQLAlchemy would.
    """
    connection = await _connection(session, [(text, tuple(parameters))], many=False)
    driver: Any = connection.connection.driver_connection
    if not is_postgresql(session):
        with _told_as_sqlalchemy(text):
            return list(await driver.execute_fetchall(text, parameters))
    try:
        return list(await driver.fetch(text, *parameters))
    except asyncpg.IntegrityConstraintViolationError as error:
        raise IntegrityError(text, None, error, hide_parameters=True) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        lost = driver.is_closed() or _is_lost(error)
        if lost:
            # nothing can be rolled back over it, and the pool must not hand it to the next
            connection.invalidate(error)
        raise DBAPIError(text, None, error, hide_parameters=True, connection_invalidated=lost) from error


async def write_rows(session: AsyncSession, written: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
    """Run SQLite's statements in their order, each for each of its rows, in one trip to the driver's thread.

    Raises what SQLAlchemy would.
    """
    connection = await _connection(session, written, many=True)
    with _told_as_sqlalchemy("; ".join(text for text, _ in written)):
        await in_its_thread(connection.connection.driver_connection, _write, written)


def _write(connection: sqlite3.Connection, written: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
    for text, rows in written:
        connection.executemany(text, rows)


async def _connection(session: AsyncSession, asked: Sequence[tuple[str, Any]], *, many: bool) -> Connection:
    connection = await _held(session)
    if connection.dispatch.before_cursor_execute:
        # whoever listens to what the engine is asked hears of this too
        for text, parameters in asked:
            connection.dispatch.before_cursor_execute(connection, None, text, parameters, None, executemany=many)
    return connection


async def _held(session: AsyncSession) -> Connection:
    """Return the connection of the session's transaction. To ask SQLAlchemy each time costs as much as a statement."""
    under_way, held = _under_way(session), session.info.get("held")
    connection: Connection | None
    # of one that broke, SQLAlchemy says so
    if held is not None and under_way is not None and held[0] is under_way and under_way.is_active:
        _, connection = held
    else:
        connection = (await session.connection()).sync_connection
        session.info["held"] = (_under_way(session), connection)
    assert connection is not None, "a session that runs has a connection"
    return connection


def _under_way(session: AsyncSession) -> SessionTransaction | None:
    own = session.sync_session
    return own.get_nested_transaction() or own.get_transaction()


@contextmanager
def _told_as_sqlalchemy(text: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise IntegrityError(text, None, error, hide_parameters=True) from error
    except sqlite3.OperationalError as error:
        raise OperationalError(text, None, error, hide_parameters=True) from error
    except sqlite3.Error as error:
        raise DBAPIError(text, None, error, hide_parameters=True) from error


def _is_lost(error: Exception) -> bool:
    # while a server says goodbye, the driver says of the next statement that another is in progress
    ended = str(getattr(error, "sqlstate", None)).startswith(("08", "57P"))
    return ended or isinstance(error, asyncpg.InternalClientError)
