"""What authorization and limits cost: our server as it is, beside itself with one of them taken away."""

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

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
        found = medians(measured(loads, servers, QUESTIONS, (JUDGED_AT,), given.rounds, given.seconds))
    lines = _lines(found)
    report.show(COLUMNS, lines)
    if given.write:
        keep("costs", _document(lines, given, versions.of_ours(data)))


def _lines(found: Mapping[Run, Measured]) -> list[tuple[str, ...]]:
    return [
        (
            run.question,
            WITHOUT[run.server],
            report.figure(one.rate),
            report.figure(one.server_cpu),
            report.figure(found[run._replace(server="nothing")].server_cpu - one.server_cpu),
            report.figure(one.postgres_cpu),
            report.figure(found[run._replace(server="nothing")].postgres_cpu - one.postgres_cpu),
        )
        for run, one in found.items()
    ]


def _document(lines: list[tuple[str, ...]], given: argparse.Namespace, about: str) -> str:
    said = f"""Microseconds of CPU a request at {JUDGED_AT} clients, medians of {given.rounds} interleaved rounds of
{given.seconds:g} s. Each guard is taken away in a process of this bench alone; the product has no switch for it."""
    parts = ("## What authorization and limits cost", said, report.markdown(COLUMNS, lines), about)
    return "\n\n".join(parts)
