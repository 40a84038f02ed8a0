"""Fans as nodes of the graph."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, LiteralString, TypeVar

from graph.driver import Graph, Row, Run
from graph.gone import BURY_FANS, DELETE_EDGES_OF_GONE, DELETE_FANS, DELETE_GONE, REVIVE_FANS, SCAN_SECONDS, drop_gone

ROWS_PER_WRITE: Final = 5_000
EDGES_PER_DELETE: Final = 2_000
FANS_PER_PAGE: Final = 5_000
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
    """Make the nodes exist with at least these versions; an older version, or one of a fan gone, changes nothing."""
    for chunk in chunks(_newest(rows), ROWS_PER_WRITE):
        await graph.transact(partial(_upsert, chunk))


async def _upsert(rows: Sequence[Row], run: Run) -> None:
    await run(UPSERT_FANS, {"rows": rows})
    await run(REVIVE_FANS, {"rows": rows})
    await drop_gone(run, [row["id"] for row in rows])


def _newest(rows: Sequence[FanNode]) -> list[Row]:
    newest = {node_id(row.brand_id, row.fan_id): row for row in sorted(rows, key=lambda row: row.v)}
    return [{"id": key, "brand": row.brand_id, "v": row.v} for key, row in sorted(newest.items())]


async def bury_fans(graph: Graph, rows: Sequence[FanNode]) -> None:
    """Take fans out for good: nothing up to the versions given brings them, or an edge of theirs, back.

    The tombstone comes first, so that nothing is added while the edges go. A fan the graph knows in a newer version
    stays. Safe to repeat, and to go on with after a crash.
    """
    for chunk in chunks(_newest(rows), EDGES_PER_DELETE):
        ids = [row["id"] for row in chunk]
        await graph.write(BURY_FANS, {"rows": chunk})
        await _delete_edges(graph, DELETE_EDGES_OF_GONE, ids)
        await graph.write(DELETE_GONE, {"ids": ids})


DELETE_EDGES_OF_FANS: Final[LiteralString] = """
UNWIND $ids AS id
MATCH (:Fan {id: id})-[e]-()
WITH DISTINCT e LIMIT $limit
DELETE e
RETURN count(*) AS deleted
"""


async def delete_fans(graph: Graph, ids: Sequence[str]) -> None:
    """Take nodes, given by node key, and their edges out. Nothing keeps them from coming back."""
    for chunk in chunks(sorted(set(ids)), EDGES_PER_DELETE):
        await _delete_edges(graph, DELETE_EDGES_OF_FANS, chunk)
        await graph.write(DELETE_FANS, {"ids": chunk})


async def _delete_edges(graph: Graph, statement: LiteralString, ids: Sequence[str]) -> None:
    # in pieces, because a hub has many
    while True:
        (row,) = await graph.write(statement, {"ids": ids, "limit": EDGES_PER_DELETE})
        if row["deleted"] < EDGES_PER_DELETE:
            return


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
