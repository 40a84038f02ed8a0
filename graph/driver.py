"""The lifecycle of the graph driver, and the two ways to use it: read and write."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, LiteralString, Self, TypeVar

from neo4j import READ_ACCESS, WRITE_ACCESS, AsyncDriver, AsyncGraphDatabase, AsyncManagedTransaction
from neo4j.exceptions import (
    AuthError,
    ConnectionAcquisitionTimeoutError,
    ConstraintError,
    DriverError,
    Forbidden,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
    TransientError,
)

from graph.breaker import Breaker
from graph.constraints import SCHEMA
from graph.errors import GraphUnavailable
from graph.statements import require_reading

log = logging.getLogger(__name__)
# Neo4j warns of every property that no node has yet, which is how each new graph begins.
logging.getLogger("neo4j.notifications").setLevel(logging.ERROR)

READ_SECONDS = 3.0
WRITE_SECONDS = 30.0
CONNECT_SECONDS = 1.0
READ_RETRY_SECONDS = 0.3
WRITE_RETRY_SECONDS = 5.0
FIRST_RETRY_SECONDS = 0.05
WRITE_TRIES = 6
POOL_SIZE = 50

T = TypeVar("T")
Row = dict[str, Any]
Run = Callable[[LiteralString, Mapping[str, Any]], Awaitable[list[Row]]]
Work = Callable[[Run], Awaitable[T]]
UNREACHABLE = (ServiceUnavailable, SessionExpired, AuthError, OSError)


class Graph:
    """Read and write one graph database; every failure to get an answer in time is a GraphUnavailable."""

    def __init__(self, driver: AsyncDriver, auth: tuple[str, str], database: str) -> None:
        self._driver = driver
        self._auth = auth
        self._database = database
        self._breaker = Breaker()
        self._left: set[asyncio.Task[Any]] = set()
        self._preparing = asyncio.Lock()
        self._prepared = False

    @classmethod
    def connect(cls, uri: str, auth: tuple[str, str], database: str) -> Self:
        """Prepare the driver; nothing is sent yet, so an engine that is down is no error here."""
        return cls(_driver(uri, auth), auth, database)

    async def move(self, uri: str) -> None:
        """Use the engine at a new address from now on."""
        old, self._driver = self._driver, _driver(uri, self._auth)
        self._breaker = Breaker()
        await old.close()

    async def prepare(self) -> None:
        """Make the keys and indexes that are missing. Every write sees to it that this is done before.

        On the embedded engine a node that is written while its key is being made may stand in no index: what names it
        next makes another one beside it. A user who may not make keys is expected to find them there.
        Raises GraphUnavailable, also where keys cannot be made, because what is there breaks them.
        """
        async with self._preparing:
            if self._prepared:
                return
            try:
                for statement in SCHEMA:
                    await self._transact(partial(_alone, statement), WRITE_SECONDS)
            except Forbidden as error:
                log.warning("graph keys were not looked after: the user may not make any", extra={"code": error.code})
            except Neo4jError as error:
                log.error("graph keys cannot be made: %s", error.code)
                raise GraphUnavailable from error
            self._prepared = True

    async def verify(self) -> None:
        """Raise GraphUnavailable unless the database answers."""
        await self.read("RETURN 1 AS one", timeout=CONNECT_SECONDS)

    async def close(self) -> None:
        """Close every connection."""
        if self._left:
            await asyncio.wait(self._left, timeout=READ_SECONDS)
        await self._driver.close()

    async def read(
        self, cypher: LiteralString, parameters: Mapping[str, Any] | None = None, *, timeout: float = READ_SECONDS
    ) -> list[Row]:
        """Run a reading statement and return its rows.

        `timeout` is in seconds. Raises GraphUnavailable, and GraphWriteRefused for text that writes.
        """
        require_reading(cypher)
        async with self._guarded(timeout):
            return await self._in_session(READ_ACCESS, READ_RETRY_SECONDS, lambda run: run(cypher, parameters or {}))

    async def write(
        self, cypher: LiteralString, parameters: Mapping[str, Any] | None = None, *, timeout: float = WRITE_SECONDS
    ) -> list[Row]:
        """Run an idempotent writing statement in one transaction and return its rows.

        `timeout` is in seconds. Raises GraphUnavailable, and ConstraintError when a key is really taken.
        """
        return await self.transact(lambda run: run(cypher, parameters or {}), timeout=timeout)

    async def transact(self, work: Work[T], *, timeout: float = WRITE_SECONDS) -> T:
        """Run several statements in one writing transaction.

        `work` is given a function that runs a statement. It may be called again after a conflict, so it must be
        idempotent. `timeout` is in seconds. Raises as `write` does.
        """
        if not self._prepared:
            await self.prepare()
        return await self._transact(work, timeout)

    async def _transact(self, work: Work[T], timeout: float) -> T:
        async with self._guarded(timeout):
            once = partial(self._in_session, WRITE_ACCESS, WRITE_RETRY_SECONDS, work)
            for attempt in range(WRITE_TRIES - 1):
                try:
                    return await once()
                except ConstraintError:
                    # The embedded engine tells the loser of a race at commit; run again it finds the winner's row.
                    await asyncio.sleep(random.random() * FIRST_RETRY_SECONDS * 2**attempt)  # noqa: S311
            return await once()

    async def _in_session(self, access: str, retry_seconds: float, work: Work[T]) -> T:
        """Run the work once there is a connection.

        The driver forgets the socket of a connection whose making is cancelled, and its error with it. So a caller
        who gives up before there is one leaves that behind, to end by itself without running the work.
        """
        connected = given_up = False

        async def run_all(transaction: AsyncManagedTransaction) -> T:
            nonlocal connected
            if given_up:
                raise asyncio.CancelledError
            connected = True
            return await work(partial(_rows, transaction))

        task = asyncio.ensure_future(self._execute(access, retry_seconds, run_all))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if connected:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            else:
                given_up = True
                self._left.add(task)
                task.add_done_callback(self._forget)
            raise

    async def _execute(
        self, access: str, retry_seconds: float, work: Callable[[AsyncManagedTransaction], Awaitable[T]]
    ) -> T:
        async with self._driver.session(
            database=self._database,
            default_access_mode=access,
            initial_retry_delay=FIRST_RETRY_SECONDS,
            max_transaction_retry_time=retry_seconds,
        ) as session:
            return await (session.execute_read if access == READ_ACCESS else session.execute_write)(work)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()

    @contextlib.asynccontextmanager
    async def _guarded(self, timeout: float) -> AsyncIterator[None]:
        breaker = self._breaker
        admitted = breaker.admit()
        try:
            async with asyncio.timeout(timeout):
                yield
        except UNREACHABLE as error:
            breaker.fail()
            raise _unavailable(error) from error
        except (TimeoutError, ConnectionAcquisitionTimeoutError) as error:
            breaker.fail_unless_alive_since(admitted)
            raise _unavailable(error) from error
        except Neo4jError as error:
            breaker.succeed()
            if isinstance(error, TransientError) or "TransactionTimedOut" in (error.code or ""):
                raise _unavailable(error) from error
            raise
        except DriverError as error:
            breaker.fail()
            raise _unavailable(error) from error
        breaker.succeed()


async def _alone(statement: LiteralString, run: Run) -> None:
    await run(statement, {})


async def _rows(
    transaction: AsyncManagedTransaction, cypher: LiteralString, parameters: Mapping[str, Any]
) -> list[Row]:
    result = await transaction.run(cypher, dict(parameters))
    return [record.data() async for record in result]


def _unavailable(error: Exception) -> GraphUnavailable:
    log.warning("graph unavailable: %s", type(error).__name__, extra={"code": getattr(error, "code", None)})
    return GraphUnavailable()


def _driver(uri: str, auth: tuple[str, str]) -> AsyncDriver:
    return AsyncGraphDatabase.driver(
        uri,
        auth=auth,
        connection_timeout=CONNECT_SECONDS,
        connection_acquisition_timeout=READ_SECONDS,
        max_connection_pool_size=POOL_SIZE,
        user_agent="headless-scrm",
        telemetry_disabled=True,
    )
