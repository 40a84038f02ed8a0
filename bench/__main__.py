"""Run every bench, one after another; exit with 1 where a bar fell short."""

import subprocess
import sys

RUNS = (
    ("bench.clients", "--database", "sqlite"),
    ("bench.clients", "--database", "postgresql"),
)


def main() -> None:
    """Run them."""
    codes = [subprocess.run([sys.executable, "-m", *run], check=False).returncode for run in RUNS]
    sys.exit(1 if any(codes) else 0)


main()
