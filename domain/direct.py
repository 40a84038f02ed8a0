"""Reads that go to PostgreSQL in one round trip: one statement, its own transaction, the walls raised by the statement.

A session costs four trips (BEGIN, the walls, the statement, ROLLBACK), and its rows cost an object each. What is asked
most, who is calling and what a look-ahead found out, needs neither.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import URL, Select, literal_column
from sqlalchemy.dialects import postgresql

from domain.errors import Unavailable
from domain.scope import Scope
from domain.sqlstates import refusal_of
from domain.walls import wall_gate, wall_values

ACQUIRE_SECONDS = 5
# the server ends a statement sooner; this is for one that does not answer any more, for the sake of all who share it
ANSWER_SECONDS = 7
CLOSE_SECONDS = 2
# a look-ahead's statement is longer than what asyncpg would keep prepared by itself; PostgreSQL keeps a plan of each
KEPT_STATEMENTS, KEPT_STATEMENT_BYTES = 64, 256 * 1024
_WALLS = "{behind the walls}"  # stands for the gate, whose parameters come after all others; no name of a query is it
_NOT_THE_DRIVERS = {
    "async_fallback",
    "async_creator_fn",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
}
_DIALECT = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]


class Prepared(NamedTuple):
    """A statement as text for the driver, with its parameters by name in their order."""

    text: str
    names: Sequence[str]
    values: Mapping[str, Any]


def prepare(statement: Select[Any]) -> Prepared:
    """Compile a statement and put it behind the walls."""
    made: Any = statement.where(literal_column(_WALLS)).compile(
        dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
    )
    names = list(made.positiontup)
    return Prepared(made.string.replace(_WALLS, wall_gate(len(names) + 1)), names, dict(made.params))


class Direct:
    """Connections of their own, which never hold state: every statement is a transaction, and its settings end with it.

    asyncpg's pool would ask the server to reset a connection that comes back, and where it does not it still costs more
    than a small statement does. Here nothing is asked of a connection but whether it is open.
    """

    def __init__(self, url: URL, *, size: int, settings: dict[str, str]) -> None:
        # as the engine reads it: what stands in a URL's query is an option of the driver, or of SQLAlchemy
        _, options = _DIALECT.create_connect_args(url)  # type: ignore[no-untyped-call]
        self._options = {name: value for name, value in options.items() if name not in _NOT_THE_DRIVERS}
        self._settings = settings
        self._free: list[asyncpg.Connection[asyncpg.Record]] = []
        self._places = asyncio.Semaphore(size)
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def fetch(self, scope: Scope, prepared: Prepared, given: Mapping[str, Any]) -> list[Any]:
        """Return the rows, with the values given in place of those that were compiled in.

        Raises Timeout or Unavailable, and what asyncpg raises where that says something else.
        """
        values = {**prepared.values, **given}
        parameters = [values[name] for name in prepared.names]
        try:
            return await self._run(prepared.text, (*parameters, *wall_values(scope)))
        except asyncpg.PostgresError as error:
            raise refusal_of(error.sqlstate) or error from error
        except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
            raise Unavailable("The database is not available now.") from error

    async def close(self) -> None:
        """Close the connections; those in use when they come back."""
        self._closed = True
        free, self._free = self._free, []
        closing = [connection.close(timeout=ACQUIRE_SECONDS) for connection in free]
        await asyncio.gather(*closing, *self._leaving, return_exceptions=True)

    async def _run(self, text: str, parameters: Sequence[Any]) -> list[Any]:
        await self._place()
        connection = None
        try:
            connection = await self._connection()
            rows = await connection.fetch(text, *parameters, timeout=ANSWER_SECONDS)
        except BaseException as error:
            self._failed(connection, error)
            raise
        self._give_back(connection)
        return rows

    async def _place(self) -> None:
        if self._places.locked():
            async with asyncio.timeout(ACQUIRE_SECONDS):
                await self._places.acquire()
        else:
            await self._places.acquire()

    def _failed(self, connection: "asyncpg.Connection[asyncpg.Record] | None", error: BaseException) -> None:
        if connection is None:
            self._places.release()
        elif isinstance(error, asyncpg.PostgresError):
            self._give_back(connection)
        else:
            if isinstance(error, OSError | TimeoutError) or (isinstance(error, Exception) and connection.is_closed()):
                # one that breaks or is silent is seldom alone: after a failover all are, and each would be waited for
                free, self._free = self._free, []
                for other in free:
                    other.terminate()
            self._leave(connection)

    def _give_back(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        if self._closed:
            self._leave(connection)
        else:
            self._free.append(connection)
            self._places.release()

    def _leave(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Close it beside, and give its place away only then: its statement may still run, until it hears otherwise."""
        task = asyncio.get_running_loop().create_task(self._end(connection))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _end(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        try:
            await connection.close(timeout=CLOSE_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
        finally:
            self._places.release()

    async def _connection(self) -> "asyncpg.Connection[asyncpg.Record]":
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
        return await self.connect()

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """Open a connection that is the caller's own, and theirs to close."""
        return await asyncpg.connect(
            **{
                **self._options,
                "timeout": ACQUIRE_SECONDS,
                "statement_cache_size": KEPT_STATEMENTS,
                "max_cacheable_statement_size": KEPT_STATEMENT_BYTES,
                "server_settings": self._settings,
            }
        )
