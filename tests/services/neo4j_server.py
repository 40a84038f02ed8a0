"""A throw-away Neo4j Community server, run from its published jars: needs a JDK and Maven.

`python -m tests.services.neo4j_server` starts one and prints how to reach it, until Ctrl-C.
"""

import asyncio
import contextlib
import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from neo4j import AsyncGraphDatabase
from neo4j.exceptions import DriverError, Neo4jError

from graph.embedded import leash

HERE = Path(__file__).with_name("neo4j")
DATABASE = "scrm"
START_SECONDS = 120.0
STOP_SECONDS = 60.0
FETCH_SECONDS = 600.0

Auth = tuple[str, str]
Stop = Callable[[], Awaitable[None]]


def available() -> str | None:
    """Return why a server cannot be started here, or None when it can."""
    missing = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
    if missing:
        return f"a JDK (17 or later) and Maven are needed; not found: {', '.join(missing)}"
    return None


async def start(home: Path) -> tuple[str, Auth, Stop]:
    """Start a server in an empty folder; return its address, its credentials and how to stop it."""
    jars = await asyncio.to_thread(fetch_jars)
    port = _free_port()
    home.mkdir(parents=True, exist_ok=True)
    process = _spawn(jars, home, port)

    async def stop() -> None:
        await asyncio.to_thread(_stop, process)

    uri, auth = f"bolt://127.0.0.1:{port}", ("neo4j", secrets.token_urlsafe(18))
    try:
        await _until_open(process, port, home)
        await _set_password(uri, auth[1])
    except BaseException:
        await stop()
        raise
    return uri, auth, stop


def fetch_jars() -> Path:
    """Fetch the server's jars once into the user's cache; a lock makes others wait for the first."""
    found = re.search(r"<neo4j.version>(.+?)<", (HERE / "pom.xml").read_text())
    assert found is not None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headless-scrm"
    jars = cache / f"neo4j-{found.group(1)}" / "lib"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "neo4j.lock"):
        if not jars.is_dir():
            _copy_dependencies(jars)
    return jars


def _copy_dependencies(jars: Path) -> None:
    draft = jars.with_name("lib.draft")
    shutil.rmtree(draft, ignore_errors=True)
    subprocess.run(
        ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={draft}"],
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=FETCH_SECONDS,
    )
    draft.rename(jars)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _spawn(jars: Path, home: Path, port: int) -> subprocess.Popen[bytes]:
    java = ["java", "-Xms256m", "-Xmx1g", "-cp", str(jars / "*"), str(HERE / "Neo4jServer.java")]
    # The embedded engine's leash serves here too: no server is left behind by a killed test run.
    tie = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), str(home / "server.pid")]
    with (home / "console.log").open("wb") as console:
        return subprocess.Popen(
            [*tie, shutil.which("java") or "java", *java[1:], str(home), str(port), DATABASE],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


async def _until_open(process: subprocess.Popen[bytes], port: int, home: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Neo4j did not start:\n{(home / 'console.log').read_text()[-4000:]}")
        await asyncio.sleep(0.1)


async def _set_password(uri: str, password: str) -> None:
    """Replace the first password, with which Neo4j allows nothing else."""
    deadline = time.monotonic() + START_SECONDS
    async with AsyncGraphDatabase.driver(uri, auth=("neo4j", "neo4j")) as driver:
        while True:
            try:
                async with driver.session(database="system") as session:
                    change = "ALTER CURRENT USER SET PASSWORD FROM 'neo4j' TO $password"
                    await (await session.run(change, password=password)).consume()
                break
            except (DriverError, Neo4jError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)
    async with AsyncGraphDatabase.driver(uri, auth=("neo4j", password)) as driver:
        while True:
            try:
                await driver.execute_query("RETURN 1", database_=DATABASE)
                return
            except (DriverError, Neo4jError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _serve() -> None:
    with tempfile.TemporaryDirectory(prefix="neo4j-") as home:
        uri, (user, password), stop = await start(Path(home))
        sys.stdout.write(
            f"SCRM_TEST_GRAPH_URI={uri} SCRM_TEST_GRAPH_USER={user} "
            f"SCRM_TEST_GRAPH_PASSWORD={password} SCRM_TEST_GRAPH_DATABASE={DATABASE}\n"
        )
        sys.stdout.flush()
        try:
            await asyncio.Event().wait()
        finally:
            await stop()


if __name__ == "__main__":
    if reason := available():
        raise SystemExit(reason)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
