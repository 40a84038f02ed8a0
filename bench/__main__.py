"""Run every bench, one after another; exit with 1 where a bar fell short. `--write` keeps the results in RESULTS.md."""

import subprocess
import sys

WRITE = "--write"
RUNS = (
    ("bench.peers", WRITE),
    ("bench.peers", "--costs", WRITE),
    ("bench.peers", "--profile", WRITE),
    ("bench.clients", "--database", "sqlite"),
    ("bench.clients", "--database", "postgresql"),
)


def main() -> None:
    """Run them."""
    kept = WRITE in sys.argv
    runs = [[word for word in run if kept or word != WRITE] for run in RUNS]
    codes = [subprocess.run([sys.executable, "-m", *run], check=False).returncode for run in runs]
    sys.exit(1 if any(codes) else 0)


main()
