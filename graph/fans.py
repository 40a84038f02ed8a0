"""Fans as nodes of the graph."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString, TypeVar

from graph.driver import Graph, Row

ROWS_PER_WRITE: Final = 5_000
EDGES_PER_DELETE: Final = 2_000
FANS_PER_PAGE: Final = 5_000
SCAN_SECONDS: Final = 30.0
DIGITS: Final = "0123456789"
AFTER_DIGITS: Final = ":"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FanNode:
    """A fan as the graph knows it; `v` is the row version in SQL, from 1."""

    brand_id: int
    fan_id: int
    v: int


@dataclass(frozen=True, slots=True)
class StoredFan:
    """A node as found in the graph; `v` is 0 while only edges have named the fan."""

    id: str
    v: int


def node_id(brand_id: int, fan_id: int) -> str:
    """Return the node key, which holds the brand, so that a statement bound to it cannot leave the brand."""
    return f"{brand_id}:{fan_id}"


def fan_of(node: str) -> int:
    """Return the fan id within a node key."""
    return int(node.partition(":")[2])


def chunks(rows: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cut rows into pieces of at most `size`."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


UPSERT_FANS: Final[LiteralString] = """
UNWIND $rows AS r
MERGE (f:Fan {id: r.id})
ON CREATE SET f.brand_id = r.brand, f.v = r.v
ON MATCH SET f.v = CASE WHEN coalesce(f.v, 0) < r.v THEN r.v ELSE f.v END
"""


async def upsert_fans(graph: Graph, rows: Sequence[FanNode]) -> None:
    """Make the nodes exist with at least the given versions; an older version changes nothing."""
    newest: dict[str, FanNode] = {}
    for row in rows:
        key = node_id(row.brand_id, row.fan_id)
        if key not in newest or newest[key].v < row.v:
            newest[key] = row
    parameters = [{"id": key, "brand": row.brand_id, "v": row.v} for key, row in sorted(newest.items())]
    for chunk in chunks(parameters, ROWS_PER_WRITE):
        await graph.write(UPSERT_FANS, {"rows": chunk})


DELETE_EDGES_OF_FANS: Final[LiteralString] = """
UNWIND $ids AS id
MATCH (:Fan {id: id})-[e]-()
WITH DISTINCT e LIMIT $limit
DELETE e
RETURN count(*) AS deleted
"""

DELETE_FANS: Final[LiteralString] = "UNWIND $ids AS id MATCH (f:Fan {id: id}) DETACH DELETE f"


async def delete_fans(graph: Graph, ids: Sequence[str]) -> None:
    """Erase nodes, given by node key, and their edges; edges go first and in pieces, because a hub has many."""
    for chunk in chunks(sorted(set(ids)), EDGES_PER_DELETE):
        while True:
            rows = await graph.write(DELETE_EDGES_OF_FANS, {"ids": chunk, "limit": EDGES_PER_DELETE})
            if rows[0]["deleted"] < EDGES_PER_DELETE:
                break
        await graph.write(DELETE_FANS, {"ids": chunk})


PAGE_OF_FANS: Final[LiteralString] = """
MATCH (f:Fan)
WHERE f.id >= $low AND f.id < $high
WITH f LIMIT $limit
RETURN collect(f.id) AS ids, collect(coalesce(f.v, 0)) AS versions
"""


async def stream_fans(graph: Graph, brand_id: int) -> AsyncIterator[StoredFan]:
    """Yield every node of a brand in no particular order, holding one page in memory."""
    async for page in key_windows(graph, PAGE_OF_FANS, brand_id, FANS_PER_PAGE):
        for key, version in zip(page["ids"], page["versions"], strict=True):
            yield StoredFan(key, version)


async def key_windows(graph: Graph, page: LiteralString, brand_id: int, size: int) -> AsyncIterator[Row]:
    """Yield the answers of `page`, which returns `ids` and more for keys in [$low, $high), covering a brand.

    A window with more than `size` nodes is cut by the next digit of the key. The embedded engine would read and sort
    the rest of the brand for every page of an ORDER BY ... LIMIT.
    """
    prefixes = [f"{brand_id}:"]
    while prefixes:
        prefix = prefixes.pop()
        answer = await _window(graph, page, prefix, prefix + AFTER_DIGITS, size + 1)
        if len(answer["ids"]) > size:
            prefixes.extend(prefix + digit for digit in DIGITS)
            answer = await _window(graph, page, prefix, prefix + DIGITS[0], 1)
        yield answer


async def _window(graph: Graph, page: LiteralString, low: str, high: str, limit: int) -> Row:
    (row,) = await graph.read(page, {"low": low, "high": high, "limit": limit}, timeout=SCAN_SECONDS)
    return row
