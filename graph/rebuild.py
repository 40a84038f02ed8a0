"""Making the graph again from the tables, while both are in use."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, LiteralString

from domain.database import Database
from domain.outbox import projection
from graph.driver import Graph
from graph.gone import SCAN_SECONDS
from graph.parts import FANS, PARTS, PROJECTION, ROWS_PER_PAGE, Fact, Part

Progress = Callable[[int, int, str], None]

BRANDS: Final[LiteralString] = "MATCH (f:Fan) RETURN collect(DISTINCT f.brand_id) AS brands"


async def rebuild(
    database: Database,
    graph: Graph,
    *,
    progress: Progress | None = None,
    brand_id: int | None = None,
    wipe: bool = False,
) -> None:
    """Make the graph, or one brand of it, equal to the tables.

    Safe beside traffic and safe to run again after an interruption: no read is blocked, every transaction is short.
    `wipe` empties each brand first. `progress` is told items done, items in all, and what they are.
    Raises GraphUnavailable.
    """
    brands = [brand_id] if brand_id is not None else await brands_of_both(database, graph)
    counter = _Counter(progress, await _totals(database, brands))
    for brand in brands:
        # what is wrong goes before what is right comes: a key cannot stand twice
        await _remove(database, graph, brand, counter, everything=wipe)
        for part in PARTS:
            async for states in part.states(database, brand):
                await part.upsert(graph, states)
                counter.advance(len(states), part.name)


class _Counter:
    """Progress over all brands, told in items of the tables."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def advance(self, items: int, what: str) -> None:
        self._done += items
        if self._progress is not None:
            # what traffic adds meanwhile is done too, but was not counted
            self._progress(self._done, max(self._total, self._done), what)


async def brands_of_both(database: Database, graph: Graph) -> list[int]:
    """Return the brands that SQL or the graph knows."""
    async with database.reading(PROJECTION) as session:
        known = await projection.brand_ids(session, PROJECTION)
    (row,) = await graph.read(BRANDS, timeout=SCAN_SECONDS)
    return sorted({*known, *row["brands"]})


async def _totals(database: Database, brands: Sequence[int]) -> int:
    async with database.reading(PROJECTION, statement_seconds=60) as session:
        return sum([await projection.count_states(session, PROJECTION, brand) for brand in brands])


async def _remove(database: Database, graph: Graph, brand_id: int, counter: _Counter, *, everything: bool) -> None:
    for part in (FANS,) if everything else PARTS:
        async for page in _pages(part.stored(graph, brand_id)):
            known = {} if everything else await part.truth(database, brand_id, [fact.key for fact in page])
            stale = [fact.key for fact in page if not _holds(part, fact, known.get(fact.key))]
            await part.delete(graph, stale)
            counter.advance(0, f"{part.name} to remove")
    await _forget(database, graph, brand_id, everything=everything)


async def _forget(database: Database, graph: Graph, brand_id: int, *, everything: bool) -> None:
    """Take away the tombstones of what SQL has again, as after a backup was restored.

    A tombstone is read before SQL is, and was made after SQL had lost the row: one that has it now has it anew.
    """
    for part in PARTS:
        async for tombs in part.tombs(graph, brand_id):
            known = {} if everything else await part.truth(database, brand_id, [tomb.key for tomb in tombs])
            await part.forget(graph, brand_id, [tomb for tomb in tombs if everything or tomb.key in known])


def _holds(part: Part[Any], fact: Fact, truth: str | None) -> bool:
    """Tell whether what the graph says may stay. A fan's older version may: it is overwritten in place."""
    if truth is None:
        return False
    return int(fact.value) <= int(truth) if part is FANS else fact.value == truth


async def _pages(facts: AsyncIterator[Fact]) -> AsyncIterator[list[Fact]]:
    page: list[Fact] = []
    async for fact in facts:
        page.append(fact)
        if len(page) == ROWS_PER_PAGE:
            yield page
            page = []
    if page:
        yield page
