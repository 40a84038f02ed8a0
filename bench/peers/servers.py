"""The servers, one process each, started for the length of a block."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from bench.clients import free_port
from bench.data.cluster import Filled, Missing
from bench.peers.questions import Dialect

HERE = Path(__file__).parent
START_SECONDS, STOP_SECONDS = 60, 30
ALIVE = {"query": "{ __typename }"}
SERVE = ("-m", "server", "serve")


@dataclass(frozen=True)
class Kind:
    """A kind of server: what it is called, how it is spoken to, and which questions it has an answer to."""

    title: str
    dialect: Dialect
    answers: frozenset[str]


OURS = Kind("headless-scrm", "ours", frozenset({"Q1", "Q2", "Q3", "Q5"}))
_ALL = frozenset({"Q1", "Q2", "Q3", "Q4", "Q5"})
KINDS = {
    "ours": OURS,
    "postgraphile": Kind("PostGraphile", "postgraphile", _ALL),
    "mercurius": Kind("mercurius + graphql-jit", "plain", _ALL),
}


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    url: str
    pid: int
    headers: Mapping[str, str]
    dialect: Dialect
    answers: frozenset[str]


@contextmanager
def serving(names: Sequence[str], data: Filled, folder: Path) -> Iterator[list[Server]]:
    """Run the named servers on the data; their logs go to the folder."""
    asyncio.run(_add_funnel(data.admin_url))
    with ExitStack() as stack:
        starts = [our_server(data, folder) if name == "ours" else _peer(name, data, folder) for name in names]
        yield [stack.enter_context(start) for start in starts]


async def _add_funnel(admin_url: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute("SET client_min_messages = warning")
        await connection.execute((HERE / "order_funnel.sql").read_text())
    finally:
        await connection.close()


@contextmanager
def our_server(
    data: Filled,
    folder: Path,
    *,
    name: str = "ours",
    command: Sequence[str] = SERVE,
    more: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run our server as production would, as the role that row-level security binds, and with a key for it."""
    port = free_port()
    environment = {**os.environ, **_settings(data, folder, port), **(more or {})}
    made = [sys.executable, "-m", "server", "create", "key", "bench", name]
    key = subprocess.run(made, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    headers = {"Authorization": f"Bearer {key}"}
    with _running(name, [sys.executable, *command], environment, folder) as process:
        server = Server(name, f"http://127.0.0.1:{port}/graphql", process.pid, headers, OURS.dialect, OURS.answers)
        _wait(server, process, folder)
        yield server


def _settings(data: Filled, folder: Path, port: int) -> dict[str, str]:
    return {
        "SCRM_DATA_DIR": str(folder),
        "SCRM_DATABASE_URL": data.app_url,
        "SCRM_PORT": str(port),
        # an address where nobody listens: the questions need no graph, and its engine would take memory and a core
        "SCRM_GRAPH_URI": "bolt://127.0.0.1:9",
        "SCRM_WORKER": "false",
        "SCRM_INTROSPECTION": "false",
        "SCRM_GRAPHIQL": "false",
        # limits are on: a page of 1000 fans with their tags costs 71,000 points, and the load spends as fast as it can
        "SCRM_MAX_COST": "80000",
        "SCRM_BUCKET_SIZE": "1000000000",
        "SCRM_BUCKET_RESTORE": "1000000000",
        "SCRM_REQUEST_SECONDS": "60",
    }


@contextmanager
def _peer(name: str, data: Filled, folder: Path) -> Iterator[Server]:
    """Run a peer, which connects past row-level security and asks nobody who they are."""
    port, kind = free_port(), KINDS[name]
    environment = {
        **os.environ,
        "DATABASE_URL": data.admin_url,
        "PORT": str(port),
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
    }
    with _running(name, [str(node()), str(HERE / "node" / f"{name}.mjs")], environment, folder) as process:
        server = Server(name, f"http://127.0.0.1:{port}/graphql", process.pid, {}, kind.dialect, kind.answers)
        _wait(server, process, folder)
        yield server


@contextmanager
def _running(
    name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Return when the server answers. Raises RuntimeError where it ends, or does not in time."""
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            if httpx.post(server.url, json=ALIVE, headers=server.headers).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    said = (folder / f"{server.name}.log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{server.name} did not start:\n{said}")


def node() -> Path:
    """Return the locked Node, installing it with the peers where that was not done yet."""
    lock = HERE / "package-lock.json"
    modules = HERE / "node_modules"
    made = modules / ".made"
    if not made.exists() or made.read_bytes() != lock.read_bytes():
        _install()
        made.write_bytes(lock.read_bytes())
    found = sorted(modules.glob("node-*/bin/node"))
    if not found:
        raise Missing(
            "The peers need Node 22 or newer, which is locked for Linux and for macOS on Apple's own chips only."
        )
    return found[0]


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("The bench installs its peers with npm. On Debian and Ubuntu: apt install npm")
    print("Installing the peers into bench/peers/node_modules, once.", flush=True)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, cwd=HERE, check=False).returncode != 0:
        raise Missing("The peers could not be installed: npm says why above.")
