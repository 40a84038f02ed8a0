"""Where the server's time goes: the share of each layer, from looks at what the server is at while it is under load."""

import argparse
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.data.cluster import Filled
from bench.peers import report, versions
from bench.peers.load import Loads, Measured
from bench.peers.report import JUDGED_AT
from bench.peers.servers import Server, our_server
from bench.results import keep

QUESTIONS = ("Q1", "Q2")
LONGER = 4  # than another measurement
TOP = 8
HERE = Path(__file__).parents[2]
OURS = tuple(f"{HERE / name}/" for name in ("authz", "domain", "graph", "resolvers", "schema", "server"))
Seen = list[tuple[int, list[str]]]
ABOUT = """## Where the server's time goes

The share of each layer in the server's CPU at 32 clients, of looks every 2 ms of CPU. The innermost frame of Python
that belongs to a layer decides; what it calls in C counts as its own."""
LAYERS = (
    ("JSON", ("server/http/params.py:decode_json", "server/http/params.py:_is_plain", "/orjson/", "json/")),
    ("JSON", ("server/http/pipeline.py:finished",)),
    ("request log", ("/structlog/", "/logging/", "server/telemetry.py", "endpoint.py:_log_request")),
    ("HTTP: uvicorn", ("/uvicorn/", "/starlette/")),
    ("HTTP: endpoint", ("server/http/endpoint", "server/http/request", "server/http/response")),
    ("HTTP: endpoint", ("server/http/negotiation", "server/http/params", "server/http/watchdog")),
    ("HTTP: straight and together", ("server/straight", "server/http/together", "server/http/readings")),
    ("authentication", ("/authz/", "server/app.py")),
    ("gate, limits and documents", ("schema/gate", "schema/cost", "schema/inputs", "schema/limits")),
    ("gate, limits and documents", ("server/http/documents", "server/http/throttle", "server/http/pipeline")),
    ("driver: asyncpg", ("/asyncpg/", "bench/peers/sampled", "domain/direct", "domain/coalesce")),
    ("driver: SQLAlchemy", ("/sqlalchemy/", "/greenlet/", "domain/database", "domain/guard", "domain/walls")),
    ("look-ahead", ("schema/lookahead/", "schema/sql")),
    ("executor", ("schema/compiled/", "<compiled", "server/http/execution")),
    ("executor: graphql-core", ("/graphql/", "/strawberry/")),
    ("HTTP: endpoint", ("server/http/",)),
    ("resolvers and queries", ("/schema/", "/resolvers/", "/domain/")),
    ("event loop", ("/asyncio/", "/uvloop/")),
)


def run(data: Filled, folder: Path, given: argparse.Namespace) -> None:
    """Show it."""
    loads, file = Loads(folder, data.size.fans, data.postmaster), folder / "seen.json"
    parts = []
    with our_server(data, folder, name="sampled", command=("-m", "bench.peers.sampled", str(file))) as server:
        for name in QUESTIONS:
            loads.measure(server, name, JUDGED_AT, given.seconds, seed=0)
            _seen(server, file)
            measured = loads.measure(server, name, JUDGED_AT, given.seconds * LONGER, seed=1)
            parts.append(_part(name, measured, _seen(server, file)))
    for columns, lines in parts:
        report.show(columns, lines)
    if given.write:
        tables = "\n\n".join(report.markdown(columns, lines) for columns, lines in parts)
        keep("profile", f"{ABOUT}\n\n{tables}\n\n{versions.of_ours(data)}")


def _seen(server: Server, file: Path) -> Seen:
    """Fetch what the server noted since the last time."""
    file.unlink(missing_ok=True)
    os.kill(server.pid, signal.SIGUSR1)
    while not file.exists():
        time.sleep(0.05)
    return [(count, stack) for count, *stack in json.loads(file.read_text())]


def _part(name: str, measured: Measured, seen: Seen) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    layers: Counter[str] = Counter()
    places: dict[str, Counter[str]] = {}
    for count, stack in seen:
        layer, place = _layer(stack)
        layers[layer] += count
        places.setdefault(layer, Counter())[place] += count
    total = layers.total()
    columns = (name, "share", f"of {measured.server_cpu:,.0f} us", "most of it in")
    lines: list[tuple[str, ...]] = [
        (layer, f"{count / total:.0%}", f"{count / total * measured.server_cpu:,.0f}", _most(places[layer], total))
        for layer, count in layers.most_common()
    ]
    return columns, lines


def _layer(stack: Sequence[str]) -> tuple[str, str]:
    """Return the layer of a stack and the place in it. What of ours has no layer is other, and not its caller's."""
    for place in stack:
        for layer, marks in LAYERS:
            if any(mark in place for mark in marks):
                return layer, place
        if place.startswith(OURS):
            return "other", place
    return "other", stack[0] if stack else "nothing"


def _most(places: Counter[str], total: int) -> str:
    """Name the places of a layer that take a hundredth of the whole or more."""
    found = [f"{_short(place)} {count / total:.0%}" for place, count in places.most_common(TOP) if count * 100 >= total]
    return ", ".join(found)


def _short(place: str) -> str:
    file, _, function = place.rpartition(":")
    # the frames of Python that the sampler puts around the driver's C
    return f"{Path(file).stem.replace('sampled', 'asyncpg')}.{function}"
