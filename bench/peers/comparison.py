"""The comparison with the peers, and its bars."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.bars import Bars
from bench.data.cluster import Filled
from bench.peers import report, versions
from bench.peers.answers import compare
from bench.peers.load import Loads
from bench.peers.questions import WHAT
from bench.peers.report import JUDGED_AT
from bench.peers.rounds import measured
from bench.peers.servers import KINDS, serving
from bench.results import keep

FANS, ROUNDS, SECONDS, CLIENTS = 1_000_000, 7, 2.0, (1, JUDGED_AT)


def run(data: Filled, folder: Path, given: argparse.Namespace) -> None:
    """Compare the servers and exit with 1 where a bar falls short. Raises Differ or Failed."""
    loads = Loads(folder, data.size.fans, data.postmaster)
    with serving(given.servers, data, folder) as servers:
        asked = compare(servers, given.queries, data.size.fans)
        print(f"{asked} random questions were answered alike by all servers.", flush=True)
        found = measured(loads, servers, given.queries, given.clients, given.rounds, given.seconds)
    lines = report.rows(found)
    report.show(report.COLUMNS, lines)
    bars = Bars()
    report.judge(found, bars, _why_not(given))
    if given.write:
        about = versions.of_all(data)
        keep("peers", _document(about, lines, bars, given))
    bars.end()


def _why_not(given: argparse.Namespace) -> str | None:
    """Say why this run is only a trial, or None where its bars are to be judged."""
    whole = given.fans >= FANS and given.rounds >= ROUNDS and given.seconds >= SECONDS
    whole = whole and {*KINDS} <= {*given.servers} and {*WHAT} <= {*given.queries} and {*CLIENTS} <= {*given.clients}
    return None if whole else "a trial"


def _document(about: str, lines: Sequence[tuple[str, ...]], bars: Bars, given: argparse.Namespace) -> str:
    asked = ". ".join(f"{name}: {what}" for name, what in WHAT.items())
    said = f"""{given.fans:,} fans, 60 tags, 8 tags and 2 orders a fan. {asked}. One process each; medians of
{given.rounds} interleaved rounds of {given.seconds:g} s (Q3 to Q5 four times as long); the ratios are the median of
each round's own, not the quotient of the columns. Ours with authentication, scopes, row-level security and limits on;
the peers as superuser with none of them. All answers were compared first. At 32
clients, CPU also counts what was begun and not finished."""
    judged = "\n".join(f"- {line}" for line in bars.lines)
    parts = ("## Beside PostGraphile and mercurius", said, report.markdown(report.COLUMNS, lines), judged, about)
    return "\n\n".join(parts)
