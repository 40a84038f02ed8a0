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
# a look-ahead's statement is longer than what asyncpg would keep prepared by itself
KEPT_STATEMENT_BYTES = 256 * 1024
_WALLS = "behind_the_walls"  # stands for the gate, whose parameters come after all others
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
        self._url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._settings = settings
        self._free: list[asyncpg.Connection[asyncpg.Record]] = []
        self._places = asyncio.Semaphore(size)

    async def fetch(self, scope: Scope, prepared: Prepared, given: Mapping[str, Any]) -> list[Any]:
        """Return the rows, with the values given in place of those that were compiled in.

        Raises Timeout or Unavailable, and what asyncpg raises where that says something else.
        """
        values = {**prepared.values, **given}
        parameters = [values[name] for name in prepared.names]
        try:
            await self._place()
            try:
                return await self._run(prepared.text, (*parameters, *wall_values(scope)))
            finally:
                self._places.release()
        except asyncpg.PostgresError as error:
            raise refusal_of(error.sqlstate) or error from error
        except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
            raise Unavailable("The database is not available now.") from error

    async def close(self) -> None:
        """Close the connections nobody uses."""
        free, self._free = self._free, []
        await asyncio.gather(*(connection.close(timeout=ACQUIRE_SECONDS) for connection in free))

    async def _place(self) -> None:
        if self._places.locked():
            async with asyncio.timeout(ACQUIRE_SECONDS):
                await self._places.acquire()
        else:
            await self._places.acquire()

    async def _run(self, text: str, parameters: Sequence[Any]) -> list[Any]:
        connection = await self._connection()
        try:
            rows = await connection.fetch(text, *parameters, timeout=ANSWER_SECONDS)
        except asyncpg.PostgresError:
            self._free.append(connection)
            raise
        except BaseException:
            # cancelled, or broken: its answer may still be under way, and nobody is to read it as theirs
            connection.terminate()
            raise
        self._free.append(connection)
        return rows

    async def _connection(self) -> "asyncpg.Connection[asyncpg.Record]":
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
        return await asyncpg.connect(
            self._url,
            timeout=ACQUIRE_SECONDS,
            max_cacheable_statement_size=KEPT_STATEMENT_BYTES,
            server_settings=self._settings,
        )
