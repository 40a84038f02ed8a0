"""Ingestion, and reads of timelines and fans among ten million events; ends with its bars.

python -m bench.events [--only ingestion|reads] [--events 10000000] [--fans 1000000] [--write]
"""

import argparse
import asyncio
import sqlite3
import sys

from bench.bars import Bars
from bench.data.cluster import Missing, filled
from bench.data.fill import Size
from bench.events import ingestion, reads
from bench.peers import versions
from bench.results import keep

INGESTION = """## Events coming in

Batches of 500 of 20,000 fans, each known by two identities that are resolved; every batch is one durable transaction of
`track`, four at once on PostgreSQL and one on SQLite, for 20 s. HTTP is not measured."""
READS = """## Reads among many events

{events:,} events of 90 days, {fans:,} fans. Each read is asked {times} times, in process and without HTTP, as the
server's role behind row-level security, under the rights of a group's, a brand's or a dealer's staff, for fans, days
and places that are drawn. "All have" and "few have" are parts of nicknames; a page is 50 rows."""


def main() -> None:
    """Measure what is asked for, all of it by default."""
    options = argparse.ArgumentParser(prog="python -m bench.events")
    options.add_argument("--only", choices=("ingestion", "reads"))
    options.add_argument("--events", type=int, default=10_000_000)
    options.add_argument("--fans", type=int, default=1_000_000)
    options.add_argument("--write", action="store_true")
    given, bars = options.parse_args(), Bars()
    try:
        if given.only != "reads":
            ingestion.judge(bars)
            _keep("events", INGESTION, bars.lines, given)
        if given.only != "ingestion":
            before = len(bars.lines)
            with filled(Size(given.fans, given.events)) as data:
                asyncio.run(reads.judge(data, bars))
            about = READS.format(events=given.events, fans=given.fans, times=reads.TIMES)
            _keep("reads", about, bars.lines[before:], given)
    except Missing as missing:
        sys.exit(str(missing))
    bars.end()


def _keep(part: str, about: str, lines: list[str], given: argparse.Namespace) -> None:
    if given.write:
        said = "\n".join(f"- {line}" for line in lines)
        machine = versions.of_machine(f"{versions.installed()}, SQLite {sqlite3.sqlite_version}")
        keep(part, f"{about}\n\n{said}\n\n{machine}")


if __name__ == "__main__":
    main()
