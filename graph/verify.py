"""Comparing the graph with the tables, in bounded memory and beside traffic.

Both sides are read once and summed up in buckets by hash. Where buckets differ both sides are read again, and only what
falls into those buckets is kept. A true difference has no event on its way and is there at a second look.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from domain.database import Database
from domain.outbox import projection
from graph.driver import Graph
from graph.parts import NAMES_PER_LOOKUP, PARTS, PROJECTION, Fact, Part
from graph.projector import CONSUMER
from graph.rebuild import brands_of_both

BUCKETS: Final = 4_096
MOST_KEPT: Final = 50_000
SAMPLE: Final = 20
WRAP: Final = 2**64

Facts = Callable[[], AsyncIterator[Fact]]
# which side has it, and what it is
Found = tuple[str, Fact]


@dataclass(frozen=True)
class Difference:
    """Where the graph is not what SQL says, for one part of one brand.

    The keys are samples of at most 20; one that is both missing and extra stands for something else in the graph, and
    says what: `12:7=3` is a fan in version 3.
    `lag` says that events on their way explain all that was looked at, and then there are no samples.
    """

    brand_id: int
    part: str
    sql_count: int
    graph_count: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    lag: bool


@dataclass
class _Sums:
    """An order-independent fingerprint of a set of facts, as a whole number of 64 bits for each bucket."""

    count: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, fact: Fact) -> None:
        number = _hash(fact)
        bucket = number % BUCKETS
        self.buckets[bucket] = (self.buckets[bucket] + number) % WRAP
        self.count += 1


async def verify(database: Database, graph: Graph, *, brand_id: int | None = None) -> list[Difference]:
    """Return where graph and tables differ; nothing where they agree. Raises GraphUnavailable."""
    brands = [brand_id] if brand_id is not None else await brands_of_both(database, graph)
    found = [await _compare(database, graph, brand, part) for brand in brands for part in PARTS]
    return [difference for difference in found if difference is not None]


async def _compare(database: Database, graph: Graph, brand_id: int, part: Part[Any]) -> Difference | None:
    def told() -> AsyncIterator[Fact]:
        return _told(database, part, brand_id)

    def stored() -> AsyncIterator[Fact]:
        return part.stored(graph, brand_id)

    sql, seen = await _sums(told), await _sums(stored)
    wrong = _worth_a_look(sql, seen)
    found = await _differing(told, stored, wrong) if wrong else set()
    # an event that was on its way at the first look and is no more has arrived at the second
    late = await _late(database, part, found)
    true = found - late
    if true:
        true &= await _differing(told, stored, wrong)
    if not true and not late:
        return None
    return Difference(
        brand_id=brand_id,
        part=part.name,
        sql_count=sql.count,
        graph_count=seen.count,
        missing=_sample(true, "sql"),
        extra=_sample(true, "graph"),
        lag=not true,
    )


async def _told(database: Database, part: Part[Any], brand_id: int) -> AsyncIterator[Fact]:
    async for states in part.states(database, brand_id):
        for state in states:
            yield part.fact(state)


async def _sums(facts: Facts) -> _Sums:
    sums = _Sums()
    async for fact in facts():
        sums.add(fact)
    return sums


def _worth_a_look(sql: _Sums, graph: _Sums) -> set[int]:
    """Return buckets that differ: as many as surely fit into memory, all of them where a brand is small."""
    wrong = [bucket for bucket in range(BUCKETS) if sql.buckets[bucket] != graph.buckets[bucket]]
    return set(wrong[: max(1, MOST_KEPT * BUCKETS // max(sql.count, graph.count, 1))])


async def _differing(told: Facts, stored: Facts, buckets: set[int]) -> set[Found]:
    sql = {fact async for fact in told() if _hash(fact) % BUCKETS in buckets}
    graph = {fact async for fact in stored() if _hash(fact) % BUCKETS in buckets}
    return {("sql", fact) for fact in sql - graph} | {("graph", fact) for fact in graph - sql}


async def _late(database: Database, part: Part[Any], found: set[Found]) -> set[Found]:
    """Return what of it an event on its way explains."""
    keys = sorted({key for _, fact in found for key in part.event_keys(fact)})
    pending: set[str] = set()
    for start in range(0, len(keys), NAMES_PER_LOOKUP):
        async with database.reading(PROJECTION) as session:
            some = keys[start : start + NAMES_PER_LOOKUP]
            pending |= await projection.pending_keys(session, PROJECTION, CONSUMER, some)
    return {item for item in found if not pending.isdisjoint(part.event_keys(item[1]))}


def _sample(found: set[Found], side: str) -> tuple[str, ...]:
    here, there = ({fact.key: fact for where, fact in found if (where == side) is mine} for mine in (True, False))
    named = [f"{key}={fact.value}" if key in there else key for key, fact in sorted(here.items())]
    return tuple(named[:SAMPLE])


def _hash(fact: Fact) -> int:
    return int.from_bytes(blake2b(f"{fact.key}|{fact.value}".encode(), digest_size=8).digest(), "big")
