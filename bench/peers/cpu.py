"""CPU seconds of processes, from /proc: they hardly move with what else the machine does. Elsewhere there are none."""

import os
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
TICK = 1 / os.sysconf("SC_CLK_TCK")


def available() -> bool:
    """Tell whether this system counts."""
    return (PROC / "self" / "stat").exists()


def of_process(pid: int) -> float:
    """Return the CPU seconds of a process and of those it started."""
    return sum(_own(member) for member in _family(pid))


def of_postgres(postmaster: int) -> float:
    """Return the CPU seconds of a PostgreSQL server with all its backends, those that have ended too."""
    while True:
        ended = _reaped(postmaster)
        total = ended + of_process(postmaster)
        # a backend that ended in between would be counted twice or not at all
        if _reaped(postmaster) == ended:
            return total


def _own(pid: int) -> float:
    user, system, *_ = _times(pid)
    return (user + system) * TICK


def _reaped(pid: int) -> float:
    *_, user, system = _times(pid)
    return (user + system) * TICK


def _times(pid: int) -> tuple[int, int, int, int]:
    try:
        # the command's name, in parentheses, may hold anything
        fields = (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0, 0, 0, 0
    return int(fields[11]), int(fields[12]), int(fields[13]), int(fields[14])


def _family(pid: int) -> list[int]:
    found, left = [], [pid]
    while left:
        member = left.pop()
        found.append(member)
        # one that ends while it is looked at had no children worth counting
        with suppress(OSError):
            for thread in (PROC / str(member) / "task").glob("*/children"):
                with suppress(OSError):
                    left += [int(child) for child in thread.read_text().split()]
    return found
