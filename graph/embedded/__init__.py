"""Run the embedded graph engine as a supervised child process."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from neo4j import AsyncGraphDatabase
from neo4j.exceptions import AuthError, DriverError, Neo4jError

from graph.embedded.command import HOST, Launch, command_line, wheel_directory
from graph.embedded.directory import EngineDirectory
from graph.errors import GraphEngineError

__all__ = ["EmbeddedGraph"]

log = logging.getLogger(__name__)

START_SECONDS = 90.0
STOP_SECONDS = 65.0
POLL_SECONDS = 0.05
WATCH_SECONDS = 0.2
PORT_TRIES = 5
PORT_COMPLAINTS = ("Unable to listen", "Address already in use", "BindException")
BACKOFF_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0

Moved = Callable[[str], Awaitable[None]]


class _PortTakenError(Exception):
    """Another program listens on a port chosen for the engine."""


class EmbeddedGraph:
    """Own one engine process: start it, restart it after a crash, stop it without leaving anything behind.

    On Linux the engine also ends when the thread that started it ends, so start and supervise it from the thread of
    the server's event loop, never from a worker thread.
    """

    def __init__(self, root: Path, *, heap: str = "512m", development: bool = False, database: str = "scrm") -> None:
        self.database = database
        self._directory = EngineDirectory(root)
        self._heap = heap
        self._development = development
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: tuple[int, int] | None = None
        self._password = ""
        self._console_start = 0
        self._stopping = False

    @property
    def uri(self) -> str:
        """Return the Bolt address; raise GraphEngineError before the first start."""
        if self._ports is None:
            raise GraphEngineError("the graph engine has not been started")
        return f"bolt://{HOST}:{self._ports[0]}"

    @property
    def auth(self) -> tuple[str, str]:
        """Return user name and password."""
        return ("root", self._password)

    @property
    def pid(self) -> int | None:
        """Return the process id of the running engine."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    async def start(self) -> None:
        """Start the engine and wait until it answers; raise GraphEngineError when it does not."""
        wheel_directory()
        self._directory.acquire()
        try:
            self._stopping = False
            await asyncio.to_thread(self._directory.end_orphan)
            self._password = self._directory.password()
            self._directory.rotate_console()
            await self._launch()
        except BaseException:
            self._kill()
            self._directory.release()
            raise

    async def stop(self) -> None:
        """Flush and end the engine, then give up its directory; do nothing when it is not running."""
        self._stopping = True
        if self._process is not None:
            self._process.terminate()
            if not await self._ended_within(STOP_SECONDS):
                log.error("graph engine did not stop in %s s and was killed", STOP_SECONDS)
            self._kill()
        self._directory.release()

    async def supervise(self, moved: Moved | None = None) -> None:
        """Restart the engine whenever it ends by itself; return after stop().

        `moved` is awaited with the new address when the old port was lost.
        """
        failures, known_as = 0, self.uri
        while (ran := await self._until_ended()) is not None:
            failures = 0 if ran > STEADY_SECONDS else failures
            log.error("graph engine ended with code %s, restarting", self._process and self._process.returncode)
            await asyncio.sleep(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
            failures += 1
            if await self._restart() and moved is not None and self.uri != known_as:
                await moved(self.uri)
                known_as = self.uri

    async def _restart(self) -> bool:
        try:
            await self._launch()
        except GraphEngineError as error:
            if not self._stopping:
                log.error("graph engine did not restart: %s", error)
            self._kill()
        return self.pid is not None

    async def _until_ended(self) -> float | None:
        """Return after how many seconds the engine ended by itself, or None once it is to stop."""
        started = time.monotonic()
        while not self._stopping:
            if self.pid is None:
                return time.monotonic() - started
            # A poll, not a child watcher: those belong to one event loop, and the engine may outlive it.
            await asyncio.sleep(WATCH_SECONDS)
        return None

    async def _launch(self) -> None:
        self._ports = self._ports or _free_ports()
        for _ in range(PORT_TRIES):
            if self._stopping:
                return
            self._process = self._spawn(*self._ports)
            try:
                await self._until_ready()
            except _PortTakenError:
                self._kill()
                self._ports = _free_ports()
            else:
                return
        raise GraphEngineError(f"no free port was found for the graph engine in {PORT_TRIES} tries")

    def _spawn(self, bolt: int, http: int) -> subprocess.Popen[bytes]:
        directory = self._directory
        launch = Launch(
            directory.root, self.database, self._heap, self._development, directory.password_file, bolt, http
        )
        leash = Path(__file__).with_name("leash.py")
        command = [sys.executable, "-I", "-S", str(leash), str(os.getpid()), str(directory.pid_file)]
        with directory.console_log.open("ab") as console:
            self._console_start = console.tell()
            # Own session: Ctrl-C in a terminal reaches the server only, which then stops the engine in order.
            return subprocess.Popen(
                [*command, *command_line(launch)],
                cwd=directory.root,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not await self._ready():
            self._check_starting(deadline)
            await asyncio.sleep(POLL_SECONDS)
        await self._prove_identity()

    async def _ready(self) -> bool:
        try:
            async with asyncio.timeout(1.0):
                return self._ports is not None and await _says_ready(self._ports[1])
        except (OSError, TimeoutError):
            return False

    def _check_starting(self, deadline: float) -> None:
        # With its Bolt port taken the engine stays up but is never ready: only its console tells.
        console = self._console()
        if any(complaint in console for complaint in PORT_COMPLAINTS):
            raise _PortTakenError
        if self.pid is None:
            raise GraphEngineError(f"the graph engine ended while starting, see {self._directory.console_log}")
        if time.monotonic() > deadline:
            raise GraphEngineError(f"the graph engine was not ready after {START_SECONDS:.0f} s")

    def _console(self) -> str:
        with self._directory.console_log.open("rb") as console:
            console.seek(self._console_start)
            return console.read(1 << 20).decode(errors="replace")

    async def _prove_identity(self) -> None:
        """Log in, which proves that the ports answer for our engine and that the password fits."""
        try:
            async with AsyncGraphDatabase.driver(self.uri, auth=self.auth, connection_timeout=5) as driver:
                await driver.verify_connectivity()
        except AuthError as error:
            raise GraphEngineError(
                f"the graph engine refuses the password in {self._directory.password_file}; remove that file"
            ) from error
        except (DriverError, Neo4jError, OSError) as error:
            raise GraphEngineError(f"the graph engine does not answer over Bolt: {error}") from error

    async def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.pid is not None:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._directory.pid_file.unlink(missing_ok=True)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind((HOST, 0))
        second.bind((HOST, 0))
        return first.getsockname()[1], second.getsockname()[1]


async def _says_ready(port: int) -> bool:
    """Ask for 204, which the engine gives once databases are recovered and plugins are up."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(b"GET /api/v1/ready HTTP/1.0\r\n\r\n")
        return b" 204" in await reader.readline()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
