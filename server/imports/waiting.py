"""Shares whose sharer has not been reached yet. In memory, and bounded."""

from collections import defaultdict, deque
from collections.abc import Iterable

from domain.errors import BadInput
from domain.persons.service import IdentityRef
from domain.shares.service import ShareInput
from server.imports.feed import Numbered

Row = Numbered[ShareInput]
Place = tuple[str, IdentityRef]  # a fan in a cascade

MAX_WAITING = 50_000


class Waiting:
    """The rows that wait, by the place they wait for."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: dict[Place, list[Row]] = {}
        self._size = 0

    def released(self) -> "Released":
        """Start to note changes, to be applied when the transaction they belong to is committed."""
        return Released(self._rows)

    def apply(self, changes: "Released") -> None:
        """Take the changes over. Raises BadInput where more rows wait than the limit allows."""
        for place in changes.freed:
            self._size -= len(self._rows.pop(place, ()))
        for place, rows in changes.held.items():
            self._rows.setdefault(place, []).extend(rows)
            self._size += len(rows)
        if self._size > self._limit:
            first = min(row.line for rows in self._rows.values() for row in rows)
            raise BadInput(
                f"More than {self._limit:,} shares wait for the share that brought their sharer, the first on line "
                f"{first}. Sort the file so that a fan is reached before they share. What was read so far is kept."
            )

    def take_all(self) -> list[Row]:
        """Empty it, and return the rows in the order of their lines."""
        rows = sorted((row for rows in self._rows.values() for row in rows), key=lambda row: row.line)
        self._rows, self._size = {}, 0
        return rows


class Released:
    """What one transaction changes: places that were reached, and rows that wait from now on."""

    def __init__(self, before: dict[Place, list[Row]]) -> None:
        self._before = before
        self.freed: set[Place] = set()
        self.held: defaultdict[Place, list[Row]] = defaultdict(list)

    def hold(self, row: Row) -> None:
        """Let a row wait for its sharer."""
        self.held[row.value.cascade, row.value.sharer].append(row)

    def freed_by(self, placed: Iterable[ShareInput]) -> list[Row]:
        """Return the rows that waited for what was placed, and those that waited for them in turn; nearest first."""
        reached = deque((share.cascade, share.reached) for share in placed)
        found: list[Row] = []
        while reached:
            rows = self._take(reached.popleft())
            found += rows
            reached.extend((row.value.cascade, row.value.reached) for row in rows)
        return found

    def _take(self, place: Place) -> list[Row]:
        rows = self.held.pop(place, [])
        if place not in self.freed and place in self._before:
            self.freed.add(place)
            return self._before[place] + rows
        return rows
