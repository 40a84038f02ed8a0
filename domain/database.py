"""Engines and sessions: one code path for SQLite and PostgreSQL, every session bound to one scope for its life."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import orjson
from sqlalchemy import Connection, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from domain.compiled import dumps
from domain.direct import Direct
from domain.errors import Conflict, DomainError, Unavailable
from domain.guard import install_guard
from domain.notices import Notices
from domain.scope import Scope
from domain.sqlite import Driver
from domain.sqlstates import refusal_of
from domain.turns import Turns
from domain.walls import wall_settings

LOCK_WAIT_SECONDS = 2
STATEMENT_SECONDS = 5
CALLER_CONNECTIONS = 6  # staff, services and fans, two look-ups each
# of another process; those of this one take turns
SQLITE_BUSY_SECONDS = 20


class ScopedSession(Session):
    """A session that knows whose it is, so that guards and walls can hold it to that."""

    @property
    def scope(self) -> Scope:
        return self.info["scope"]  # type: ignore[no-any-return]


install_guard(ScopedSession)


@event.listens_for(ScopedSession, "after_begin")
def _raise_walls(session: ScopedSession, transaction: object, connection: Connection) -> None:
    # local to the transaction: a pooled connection never carries one caller's walls to the next
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(*wall_settings(session.scope, session.info.get("statement_seconds")))


class Database:
    """The truth. `reading` and `writing` open a session under a scope; nothing else hands out connections."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        self.engine = _sqlite_engine(url) if self.dialect == "sqlite" else _postgres_engine(url, pool_size)
        self._write_engine = self.engine.execution_options(writes=True)
        self._turns = Turns() if self.dialect == "sqlite" else nullcontext()
        # PostgreSQL only: SQLite is in the process, and there are no round trips to save
        self.direct = None if self.dialect == "sqlite" else Direct(self.url, size=pool_size, settings=_SETTINGS)
        # who is calling is asked over connections that no slow list takes
        self.callers = self.direct and Direct(self.url, size=CALLER_CONNECTIONS, settings=_SETTINGS)
        self.notices = Notices(self.callers)

    async def dispose(self) -> None:
        await self.notices.close()
        for direct in (self.direct, self.callers):
            if direct is not None:
                await direct.close()
        await self.engine.dispose()

    @asynccontextmanager
    async def reading(self, scope: Scope, *, statement_seconds: float | None = None) -> AsyncIterator[AsyncSession]:
        """Open a session for reads under the scope. Whatever it changed is rolled back."""
        async with self._session(self.engine, scope, statement_seconds) as session:
            with _Translated():
                yield session

    @asynccontextmanager
    async def writing(
        self, scope: Scope, *, dry_run: bool = False, statement_seconds: float | None = None
    ) -> AsyncIterator[AsyncSession]:
        """Open one transaction under the scope: committed at the end of the block, rolled back by any error.

        A dry run is rolled back at the end whatever happened.
        """
        async with self._turns, self._session(self._write_engine, scope, statement_seconds) as session:
            with _Translated():
                yield session
                await (session.rollback() if dry_run else session.commit())

    def _session(self, engine: AsyncEngine, scope: Scope, seconds: float | None) -> AsyncSession:
        return AsyncSession(
            engine,
            sync_session_class=ScopedSession,
            expire_on_commit=False,
            autoflush=False,
            info={"scope": scope, "statement_seconds": seconds, "notices": self.notices},
        )


async def at_one_moment(session: AsyncSession) -> None:
    """Let a session that has read nothing yet see the data of one moment, however many statements it takes."""
    if session.get_bind().dialect.name == "postgresql":
        _ = await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


@asynccontextmanager
async def acting_as(session: AsyncSession, scope: Scope) -> AsyncIterator[None]:
    """Widen a session to another scope for what its caller may cause but not do: merging a person's fans of all brands.

    A test holds who may call this. An error inside must end the transaction, or the savepoint it was opened in.
    """
    before = session.info["scope"]
    await _bind(session, scope)
    try:
        yield
    except BaseException:
        session.info["scope"] = before
        raise
    await _bind(session, before)


async def _bind(session: AsyncSession, scope: Scope) -> None:
    session.info["scope"] = scope
    if session.get_bind().dialect.name == "postgresql":
        connection = await session.connection()
        await connection.exec_driver_sql(*wall_settings(scope, session.info.get("statement_seconds")))


class _Translated:
    """Turn what a driver says about locks, time limits and lost connections into refusals a client can act on."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DBAPIError):
            refusal = _refusal(error)
            if refusal is not None:
                raise refusal from error
        # SQLAlchemy says with an exception of its own that no connection came free in time
        if isinstance(error, (ConnectionError, TimeoutError, PoolTimeout)):
            raise Unavailable("The database is not available now.") from error


def _refusal(error: DBAPIError) -> DomainError | None:
    known = refusal_of(str(getattr(error.orig, "sqlstate", None) or ""))
    if known is not None:
        return known
    if error.connection_invalidated:
        return Unavailable("The database is not available now.")
    if "database is locked" in str(error.orig):
        return Conflict()
    return None


_SETTINGS = {
    "application_name": "headless-scrm",
    "timezone": "UTC",
    # statements here take milliseconds, and compiling one takes hundreds of them
    "jit": "off",
    # a parallel worker takes 50 ms to start, in which one process reads what costs this much; it is planned for 1000
    "parallel_setup_cost": "20000",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_WAIT_SECONDS}s",
    "idle_in_transaction_session_timeout": "60s",
}


def _postgres_engine(url: str, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=False,
        hide_parameters=True,  # an error's text is logged, and parameters are personal data
        json_serializer=dumps,
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": 5,
            "server_settings": _SETTINGS,
        },
    )


def _sqlite_engine(url: str) -> AsyncEngine:
    engine = create_async_engine(
        url,
        module=Driver(),
        hide_parameters=True,
        json_serializer=dumps,
        json_deserializer=orjson.loads,
        connect_args={"timeout": SQLITE_BUSY_SECONDS, "isolation_level": None},
    )
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _set_pragmas(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # an acknowledged write outlives a power cut, not only a crash
        "foreign_keys=ON",
        "cache_size=-65536",
        "temp_store=MEMORY",
        "recursive_triggers=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # a transaction that reads first and writes later cannot wait for its turn, so a writer takes it at once
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def insert_ignore(session: AsyncSession, table: Table, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Build an insert of all rows that leaves out those whose unique key exists."""
    return dialect_insert(session, table).values(list(rows)).on_conflict_do_nothing()


def dialect_insert(session: AsyncSession, table: Table) -> Any:
    """Start an insert in the session's dialect, for ON CONFLICT."""
    build = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return build(table)
