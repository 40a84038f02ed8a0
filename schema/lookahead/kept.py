"""Compiled statements, kept by what they were compiled for, and no more work than is worth it."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from authz.lru import Lru
from domain.direct import Prepared
from domain.page import Frame
from schema.lookahead.lists import TEXTS_BYTES, Texts
from schema.lookahead.rows import Rows
from schema.lookahead.together import Pages

MOST_BYTES = 64 * 1024 * 1024
STATEMENT_BYTES = 8_000  # measured, for a small one beside its text
ASKED = 10_000  # keys of 100 bytes
SIGHTINGS = 2  # what is asked once is not worth compiling
# compiling takes milliseconds, in which nobody else is served: a twentieth of the time, and half a second at once
COMPILE_SHARE, COMPILE_BURST = 0.05, 0.5


class Statement(NamedTuple):
    """What answers a call: rows, or pages with their frame, and with texts where a list in them is to be filled.

    `whole` is for pages with a list that is not kept as it is asked for, where `pages` leaves such out.
    """

    rows: Rows | None = None
    pages: Pages | None = None
    frame: Frame | None = None
    texts: Texts | None = None
    whole: Pages | None = None

    def prepared(self) -> list[Prepared]:
        """Return what was compiled."""
        pages = [one.alone for one in (self.pages, self.whole) if one is not None]
        return pages if self.rows is None else [self.rows.prepared, *pages]


class Kept:
    """What was compiled, up to a number of bytes, and how often what was not compiled yet was asked for."""

    def __init__(self, max_bytes: int = MOST_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, Statement | None] = OrderedDict()
        self._asked: Lru[Hashable, int] = Lru(ASKED)
        self._budget, self._at = COMPILE_BURST, time.monotonic()

    def get(self, key: Hashable) -> Statement | None:
        """Return the statement of a key where one is there, and count it as used."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def find(self, key: Hashable, build: Callable[[], Statement | None]) -> Statement | None:
        """Return the statement of a key, built where it is worth it, or None where there is none (yet)."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        sightings = (self._asked.get(key) or 0) + 1
        if sightings < SIGHTINGS or not self._may_compile():
            self._asked.put(key, sightings)
            return None
        with self._charged():
            return self._keep(key, build())

    def more(self, build: Callable[[], Prepared]) -> Prepared | None:
        """Return what belongs to a statement that is kept, built now, or None where that has to wait."""
        if not self._may_compile():
            return None
        with self._charged():
            return build()

    @contextmanager
    def _charged(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._budget -= time.monotonic() - began

    def _may_compile(self) -> bool:
        now = time.monotonic()
        self._budget = min(self._budget + (now - self._at) * COMPILE_SHARE, COMPILE_BURST)
        self._at = now
        return self._budget > 0

    def _keep(self, key: Hashable, made: Statement | None) -> Statement | None:
        self._kept[key] = made
        self._bytes += _size(made)
        while self._bytes > self._max_bytes:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return made


def _size(made: Statement | None) -> int:
    if made is None:
        return 500
    # pages have a second statement as long, or will have
    times = 1 if made.pages is None else 2
    return (TEXTS_BYTES if made.texts else 0) + times * sum(map(_size_of, made.prepared()))


def _size_of(prepared: Prepared) -> int:
    values: Any = prepared.values.values()
    return (
        STATEMENT_BYTES
        + len(prepared.text)
        + len(prepared.confirming or "")
        + sum(len(one) for one in values if isinstance(one, str | bytes))
    )
