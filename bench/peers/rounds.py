"""The same loads on every server in turn, round after round, so that what else happens hits all alike."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress

from bench.peers.load import Loads, Measured
from bench.peers.servers import Server

WARM_CLIENTS, WARM_SECONDS = 4, 2.0
# so long that each of 32 clients gets some answers
LONG = ("Q3", "Q4", "Q5")


class Run(NamedTuple):
    """What is measured again in every round."""

    question: str
    clients: int
    server: str


def measured(
    loads: Loads,
    servers: Sequence[Server],
    questions: Sequence[str],
    clients: Sequence[int],
    rounds: int,
    seconds: float,
) -> dict[Run, Measured]:
    """Warm the servers, measure them in rounds and return the median of each figure. Raises Failed."""
    pairs = [(name, server) for name in questions for server in servers if name in server.answers]
    known = {server.name: server for server in servers}
    runs = [Run(name, number, server.name) for number in clients for name, server in pairs]
    results: dict[Run, list[Measured]] = defaultdict(list)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("measuring", total=len(pairs) + len(runs) * rounds)
        for name, server in pairs:
            loads.measure(server, name, WARM_CLIENTS, min(WARM_SECONDS, seconds), seed=0)
            progress.advance(task)
        for number in range(1, rounds + 1):
            for run in runs:
                length = seconds * (2 if run.question in LONG else 1)
                results[run].append(loads.measure(known[run.server], run.question, run.clients, length, seed=number))
                progress.advance(task)
    # sorting is stable: the servers stay in the order they were named in
    return {run: _median(results[run]) for run in sorted(results, key=lambda run: run[:2])}


def _median(found: Sequence[Measured]) -> Measured:
    names = [field.name for field in fields(Measured)]
    return Measured(**{name: median(getattr(one, name) for one in found) for name in names})
