"""The list of who was erased, as a file that is backed up apart from the database: one JSON object a line."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from domain.privacy.erasing import Erased


@dataclass(frozen=True)
class BadLine:
    """A line, or the beginning of one, that names nobody: what a crash left of an erasure that was not committed."""

    number: int


class ErasureFile:
    """Append-only, and on the disk before the erasure is committed. Several processes may write to one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def add(self, erased: Erased) -> None:
        await asyncio.to_thread(self._append, written(erased))

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if _is_torn(descriptor):
                line = b"\n" + line
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_torn(descriptor: int) -> bool:
    """Tell whether the file ends within a line, which a crash or a full disk cut short."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def written(erased: Erased) -> bytes:
    """Return the line of one erasure."""
    return orjson.dumps(erased, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def read(lines: Iterable[bytes]) -> Iterator[Erased | BadLine]:
    """Yield the erasures of a list, and a BadLine where something is none: it must not hide those after it."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        erased = _parsed(line)
        if erased is None:
            yield BadLine(number)
            # a line that was cut short has the next one behind it, where one was written before that was seen to
            erased = _parsed(line[line.rfind(b"{") :])
        if erased is not None:
            yield erased


def _parsed(line: bytes) -> Erased | None:
    try:
        return _erased(orjson.loads(line))
    except (ValueError, TypeError, KeyError):
        return None


def _erased(said: dict[str, Any]) -> Erased:
    ids = [int(fan) for fan in said["fans"]]
    place = (int(said["group_id"]), int(said["brand_id"]))
    return Erased(*place, ids, [str(uid) for uid in said["persons"]], datetime.fromisoformat(said["at"]))
