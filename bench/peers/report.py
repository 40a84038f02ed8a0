"""What was measured, as a table, as bars, and as text that is kept."""

import math
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from bench.bars import Bars
from bench.peers.load import Measured
from bench.peers.questions import WHAT
from bench.peers.rounds import Run, medians, ratio
from bench.peers.servers import KINDS, OURS

# how many times our requests per second must be theirs, of a question at 32 clients
BARS = {
    "postgraphile": {"Q1": 3.0, "Q2": 4.0, "Q3": 6.0, "Q4": 10.0, "Q5": 5.0},
    "mercurius": {"Q1": 1.3, "Q2": 2.0, "Q3": 2.0, "Q4": 10.0, "Q5": 1.5},
}
JUDGED_AT = 32


COLUMNS = (
    "",
    "clients",
    "server",
    "req/s",
    "p50 ms",
    "p99 ms",
    "CPU us",
    "PostgreSQL us",
    "KB",
    "to PostGraphile",
    "to mercurius",
)


def rows(found: Mapping[Run, Sequence[Measured]]) -> list[tuple[str, ...]]:
    """Return a line of the table for each question, number of clients and server."""
    return [
        (
            run.question,
            str(run.clients),
            KINDS[run.server].title,
            figure(measured.rate),
            figure(measured.p50),
            figure(measured.p99),
            figure(measured.server_cpu),
            figure(measured.postgres_cpu),
            figure(measured.kilobytes),
            *(_ratio(found, run, peer) for peer in BARS),
        )
        for run, measured in medians(found).items()
    ]


def figure(value: float) -> str:
    """Return a number with the digits that mean something."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(found: Mapping[Run, Sequence[Measured]], run: Run, peer: str) -> str:
    other = found.get(run._replace(server=peer))
    return times(ratio(found[run], other)) if other else "-"


def times(factor: float) -> str:
    """Return a ratio rounded down, so that what falls short of a bar never looks as if it held."""
    return f"{math.floor(factor * 100) / 100:.2f}x"


def show(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(*columns, box=None, header_style="bold")
    for line in lines:
        table.add_row(*line)
    Console(width=140).print(table)


def markdown(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table for a document."""
    every = [columns, ["---"] * len(columns), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in every)


def judge(found: Mapping[Run, Sequence[Measured]], bars: Bars, why_not: str | None) -> None:
    """Print one line a bar; with a reason why not, none of them is judged."""
    for question in WHAT:
        for peer, wanted in BARS.items():
            run = Run(question, JUDGED_AT, peer)
            if run not in found:
                continue
            name, bar = f"{question} vs {KINDS[peer].title}", f"{wanted[question]:g}x"
            ours = found.get(run._replace(server="ours"))
            if question not in OURS.answers:
                bars.leave(name, f"{medians(found)[run].rate:,.0f}/s there", bar, "we have no such field yet")
            elif ours is None:
                continue
            else:
                measured = ratio(ours, found[run])
                if why_not is not None:
                    bars.leave(name, times(measured), bar, why_not)
                else:
                    bars.judge(name, times(measured), bar, holds=measured >= wanted[question])
