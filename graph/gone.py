"""Tombstones: what left the graph for good, so that events that come late do not bring it back.

A fan that was erased or merged away leaves a `Gone` node, an edge taken out between fans that stay a `GoneEdge`: key,
brand and version, and nothing else. Only something newer takes a tombstone away. Whoever writes looks for tombstones
after having named the fans in the graph, and whoever buries names them first: the engine makes the one of them that
comes second see the first.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from graph.driver import Graph, Row, Run

TOMBS_PER_PAGE: Final = 1_000
SCAN_SECONDS: Final = 30.0

GONE_FANS: Final[LiteralString] = """
UNWIND $ids AS id
MATCH (t:Gone {id: id})
RETURN collect(t.id) AS ids
"""

DELETE_FANS: Final[LiteralString] = "UNWIND $ids AS id MATCH (f:Fan {id: id}) DETACH DELETE f"


async def drop_gone(run: Run, ids: Sequence[str]) -> set[str]:
    """Take those of the fans just named out again that are gone, and return their keys."""
    (found,) = await run(GONE_FANS, {"ids": ids})
    if found["ids"]:
        await run(DELETE_FANS, {"ids": found["ids"]})
    return set(found["ids"])


REVIVE_FANS: Final[LiteralString] = """
UNWIND $rows AS r
MATCH (t:Gone {id: r.id})
WITH r, t WHERE t.v < r.v
DELETE t
"""

BURY_FANS: Final[LiteralString] = """
UNWIND $rows AS r
MERGE (f:Fan {id: r.id})
ON CREATE SET f.brand_id = r.brand, f.v = 0
WITH f, r WHERE coalesce(f.v, 0) < r.v
MERGE (t:Gone {id: r.id})
ON CREATE SET t.brand_id = r.brand, t.v = r.v
ON MATCH SET t.v = CASE WHEN t.v < r.v THEN r.v ELSE t.v END
"""

# One that came back meanwhile has no tombstone any more, and stays.
DELETE_EDGES_OF_GONE: Final[LiteralString] = """
UNWIND $ids AS id
MATCH (t:Gone {id: id})
MATCH (f:Fan {id: id})-[e]-()
WITH DISTINCT e LIMIT $limit
DELETE e
RETURN count(*) AS deleted
"""

DELETE_GONE: Final[LiteralString] = """
UNWIND $ids AS id
MATCH (t:Gone {id: id})
MATCH (f:Fan {id: id})
DETACH DELETE f
"""

BURIED_EDGES: Final[LiteralString] = """
UNWIND $keys AS key
MATCH (t:GoneEdge {key: key})
RETURN collect(t.key) AS keys, collect(t.v) AS versions
"""

REVIVE_EDGES: Final[LiteralString] = "UNWIND $keys AS key MATCH (t:GoneEdge {key: key}) DELETE t"

BURY_EDGES: Final[LiteralString] = """
UNWIND $rows AS r
MERGE (t:GoneEdge {key: r.tomb})
ON CREATE SET t.brand_id = r.brand, t.v = r.v
ON MATCH SET t.v = CASE WHEN t.v < r.v THEN r.v ELSE t.v END
"""


def tomb(name: str, brand_id: int, key: str) -> str:
    """Return the key of an edge's tombstone, which begins with the brand."""
    return f"{brand_id}:{name}:{key}"


async def exhume(run: Run, rows: Sequence[Row]) -> set[str]:
    """Return which of the edges, each with `tomb` and `v`, stay buried; the tombstones of the others go."""
    (found,) = await run(BURIED_EDGES, {"keys": [row["tomb"] for row in rows]})
    if not found["keys"]:
        return set()
    buried = dict(zip(found["keys"], found["versions"], strict=True))
    staying = {row["tomb"] for row in rows if buried.get(row["tomb"], -1) >= row["v"]}
    await run(REVIVE_EDGES, {"keys": sorted(set(buried) - staying)})
    return staying


@dataclass(frozen=True, slots=True)
class Tomb:
    """A tombstone as found in the graph: the key of what is gone, and the version up to which it stays so."""

    key: str
    v: int


FANS_BURIED: Final[LiteralString] = """
MATCH (t:Gone)
WHERE t.id > $low AND t.id < $high
WITH t ORDER BY t.id LIMIT $limit
RETURN collect(t.id) AS keys, collect(t.v) AS versions
"""

EDGES_BURIED: Final[LiteralString] = """
MATCH (t:GoneEdge)
WHERE t.key > $low AND t.key < $high
WITH t ORDER BY t.key LIMIT $limit
RETURN collect(t.key) AS keys, collect(t.v) AS versions
"""

# As it was read: one that was made anew meanwhile stays.
FORGET_FANS: Final[LiteralString] = """
UNWIND $rows AS r
MATCH (t:Gone {id: r.key})
WITH r, t WHERE t.v = r.v
DELETE t
"""

FORGET_EDGES: Final[LiteralString] = """
UNWIND $rows AS r
MATCH (t:GoneEdge {key: r.key})
WITH r, t WHERE t.v = r.v
DELETE t
"""


async def stream_fan_tombs(graph: Graph, brand_id: int) -> AsyncIterator[list[Tomb]]:
    """Yield the tombstones of a brand's fans, a page at a time."""
    async for page in _pages(graph, FANS_BURIED, f"{brand_id}:"):
        yield page


async def stream_edge_tombs(graph: Graph, name: str, brand_id: int) -> AsyncIterator[list[Tomb]]:
    """Yield the tombstones of a brand's edges of one kind, a page at a time."""
    prefix = tomb(name, brand_id, "")
    async for page in _pages(graph, EDGES_BURIED, prefix):
        yield [Tomb(found.key.removeprefix(prefix), found.v) for found in page]


async def forget_fans(graph: Graph, tombs: Sequence[Tomb]) -> None:
    """Take the tombstones away, if they are as they were read."""
    await graph.write(FORGET_FANS, {"rows": [{"key": found.key, "v": found.v} for found in tombs]})


async def forget_edges(graph: Graph, name: str, brand_id: int, tombs: Sequence[Tomb]) -> None:
    """Take the tombstones away, if they are as they were read."""
    rows = [{"key": tomb(name, brand_id, found.key), "v": found.v} for found in tombs]
    await graph.write(FORGET_EDGES, {"rows": rows})


async def _pages(graph: Graph, page: LiteralString, prefix: str) -> AsyncIterator[list[Tomb]]:
    low = prefix
    while True:
        # what follows the colon is a number: everything with the prefix comes before the prefix with a letter
        parameters = {"low": low, "high": f"{prefix}~", "limit": TOMBS_PER_PAGE}
        (found,) = await graph.read(page, parameters, timeout=SCAN_SECONDS)
        if found["keys"]:
            yield [Tomb(*pair) for pair in zip(found["keys"], found["versions"], strict=True)]
        if len(found["keys"]) < TOMBS_PER_PAGE:
            return
        low = found["keys"][-1]
