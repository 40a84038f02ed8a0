"""Ingestion, and reads of timelines and fans among ten million events; ends with its bars.

python -m bench.events [--only ingestion|reads] [--events 10000000] [--fans 1000000]
"""

import argparse
import asyncio
import sys

from bench.bars import Bars
from bench.data.cluster import Missing, filled
from bench.data.fill import Size
from bench.events import ingestion, reads


def main() -> None:
    """Measure what is asked for, all of it by default."""
    options = argparse.ArgumentParser(prog="python -m bench.events")
    options.add_argument("--only", choices=("ingestion", "reads"))
    options.add_argument("--events", type=int, default=10_000_000)
    options.add_argument("--fans", type=int, default=1_000_000)
    given, bars = options.parse_args(), Bars()
    if given.only != "reads":
        ingestion.judge(bars)
    if given.only != "ingestion":
        try:
            with filled(Size(given.fans, given.events)) as data:
                asyncio.run(reads.judge(data, bars))
        except Missing as missing:
            sys.exit(str(missing))
    bars.end()


if __name__ == "__main__":
    main()
