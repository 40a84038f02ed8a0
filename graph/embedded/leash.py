"""Tie a command to the life of its parent, record its process id, then become the command.

Run as a script, `leash.py PARENT_PID PID_FILE COMMAND...`: a `preexec_fn` would run Python between fork and exec, which
can deadlock in a threaded parent. The tie is Linux only; elsewhere the recorded id lets the next server end an orphan.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never return: exec the command, or exit when the parent is gone already."""
    parent, pid_file, *command = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        raise SystemExit("the parent ended before the engine started")
    Path(pid_file).write_text(str(os.getpid()))
    os.execv(command[0], command)  # noqa: S606 - the point of this file


if __name__ == "__main__":
    main(sys.argv[1:])
