"""Reading a file line by line, whatever its size and whatever is in it."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from domain.errors import BadInput
from server.imports.columns import parse_delimiter, split
from server.imports.layout import Layout
from server.imports.rows import named

MAX_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a file: its columns by name, or what is wrong with it. `end` is how many bytes were read up to here."""

    number: int
    end: int
    values: dict[str, str]
    fault: str | None = None


@dataclass(frozen=True)
class OpenFile:
    """A file that is open for reading, and its size in bytes; 0 for a pipe."""

    stream: BinaryIO
    size: int


@contextmanager
def opened(path: Path) -> Iterator[OpenFile]:
    """Open a file for an import. Raises BadInput where it cannot be read or is empty."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    with stream:
        found = os.fstat(stream.fileno())
        if stat.S_ISREG(found.st_mode) and found.st_size == 0:
            raise BadInput(f"{path} is empty.")
        yield OpenFile(stream, found.st_size)


def lines(stream: BinaryIO, layout: Layout) -> Iterator[Line]:
    """Yield the rows of a file. Blank lines are none, and the first line is none where the file has a header."""
    delimiter = parse_delimiter(layout.delimiter)
    end = 0
    for number, (raw, size) in enumerate(_raw(stream), start=1):
        end += size
        if number == 1 and layout.header:
            continue
        try:
            text = _decoded(raw, layout.encoding)
            if text.strip():
                yield Line(number, end, named(layout.names, split(text, delimiter)))
        except ValueError as error:
            yield Line(number, end, {}, str(error))


def _raw(stream: BinaryIO) -> Iterator[tuple[bytes | None, int]]:
    """Yield each line with its size, and None for one that is too long to be a row, whose rest is passed over."""
    while raw := _piece(stream):
        size, is_whole = len(raw), len(raw) <= MAX_LINE_BYTES
        while len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raw = _piece(stream)
            size += len(raw)
        yield (raw if is_whole else None), size


def _piece(stream: BinaryIO) -> bytes:
    try:
        return stream.readline(MAX_LINE_BYTES + 1)
    except OSError as error:
        raise BadInput(f"The file cannot be read further: {error.strerror}. What was read so far is kept.") from None


def _decoded(raw: bytes | None, encoding: str) -> str:
    if raw is None:
        raise ValueError(f"is longer than {MAX_LINE_BYTES // 1024} KiB")
    try:
        # what Excel writes before the first line of a UTF-8 file
        return raw.rstrip(b"\r\n").decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not {encoding} from byte {error.start + 1} on") from None
