"""One measurement: a load on one server for some seconds, with what it cost the server and PostgreSQL."""

import json
import math
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.data.cluster import Missing
from bench.peers import cpu
from bench.peers.questions import body, draw
from bench.peers.servers import Server

HERE = Path(__file__).parent
REQUESTS = {"Q1": 20_000, "Q2": 4_000, "Q3": 1_000, "Q4": 100, "Q5": 10_000}
TIMEOUT = "60s"
RAMP_SECONDS = 1.0
QUIET_SECONDS, LEAST_CPU = 60, 0.02


class Failed(Exception):
    """A server answered wrongly under load, which makes its figures worthless."""


@dataclass(frozen=True)
class Measured:
    """What came of one load; times are in milliseconds, CPU in microseconds a request, or NaN where nobody counts."""

    rate: float
    p50: float
    p99: float
    server_cpu: float
    postgres_cpu: float
    kilobytes: float


def require_wrk() -> None:
    """Raise Missing where there is nothing to make a load with."""
    if shutil.which("wrk") is None:
        raise Missing("The bench needs wrk to make its load. On Debian and Ubuntu: apt install wrk")


class Loads:
    """The loads on servers that share one PostgreSQL, from files of requests made once."""

    def __init__(self, folder: Path, fans: int, postmaster: int) -> None:
        self._folder = folder
        self._fans = fans
        self._postmaster = postmaster

    def measure(self, server: Server, name: str, clients: int, seconds: float, seed: int) -> Measured:
        """Put the load on the server and wait until it has worked off what was left. Raises Failed."""
        # a driver closes what was idle while it was the others' turn: none is to be timed while it connects
        self._wrk(server, "Q1", clients, RAMP_SECONDS, seed)
        self._drain(server)
        before = self._cpu(server)
        said = self._wrk(server, name, clients, seconds, seed)
        after = self._cpu(server)
        self._drain(server)
        own, postgres = (1e6 * (late - early) / said["requests"] for early, late in zip(before, after, strict=True))
        return Measured(
            rate=said["requests"] / said["microseconds"] * 1e6,
            p50=said["p50"] / 1000,
            p99=said["p99"] / 1000,
            server_cpu=own,
            postgres_cpu=postgres,
            kilobytes=said["bytes"] / said["requests"] / 1024,
        )

    def _wrk(self, server: Server, name: str, clients: int, seconds: float, seed: int) -> dict[str, int]:
        command = ["wrk", "-t1", f"-c{clients}", f"-d{max(seconds, 1):.0f}s", "--timeout", TIMEOUT]
        command += [part for header in server.headers.items() for part in ("-H", ": ".join(header))]
        begin = str(seed * 7919 % REQUESTS[name])
        command += ["-s", str(HERE / "load.lua"), server.url, "--", str(self._requests(server, name)), begin]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
        if line is None:
            raise Failed(f"wrk: {done.stdout}{done.stderr}")
        said: dict[str, int] = json.loads(line.removeprefix("RESULT "))
        if said["bad"] or said["failed"] or not said["requests"]:
            raise Failed(f"{server.name} failed under {name}: {said}")
        return said

    def _requests(self, server: Server, name: str) -> Path:
        file = self._folder / f"{server.dialect}-{name}"
        if not file.exists():
            bodies = [body(question, server.dialect) for question in draw(name, REQUESTS[name], self._fans, seed=1)]
            file.write_bytes(b"\n".join(bodies) + b"\n")
        return file

    def _cpu(self, server: Server) -> tuple[float, float]:
        if not cpu.available():
            return math.nan, math.nan
        return cpu.of_process(server.pid), cpu.of_postgres(self._postmaster)

    def _drain(self, server: Server) -> None:
        """Wait until neither the server nor PostgreSQL works on what the load left behind."""
        if not cpu.available():
            time.sleep(1)
            return
        until = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < until:
            before = sum(self._cpu(server))
            time.sleep(0.15)
            if sum(self._cpu(server)) - before <= LEAST_CPU:
                return
