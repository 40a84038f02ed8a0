"""Transactions of PostgreSQL that begin behind their walls, in one round trip.

SQLAlchemy begins with the first statement, and the walls were one of their own: two trips before a hot write's first.
"""

from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.util import await_only

from domain.scope import Scope
from domain.walls import wall_text

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection


class WalledConnection(_Connection):
    """A connection whose next BEGIN is sent together with the walls of who begins."""

    __slots__ = ("walls",)

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """Run what has no rows; a BEGIN takes the walls along that `begin` put ready."""
        walls = getattr(self, "walls", "")
        if walls and query.startswith("BEGIN"):
            self.walls, query = "", f"{query} {walls}"
        return await super().execute(query, *args, timeout=timeout)


def begin(connection: Connection, scope: Scope, statement_seconds: float | None) -> None:
    """Begin the transaction a session has opened on a connection of the engine, with the scope's walls up."""
    adapted: Any = connection.connection.dbapi_connection
    if adapted._transaction is not None:  # noqa: SLF001
        return  # a savepoint stands behind the walls of its transaction
    adapted.driver_connection.walls = wall_text(scope, statement_seconds)
    try:
        # not with the first statement, which may go to the driver past the adapter
        await_only(adapted._start_transaction())  # noqa: SLF001
    except Exception as error:  # noqa: BLE001 (told as SQLAlchemy tells what fails while it begins)
        connection._handle_dbapi_exception(error, "BEGIN", None, None, None)  # noqa: SLF001
