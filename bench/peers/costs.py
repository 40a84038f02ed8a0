"""What authorization and limits cost: our server as it is, beside itself with one of them taken away."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles

from bench.data.cluster import Filled
from bench.peers import report, versions
from bench.peers.answers import compare
from bench.peers.load import Loads, Measured
from bench.peers.report import JUDGED_AT
from bench.peers.rounds import Run, measured, medians
from bench.peers.servers import our_server
from bench.results import keep

WITHOUT = {
    "nothing": "everything on",
    "limits": "without limits",
    "authentication": "without authentication",
    "scopes": "without scopes and row-level security",
}
QUESTIONS = ("Q1", "Q2")
COLUMNS = ("", "server", "req/s", "CPU us", "it costs", "PostgreSQL us", "it costs")


def run(data: Filled, folder: Path, given: argparse.Namespace) -> None:
    """Measure it. Raises Differ where a server without a guard answers anything else."""
    loads = Loads(folder, data.size.fans, data.postmaster)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                our_server(
                    data,
                    folder,
                    name=name,
                    command=("-m", "bench.peers.unguarded", name),
                    more={"SCRM_DATABASE_URL": data.admin_url} if name == "scopes" else None,
                )
            )
            for name in WITHOUT
        ]
        compare(servers, QUESTIONS, data.size.fans)
        found = measured(loads, servers, QUESTIONS, (JUDGED_AT,), given.rounds, given.seconds)
    lines = _lines(found)
    report.show(COLUMNS, lines)
    if given.write:
        keep("costs", _document(lines, given, versions.of_ours(data)))


def _lines(found: Mapping[Run, Sequence[Measured]]) -> list[tuple[str, ...]]:
    middle = medians(found)
    return [
        (
            run.question,
            WITHOUT[run.server],
            report.figure(middle[run].rate),
            report.figure(middle[run].server_cpu),
            _cost(found, run, "server_cpu"),
            report.figure(middle[run].postgres_cpu),
            _cost(found, run, "postgres_cpu"),
        )
        for run in found
    ]


def _cost(found: Mapping[Run, Sequence[Measured]], run: Run, name: str) -> str:
    """Return what a guard costs: the median of each round's own difference, and the quarters around it."""
    whole = run._replace(server="nothing")
    if run == whole:
        return ""
    own = [getattr(one, name) - getattr(other, name) for one, other in zip(found[whole], found[run], strict=True)]
    if len(own) < 2:
        return report.figure(own[0])
    low, middle, high = quantiles(own, n=4, method="inclusive")
    return f"{report.figure(middle)} ({report.figure(low)} to {report.figure(high)})"


def _document(lines: list[tuple[str, ...]], given: argparse.Namespace, about: str) -> str:
    said = f"""Microseconds of CPU a request at {JUDGED_AT} clients, medians of {given.rounds} interleaved rounds of
{given.seconds:g} s. What a guard costs is the median of each round's own difference, with the quarters around it: where
they lie on both sides of nothing, it is less than this machine can tell. Each guard is taken away in a process of this
bench alone; the product has no switch for it."""
    parts = ("## What authorization and limits cost", said, report.markdown(COLUMNS, lines), about)
    return "\n\n".join(parts)
