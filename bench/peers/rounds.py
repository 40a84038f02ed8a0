"""The same loads on every server in turn, round after round, so that what else happens hits all alike."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress

from bench.peers.load import Loads, Measured
from bench.peers.servers import Server

WARM_CLIENTS, WARM_SECONDS = 4, 2.0
# so many times as long, that each of 32 clients gets some answers
LONG, LONGER = ("Q3", "Q4", "Q5"), 4


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
) -> dict[Run, list[Measured]]:
    """Warm the servers, measure them in rounds and return what came of each round. Raises Failed."""
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
            # whoever comes first in one round comes last in the next
            for run in runs if number % 2 else reversed(runs):
                length = seconds * (LONGER if run.question in LONG else 1)
                results[run].append(loads.measure(known[run.server], run.question, run.clients, length, seed=number))
                progress.advance(task)
    # sorting is stable: the servers stay in the order they were named in
    return {run: results[run] for run in sorted(results, key=lambda run: run[:2])}


def medians(found: Mapping[Run, Sequence[Measured]]) -> dict[Run, Measured]:
    """Return the median of each figure of a run's rounds."""
    names = [field.name for field in fields(Measured)]
    return {
        run: Measured(**{name: median(getattr(one, name) for one in rounds) for name in names})
        for run, rounds in found.items()
    }


def ratio(ours: Sequence[Measured], theirs: Sequence[Measured]) -> float:
    """Return how many times their requests per second are ours: the median of each round's own ratio.

    Those of one round are measured seconds apart. A machine that others use too is by the half faster or slower a
    minute later, which the quotient of two medians would take for the servers'.
    """
    return median(one.rate / other.rate for one, other in zip(ours, theirs, strict=True))
