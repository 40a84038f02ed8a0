"""`scrm` for several commands in a row: a process's start costs seconds, what it is asked to do mostly does not.

Reads a JSON list of argument lists; writes one of [exit code, stdout, stderr].
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout

from server.cli import main


def run(arguments: list[str]) -> tuple[int, str, str]:
    """Run one command as if the shell had."""
    sys.argv = ["scrm", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    json.dump([run(arguments) for arguments in json.load(sys.stdin)], sys.stdout)
