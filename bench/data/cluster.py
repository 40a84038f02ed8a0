"""A PostgreSQL cluster whose data directory is kept between runs: filling it takes minutes, and is done once."""

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from rich.console import Console
from sqlalchemy.engine import make_url

import migrations
from bench.data.fill import Size, fill
from server.progress import Bars
from tests.services import postgres

CACHE = "SCRM_BENCH_CACHE"
DATABASE = "scrm"
ADMIN_FILE = "superuser"
GIGABYTE = 1 << 30
console = Console()


class Missing(Exception):
    """Something the bench needs is not on this machine; the message says what to do."""


@dataclass(frozen=True)
class Filled:
    """A running cluster with the rows in it."""

    cluster: postgres.Cluster
    postmaster: int
    size: Size

    @property
    def admin_url(self) -> str:
        """The superuser's URL, past every wall, as a plain `postgresql:` one."""
        url = make_url(self.cluster.admin_url).set(drivername="postgresql", database=DATABASE)
        return url.render_as_string(hide_password=False)

    @property
    def owner_url(self) -> str:
        return self.cluster.owner_url(DATABASE)

    @property
    def app_url(self) -> str:
        return self.cluster.app_url(DATABASE)


@contextmanager
def filled(size: Size) -> Iterator[Filled]:
    """Yield the cluster with this many rows: made where there is none yet, started where it does not run already."""
    if reason := postgres.available():
        raise Missing(f"The bench needs PostgreSQL 15 or newer: {reason}. On Debian and Ubuntu: apt install postgresql")
    directory = _folder(size)
    process = None
    with _alone(directory):
        if not (directory / "filled").exists():
            _make(directory, size)
        if _running(directory) is None:
            process, _ = postgres.launch(directory, _password(directory), _settings())
    try:
        data = _data(directory, size)
        if migrations.differences(data.owner_url):
            raise Missing(f"Somebody changed the tables in {directory}: stop what runs there and remove it.")
        asyncio.run(_warm(data.admin_url))
        yield data
    finally:
        if process is not None:
            postgres.stop(process)


async def _warm(admin_url: str) -> None:
    """Read every table and index into PostgreSQL's memory, where its extension for that is installed."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute("SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS pg_prewarm")
        await connection.execute("SELECT pg_prewarm(oid) FROM pg_class WHERE relkind IN ('r', 'i') AND relpages > 0")
    except asyncpg.PostgresError as error:
        console.print(f"The first round begins cold: {error}", highlight=False)
    finally:
        await connection.close()


def _folder(size: Size) -> Path:
    """Name the folder by all that decides what is in it."""
    version = subprocess.run([postgres.binary("postgres") or "", "--version"], capture_output=True, check=True).stdout
    parts = [version.split(b".")[0], repr(size).encode()]
    here = Path(__file__).parent
    sources = [here / "fill.py", *(here / "sql").glob("*.sql"), *Path(migrations.__file__).parent.glob("versions/*.py")]
    if size.events:
        sources += [here.parent / "events" / "fill.py", *(here.parent / "events" / "sql").glob("*.sql")]
    parts += [source.read_bytes() for source in sorted(sources)]
    return _cache() / f"{_name(size)}-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}"


def _name(size: Size) -> str:
    return f"{size.fans}" if size.events == 0 else f"events-{size.events}-{size.fans}"


def _cache() -> Path:
    if chosen := os.environ.get(CACHE):
        return Path(chosen)
    if os.geteuid() == 0:
        # the server runs as another user, who cannot see into root's home
        return Path("/var/cache/headless-scrm-bench")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headless-scrm-bench"


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let two benches that begin at once make and start the cluster one after the other."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(directory: Path, size: Size) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    if os.geteuid() == 0:
        shutil.chown(directory, postgres.account().pw_uid, postgres.account().pw_gid)
    console.print(f"Making {size.fans:,} fans and {size.orders:,} orders in {directory}, once.", highlight=False)
    (directory / ADMIN_FILE).touch(mode=0o600)
    (directory / ADMIN_FILE).write_text(secrets.token_urlsafe(24))
    postgres.initialise(directory, _password(directory))
    process, _ = postgres.launch(directory, _password(directory), _settings())
    try:
        _fill(_data(directory, size))
    finally:
        postgres.stop(process)
    (directory / "filled").touch()
    _forget_older(directory, size)


def _fill(data: Filled) -> None:
    asyncio.run(data.cluster.create_roles())
    data.cluster.create(DATABASE)
    migrations.upgrade(data.owner_url)
    migrations.allow(data.owner_url, postgres.APP)
    with Bars(console) as bars:
        asyncio.run(fill(data.admin_url, data.size, bars))


def _forget_older(directory: Path, size: Size) -> None:
    for other in directory.parent.glob(f"{_name(size)}-*"):
        if other.is_dir() and other != directory and _running(other) is None:
            shutil.rmtree(other, ignore_errors=True)


def _settings() -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "shared_buffers": f"{min(memory // 4, 4 * GIGABYTE) >> 20}MB",
        "effective_cache_size": f"{memory // 2 >> 20}MB",
        "work_mem": "64MB",
        "maintenance_work_mem": f"{min(memory // 16, GIGABYTE) >> 20}MB",
        "max_wal_size": "16GB",
        "checkpoint_timeout": "30min",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "random_page_cost": "1.1",
        "jit": "off",
        "max_connections": "200",
    }


def _data(directory: Path, size: Size) -> Filled:
    process, port = _running(directory) or (0, 0)
    return Filled(postgres.Cluster(postgres.admin_url(_password(directory), port)), process, size)


def _password(directory: Path) -> str:
    return (directory / ADMIN_FILE).read_text()


def _running(directory: Path) -> tuple[int, int] | None:
    """Return process id and port of the server on this data directory, or None."""
    with suppress(OSError, ValueError, IndexError):
        lines = (directory / "data" / "postmaster.pid").read_text().splitlines()
        process, port = int(lines[0]), int(lines[3])
        # the file of a server that was killed names a port where nobody listens
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return process, port
    return None
