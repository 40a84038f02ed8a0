"""What was measured with what."""

import asyncio
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

import asyncpg

from bench.data.cluster import Filled
from bench.peers.servers import HERE, node
from tests.services.postgres import binary

OURS = ("strawberry-graphql", "graphql-core", "sqlalchemy", "asyncpg", "uvicorn", "uvloop", "orjson")
PEERS = ("postgraphile", "mercurius", "graphql-jit", "fastify", "pg")


def of_ours(data: Filled) -> str:
    """Return one sentence with the machine and every version our server stands on."""
    return of_machine(asyncio.run(_postgres(data.admin_url)))


def of_machine(postgresql: str) -> str:
    """Return the same for this version of PostgreSQL."""
    ours = [f"{name} {importlib.metadata.version(name)}" for name in OURS]
    versions = [f"Python {platform.python_version()}", *ours, f"PostgreSQL {postgresql}"]
    return f"{COMMIT}; {os.cpu_count()} cores ({platform.machine()}); {', '.join(versions)}."


def _git(*asked: str) -> str | None:
    """Return what git says, or None where there is none or it does not know."""
    try:
        said = subprocess.run(["git", "-C", str(HERE), *asked], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()


def _commit() -> str:
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", ":/", ":!/bench/RESULTS.md")
    return f"Commit {head}{'' if changed == '' else ' and changes'}" if head else "No commit"


# as the run begins: the servers load their code then
COMMIT = _commit()


def installed() -> str:
    """Return the version of PostgreSQL that a cluster started here has."""
    said = subprocess.run([binary("postgres") or "", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2]


def of_all(data: Filled) -> str:
    """Return the same with the versions the peers stand on."""
    shown = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True).stdout
    peers = [f"Node {shown.strip().removeprefix('v')}", *(f"{name} {_locked(name)}" for name in PEERS)]
    return f"{of_ours(data)} The peers: {', '.join(peers)}."


async def _postgres(admin_url: str) -> str:
    connection = await asyncpg.connect(admin_url)
    try:
        version: str = await connection.fetchval("SHOW server_version")
        return version.split(maxsplit=1)[0]
    finally:
        await connection.close()


def _locked(name: str) -> str:
    package = json.loads((HERE / "node_modules" / Path(name) / "package.json").read_text())
    return str(package["version"])
