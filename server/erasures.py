"""The list of who was erased, as a file that is backed up apart from the database: one JSON object a line."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from domain.privacy.erasing import Erased


class BadLine(ValueError):
    """A line that names nobody; the message says which."""


class ErasureFile:
    """Append-only, and on the disk before the erasure is committed. Several processes may write to one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def add(self, erased: Erased) -> None:
        await asyncio.to_thread(self._append, written(erased))

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def written(erased: Erased) -> bytes:
    """Return the line of one erasure."""
    return orjson.dumps(erased, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def read(lines: Iterable[bytes]) -> Iterator[Erased]:
    """Yield the erasures of a list. Raises BadLine for a line that is none; one cut short by a crash is the last."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _erased(orjson.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            if not line.endswith(b"\n"):
                return
            raise BadLine(f"line {number} is no erasure") from error


def _erased(said: dict[str, Any]) -> Erased:
    ids = [int(fan) for fan in said["fans"]]
    place = (int(said["group_id"]), int(said["brand_id"]))
    return Erased(*place, ids, [str(uid) for uid in said["persons"]], datetime.fromisoformat(said["at"]))
