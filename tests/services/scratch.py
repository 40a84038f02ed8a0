"""Where a run keeps what it throws away: in memory where there is room, since copies and commits cost a suite most."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder below is made by mkdtemp, for this user alone
ROOM_BYTES = 2 << 30


@contextmanager
def folder(name: str, *, on_disk: bool = False) -> Iterator[Path]:
    """Make a folder for the length of the block. A test of durability wants it on disk."""
    made = Path(tempfile.mkdtemp(prefix=f"scrm-{name}-", dir=None if on_disk else _memory()))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _memory() -> Path | None:
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return None
    # a container's default is 64 MB
    return MEMORY if shutil.disk_usage(MEMORY).free >= ROOM_BYTES else None
