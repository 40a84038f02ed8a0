"""Compare our server with its peers, and judge the bars.

python -m bench.peers                                        the comparison with its bars: half an hour
python -m bench.peers --fans 5000 --rounds 1 --seconds 1     a trial, which judges nothing: two minutes
python -m bench.peers --costs                                what authorization and limits cost
python -m bench.peers --profile                              where the server's time goes
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from bench.data.cluster import Missing, filled
from bench.data.fill import Size
from bench.peers import comparison, costs, profiles
from bench.peers.answers import Differ
from bench.peers.comparison import CLIENTS, FANS, ROUNDS, SECONDS
from bench.peers.load import Failed, require_wrk
from bench.peers.questions import MIXES
from bench.peers.servers import KINDS, node


def main() -> None:
    """Run what is asked for; exit with 1 where a bar fell short, with 2 where there is nothing to judge."""
    given = _options()
    # what was started is stopped, whoever ends this
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # what is missing is said before the data is made, which takes minutes
        require_wrk()
        if not (given.costs or given.profile):
            node()
        with filled(Size(given.fans)) as data, tempfile.TemporaryDirectory() as folder:
            if given.costs:
                costs.run(data, Path(folder), given)
            elif given.profile:
                profiles.run(data, Path(folder), given)
            else:
                comparison.run(data, Path(folder), given)
    except (Missing, Differ, Failed) as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m bench.peers")
    options.add_argument("--fans", type=int, default=FANS, help="how many fans there are")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    options.add_argument("--queries", type=_of(MIXES), default=[*MIXES], help=f"of {','.join(MIXES)}")
    options.add_argument("--clients", type=_numbers, default=[*CLIENTS])
    options.add_argument("--servers", type=_of(KINDS), default=[*KINDS], help=f"of {','.join(KINDS)}")
    options.add_argument("--costs", action="store_true", help="measure what authorization and limits cost instead")
    options.add_argument("--profile", action="store_true", help="show where the server's time goes instead")
    options.add_argument("--write", action="store_true", help="write what was measured to bench/RESULTS.md")
    return options.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _of(known: Collection[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = text.split(",")
        if set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"choose of {','.join(known)}")
        return chosen

    return names


main()
