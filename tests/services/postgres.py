"""A throw-away PostgreSQL cluster. `python -m tests.services.postgres` runs one until Ctrl-C."""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import asyncpg
from sqlalchemy.engine import URL, make_url

from tests.services import scratch

ADMIN = "scrm_admin"
OWNER = "scrm_owner"
APP = "scrm_app"

START_SECONDS = 30
STOP_SECONDS = 20
PORT_TRIES = 5

# initdb's --locale=C orders text by code point, as SQLite does, so that both legs see the same order.
INITDB = (
    "--encoding=UTF8",
    "--locale=C",
    "--auth=scram-sha-256",
    f"--username={ADMIN}",
    "--no-sync",
    "--no-instructions",
)
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "autovacuum": "off",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Cluster:
    """A running cluster, known by its superuser's URL; the three roles share one random password."""

    admin_url: str

    def owner_url(self, database: str) -> str:
        """Return the URL of the role that owns the schema and migrates it."""
        return self._url(OWNER, database)

    def app_url(self, database: str) -> str:
        """Return the URL of the role the product runs as: no superuser, no way around row security, no DDL."""
        return self._url(APP, database)

    def _url(self, role: str, database: str) -> str:
        url = make_url(self.admin_url).set(username=role, database=database)
        return url.render_as_string(hide_password=False)

    def create(self, name: str) -> None:
        """Create an empty database of the owner, outside any event loop."""
        asyncio.run(self.create_database(name))

    async def create_database(self, name: str, template: str = "template1") -> None:
        """Create a database of the owner, as a copy of `template`."""
        # a copy of the files: the default strategy writes every page to the log first
        await self._execute(f'CREATE DATABASE "{name}" OWNER {OWNER} TEMPLATE "{template}" STRATEGY FILE_COPY')

    async def drop_database(self, name: str) -> None:
        """Drop a database and whoever is connected to it."""
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def create_roles(self) -> None:
        """Create the owner and the app role, and take the schema from everybody else."""
        password = make_url(self.admin_url).password
        for role in (OWNER, APP):
            await self._execute(
                f"CREATE ROLE {role} LOGIN PASSWORD '{password}' NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"
            )
        await self._execute(f"ALTER SCHEMA public OWNER TO {OWNER}", database="template1")
        await self._execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database="template1")
        await self._execute(f"GRANT USAGE ON SCHEMA public TO {APP}", database="template1")

    async def _execute(self, statement: str, database: str = "postgres") -> None:
        url = make_url(self.admin_url).set(drivername="postgresql", database=database)
        connection = await asyncpg.connect(url.render_as_string(hide_password=False), timeout=5)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def available() -> str | None:
    """Return why no cluster can be started here, or None when one can."""
    if binary("postgres") is None or binary("initdb") is None:
        return "no postgres binaries found"
    if os.name != "posix":
        return "a throw-away cluster needs a POSIX system"
    return None


@contextmanager
def running(*, durable: bool = False, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Cluster]:
    """Run a cluster for the length of the block, with settings of its own. Raises RuntimeError when it cannot start."""
    password = secrets.token_urlsafe(24)
    with scratch.folder("postgres", on_disk=durable) as directory:
        if os.geteuid() == 0:
            # the server refuses to run as root
            shutil.chown(directory, account().pw_uid, account().pw_gid)
        initialise(directory, password)
        process, port = launch(directory, password, {**({} if durable else NOT_DURABLE), **settings})
        try:
            cluster = Cluster(admin_url(password, port))
            asyncio.run(cluster.create_roles())
            yield cluster
        finally:
            stop(process)


def binary(name: str) -> str | None:
    """Return where a program of PostgreSQL's newest version is, or None."""
    found = shutil.which(name)
    if found:
        return found
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(packaged[-1]) if packaged else None


def account() -> pwd.struct_passwd:
    """Return whom the server runs as where this process is root's."""
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("PostgreSQL does not run as root, and there is neither a postgres nor a nobody user")


def admin_url(password: str, port: int) -> str:
    """Return the superuser's URL."""
    url = URL.create("postgresql+asyncpg", ADMIN, password, "127.0.0.1", port, "postgres")
    return url.render_as_string(hide_password=False)


def _spawn(directory: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    root = os.geteuid() == 0
    leash = shutil.which("setpriv") if sys.platform == "linux" else None
    if leash:
        # the server ends with the test run, however that ends
        who = [f"--reuid={account().pw_uid}", f"--regid={account().pw_gid}", "--clear-groups"] if root else []
        command = [leash, "--pdeathsig=INT", *who, "--", *command]
    with (directory / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=directory,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=account().pw_uid if root and not leash else None,
            group=account().pw_gid if root and not leash else None,
            extra_groups=[] if root and not leash else None,
            # Ctrl-C is for the test run, which then stops its servers in order
            start_new_session=True,
        )


def initialise(directory: Path, password: str) -> None:
    """Make a cluster's files in `data` below the directory, which must be the server's own."""
    secret = directory / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    shutil.chown(secret, directory.owner())
    process = _spawn(directory, [binary("initdb") or "", *INITDB, f"--pwfile={secret}", str(directory / "data")])
    code = process.wait(timeout=START_SECONDS)
    secret.unlink()
    if code != 0:
        raise RuntimeError(f"initdb failed:\n{_log(directory)}")


def launch(directory: Path, password: str, settings: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start the server on those files and return its process and port. Raises RuntimeError when it does not start."""
    for _ in range(PORT_TRIES):
        port = _free_port()
        options = [f"--{name}={value}" for name, value in {**SETTINGS, **settings, "port": str(port)}.items()]
        process = _spawn(directory, [binary("postgres") or "", "-D", str(directory / "data"), *options])
        if asyncio.run(_answers(process, admin_url(password, port))):
            return process, port
        stop(process)
    raise RuntimeError(f"PostgreSQL did not start:\n{_log(directory)}")


async def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, asyncpg.PostgresError):
            connection = await asyncpg.connect(dsn, timeout=5)
            await connection.close()
            return True
        await asyncio.sleep(0.05)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server in order, or hard where that takes too long."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _log(directory: Path) -> str:
    return (directory / "log").read_text(errors="replace")[-2000:]


def main() -> None:
    """Run a cluster with an empty database until Ctrl-C, and print how to reach it."""
    with running(durable=True) as cluster, suppress(KeyboardInterrupt):
        cluster.create("scrm")
        sys.stdout.write(
            f"owner (migrations): {cluster.owner_url('scrm')}\napp (the product):  {cluster.app_url('scrm')}\n"
        )
        sys.stdout.write("Ctrl-C stops it and removes its data.\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
