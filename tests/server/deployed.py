"""A deployment of its own: settings in the environment, `scrm` and the server as processes, and what they leave."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from authz.tokens import Tokens
from server.settings import Settings
from tests.conftest import GraphServer
from tests.world import master_key_text

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
SIGNING_SECRET = "a secret of the tests, longer than it has to be"


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit code and what it said, in one piece and without line breaks of the terminal."""

    code: int
    out: str
    err: str


@dataclass
class Server:
    """A server that runs as a process."""

    process: asyncio.subprocess.Process
    http: httpx.AsyncClient
    log: Path

    async def ask(self, token: str, query: str, path: str = "/graphql", **variables: Any) -> dict[str, Any]:
        """Return the whole answer to an operation."""
        headers = {"authorization": f"Bearer {token}"}
        response = await self.http.post(path, json={"query": query, "variables": variables}, headers=headers)
        answer: dict[str, Any] = response.json()
        return answer

    async def pending(self, token: str) -> int:
        """Return how many events the graph has still to learn."""
        answer = await self.ask(token, "{ graphLag { pending } }")
        return int(answer["data"]["graphLag"]["pending"])

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)


@dataclass(frozen=True)
class Deployment:
    """Where everything of one deployment is, and the environment that says so."""

    home: Path
    database_url: str
    graph: GraphServer | None
    more: dict[str, str] = field(default_factory=dict)

    def having(self, **more: str) -> "Deployment":
        """Return the same deployment with further settings."""
        return replace(self, more=self.more | more)

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of its processes; nothing of the machine's own settings is left."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SCRM_") and k != "PYTHONDONTWRITEBYTECODE"}
        ours = {
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "1000",
            "SCRM_DATA_DIR": str(self.home),
            "SCRM_DATABASE_URL": self.database_url,
            "SCRM_MASTER_KEY": master_key_text(),
            "SCRM_SIGNING_SECRET": SIGNING_SECRET,
            "SCRM_GRAPH_HEAP": "256m",
            "SCRM_DRAIN_SECONDS": "0",
            "SCRM_BUCKET_SIZE": "1000000000",
        }
        return kept | ours | self._graph() | self.more

    def _graph(self) -> dict[str, str]:
        if self.graph is None:
            return {}
        user, password = self.graph.auth
        named = {"URI": self.graph.uri, "USER": user, "PASSWORD": password, "DATABASE": self.graph.database}
        return {f"SCRM_GRAPH_{name}": value for name, value in named.items()}

    @property
    def tokens(self) -> Tokens:
        """Mints what the deployment's server accepts."""
        return Tokens(Settings(_env_file=None, data_dir=self.home, signing_secret=SecretStr(SIGNING_SECRET)).tokens)

    @asynccontextmanager
    async def started(self, *arguments: str, module: str = "server") -> AsyncIterator[asyncio.subprocess.Process]:
        """Start `scrm` in a session of its own, its words going to pipes; what still runs at the end is killed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            cwd=self.home,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            await _end(process)

    async def scrm(self, *arguments: str, seconds: float = 60) -> Finished:
        """Run one command to its end."""
        async with self.started(*arguments) as process:
            out, err = await asyncio.wait_for(process.communicate(), seconds)
        return Finished(process.returncode or 0, out.decode(), err.decode())

    async def each(self, *commands: list[str], seconds: float = 180) -> list[Finished]:
        """Run commands one after another in one process."""
        async with self.started(module="tests.server.console") as process:
            out, _ = await asyncio.wait_for(process.communicate(json.dumps(commands).encode()), seconds)
        return [Finished(*found) for found in json.loads(out)]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Server]:
        """Run a server for the length of the block, and kill it where the block did not stop it."""
        port, log = free_port(), self.home / "server.log"
        environment = self.environment | {"SCRM_PORT": str(port)}
        command = [sys.executable, "-m", "server", "serve"]
        with log.open("ab") as said:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=self.home, env=environment, stdout=said, stderr=said, start_new_session=True
            )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
                server = Server(process, http, log)
                await _until_alive(server)
                yield server
        finally:
            await _end(process)

    def processes(self) -> list[str]:
        """Return the command lines of what runs with this deployment's settings, the graph engine too."""
        mark = f"SCRM_DATA_DIR={self.home}".encode()
        return [line for entry in Path("/proc").glob("[0-9]*") if (line := _command(entry, mark))]

    def engine_pid(self) -> int:
        """Return the process id of the embedded engine."""
        return int((self.home / "graph" / "engine.pid").read_text())


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _command(entry: Path, mark: bytes) -> str:
    # a process may end between the look and the read
    with suppress(OSError):
        if mark in (entry / "environ").read_bytes().split(b"\0"):
            return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


async def _until_alive(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.returncode is None:
        with suppress(httpx.TransportError):
            if (await server.http.get("/livez")).status_code == 200:
                return
        await asyncio.sleep(0.1)
    ended = f"it ended with {server.process.returncode}" if server.process.returncode is not None else "it runs"
    raise RuntimeError(f"the server did not start; {ended}:\n{server.log.read_text()[-2000:]}")


async def eventually(holds: Callable[[], bool], seconds: float = 15) -> bool:
    """Tell whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


async def drained(server: Server, token: str, seconds: float = 40) -> bool:
    """Tell whether the graph learns everything in time."""
    deadline = time.monotonic() + seconds
    while await server.pending(token):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.2)
    return True


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
