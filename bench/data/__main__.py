"""Run the cluster with its rows until Ctrl-C, and print how to reach it: python -m bench.data [--fans 1000000]."""

import argparse
import signal
import sys
from contextlib import suppress

from bench.data.cluster import Missing, filled
from bench.data.fill import Size


def main() -> None:
    """Run it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = argparse.ArgumentParser(prog="python -m bench.data")
    options.add_argument("--fans", type=int, default=1_000_000)
    try:
        with filled(Size(options.parse_args().fans)) as data, suppress(KeyboardInterrupt):
            print(f"superuser: {data.admin_url}\nowner:     {data.owner_url}\napp:       {data.app_url}")
            print("Ctrl-C stops it; the data is kept.", flush=True)
            signal.pause()
    except Missing as missing:
        sys.exit(str(missing))


main()
