"""Reads that go to PostgreSQL in one round trip: one statement, its own transaction, the walls raised by the statement.

A session costs four trips (BEGIN, the walls, the statement, ROLLBACK), and its rows cost an object each. What is asked
most, who is calling and what a look-ahead found out, needs neither.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import URL, Select, literal_column
from sqlalchemy.dialects import postgresql

from domain.errors import Unavailable
from domain.scope import Scope
from domain.sqlstates import refusal_of
from domain.standing import Standing, stands
from domain.walls import WALL_VALUES, wall_gate, wall_values

ACQUIRE_SECONDS = 5
# the server ends a statement sooner; this is for one that does not answer any more, for the sake of all who share it
ANSWER_SECONDS = 7
CLOSE_SECONDS = 2
# a look-ahead's statement is longer than what asyncpg would keep prepared by itself; PostgreSQL keeps a plan of each
KEPT_STATEMENTS, KEPT_STATEMENT_BYTES = 64, 256 * 1024
MOST_PREPARED = 2 * KEPT_STATEMENTS
_WALLS = "{behind the walls}"  # stands for the gate, whose parameters come after all others; no name of a query is it
_NOT_THE_DRIVERS = {
    "async_fallback",
    "async_creator_fn",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
}
_DIALECT = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]


class TooLong(Exception):
    """A statement took longer than was waited for it, and is ended."""


class Prepared(NamedTuple):
    """A statement as text for the driver, with its parameters by name in their order.

    `confirming` is the same with no row for who does not stand any more, where it was prepared for that.
    """

    text: str
    names: Sequence[str]
    values: Mapping[str, Any]
    confirming: str | None = None


def prepare(statement: Select[Any], *, confirming: bool = False) -> Prepared:
    """Compile a statement and put it behind the walls."""
    made: Any = statement.where(literal_column(_WALLS)).compile(
        dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
    )
    names = list(made.positiontup)
    first = len(names) + 1
    gate = wall_gate(first)
    # the walls first, since the key is behind them too; asked before them it would not be found
    both = f"CASE WHEN {gate} THEN {stands(first + WALL_VALUES)} ELSE false END" if confirming else None
    return Prepared(
        made.string.replace(_WALLS, gate),
        names,
        dict(made.params),
        both and made.string.replace(_WALLS, both),
    )


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
        self._size, self._taken = size, 0
        self._places = asyncio.Semaphore(size)
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def room(self) -> int:
        """Return how many places are left for statements that one caller has alone; half are for those they share."""
        return max(self._size // 2 + 1 - self._taken, 0)

    @property
    def is_busy(self) -> bool:
        """Tell whether so many places are taken that statements had better be shared."""
        return 4 * self._taken > self._size

    async def fetch(
        self,
        scope: Scope,
        prepared: Prepared,
        given: Mapping[str, Any],
        standing: Standing | None = None,
        within: float | None = None,
    ) -> list[Any]:
        """Return the rows, with the values given in place of those that were compiled in.

        With a `standing` there is none where it holds no more; the statement must have been prepared for it. Raises
        Timeout or Unavailable, and what asyncpg raises where that says something else; and TooLong where a statement
        that has its connection is not answered `within` so many seconds, which are fewer than it may take.
        """
        values = {**prepared.values, **given}
        parameters = (*(values[name] for name in prepared.names), *wall_values(scope))
        text = prepared.text
        if standing is not None:
            if prepared.confirming is None:
                raise ValueError("This statement does not ask who stands.")
            text, parameters = prepared.confirming, (*parameters, *standing.values())
        try:
            return await self._run(text, parameters, within)
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

    async def _run(self, text: str, parameters: Sequence[Any], within: float | None = None) -> list[Any]:
        await self._place()
        connection = None
        try:
            connection = await self._connection()
            answer = connection.fetch(text, *parameters, timeout=ANSWER_SECONDS)
            rows = await (answer if within is None else _limited(answer, within))
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
        self._taken += 1

    def _leave_place(self) -> None:
        self._taken -= 1
        self._places.release()

    def _failed(self, connection: "asyncpg.Connection[asyncpg.Record] | None", error: BaseException) -> None:
        if connection is None:
            self._leave_place()
        elif isinstance(error, asyncpg.PostgresError):
            self._give_back(connection)
        elif isinstance(error, asyncio.CancelledError | TooLong):
            self._leave(connection, ends=False)
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
            self._leave_place()

    def _leave(self, connection: "asyncpg.Connection[asyncpg.Record]", *, ends: bool = True) -> None:
        """End it beside, or its statement alone, and give its place away only then: till it hears so, that still runs.

        Who hangs up ends no connection: to open one and to plan anew what was prepared on it costs many requests, and
        many hang up.
        """
        task = asyncio.get_running_loop().create_task(self._end(connection) if ends else self._stop(connection))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _end(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        try:
            await connection.close(timeout=CLOSE_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
        finally:
            self._leave_place()

    async def _stop(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        prepared = 0
        try:
            # it is sent when the driver knows that the statement ended; a cancellation that comes late meets this
            prepared = await connection.fetchval("SELECT count(*) FROM pg_prepared_statements", timeout=CLOSE_SECONDS)
        except asyncpg.QueryCanceledError:
            pass
        except BaseException as error:
            connection.terminate()
            self._leave_place()
            if not isinstance(error, OSError | TimeoutError | asyncpg.PostgresError | asyncpg.InterfaceError):
                raise
            return
        # what was being prepared for who hung up, the server keeps and the driver forgets: not without end.
        # And who closes all waits for this, but not for what begins after it.
        if prepared > MOST_PREPARED or self._closed:
            await self._end(connection)
        else:
            self._give_back(connection)

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


async def _limited(answer: Awaitable[list[Any]], seconds: float) -> list[Any]:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await answer
    except TimeoutError as error:
        if limit.expired():
            raise TooLong from error
        raise
