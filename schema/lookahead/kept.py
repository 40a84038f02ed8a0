"""Compiled statements, kept by what they were compiled for."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from domain.coalesce import Coalesced
from domain.direct import Prepared
from domain.page import Frame

# a statement is its values and a text that it shares with all that differ in their values: about a kilobyte
MOST = 20_000
MOST_TEXTS = 1_000
SIGHTINGS = 2  # what is asked once is not worth compiling


class Statement(NamedTuple):
    """What answers a call: a page has a frame, rows are read together."""

    prepared: Prepared
    frame: Frame | None = None
    reads: Coalesced[int, bytes] | None = None


class Kept:
    """What was compiled, and how often what was not compiled yet was asked for."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Statement | None] = OrderedDict()
        self._texts: dict[str, str] = {}
        self._asked: OrderedDict[Hashable, int] = OrderedDict()

    def find(self, key: Hashable, build: Callable[[], Statement | None]) -> Statement | None:
        """Return the statement of a key, or None where there is none (yet)."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        sightings = self._asked.pop(key, 0) + 1
        if sightings < SIGHTINGS:
            _add(self._asked, key, sightings, self._most)
            return None
        made = build()
        _add(self._kept, key, made and self._shared(made), self._most)
        return self._kept[key]

    def _shared(self, made: Statement) -> Statement:
        if len(self._texts) >= MOST_TEXTS:
            self._texts.clear()
        prepared = made.prepared
        return made._replace(prepared=prepared._replace(text=self._texts.setdefault(prepared.text, prepared.text)))


def _add(kept: "OrderedDict[Hashable, Any]", key: Hashable, value: Any, most: int) -> None:
    kept[key] = value
    if len(kept) > most:
        kept.popitem(last=False)
