"""Cascades: who passed a content on to whom."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from graph.driver import Graph
from graph.edges import KEYS_PER_LOOKUP, EdgeKind, StoredEdge, stream_edges, upsert_edges
from graph.errors import GraphLimit
from graph.fans import chunks, fan_of, node_id

CASCADES_PER_READ: Final = 500
MAX_EDGES: Final = 1_000_000
MAX_PATH: Final = 1_000
BREADTHS_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ShareEdge:
    """The first touch of a fan by a cascade; `at_ms` is in milliseconds since 1970, `v` the event's number or 0."""

    brand_id: int
    cascade_id: int
    from_fan_id: int
    to_fan_id: int
    at_ms: int
    channel: str | None = None
    v: int = 0


SHARED: Final = EdgeKind(
    name="SHARED",
    known="""
MATCH (a)-[e:SHARED]->(b)
WHERE e.key IN $keys
RETURN collect(e.key) AS keys, collect(a.id) AS sources, collect(coalesce(e.v, 0)) AS versions
""",
    create="""
UNWIND $rows AS r
MATCH (a:Fan {id: r.source})
MATCH (b:Fan {id: r.target})
CREATE (a)-[:SHARED {key: r.key, brand_id: r.brand, cascade: r.cascade, channel: r.channel, at: r.at, v: r.v}]->(b)
""",
    renew="""
MATCH (a)-[e:SHARED]->(b)
WHERE e.key IN $keys
SET e.v = $versions[e.key]
""",
    delete="""
MATCH (a)-[e:SHARED]->(b)
WHERE e.key IN $keys
DELETE e
""",
    degrees="""
MATCH (f:Fan)
WHERE f.id >= $low AND f.id < $high
WITH f LIMIT $limit
WITH f.id AS id, COUNT { (f)<-[:SHARED]-() } AS degree
RETURN collect(id) AS ids, collect(degree) AS degrees
""",
    arriving="""
UNWIND $ids AS id
MATCH (b:Fan {id: id})<-[e:SHARED]-(a)
RETURN id AS target, collect(e.key) AS keys, collect(a.id) AS sources
""",
)


def share_key(cascade_id: int, to_fan_id: int) -> str:
    """Return the edge key: a cascade reaches a fan once."""
    return f"{cascade_id}:{to_fan_id}"


async def upsert_shares(graph: Graph, rows: Sequence[ShareEdge]) -> None:
    """Make the edges exist, creating fans not yet known; repeating it changes nothing."""
    await upsert_edges(
        graph,
        SHARED,
        [
            {
                "key": share_key(row.cascade_id, row.to_fan_id),
                "source": node_id(row.brand_id, row.from_fan_id),
                "target": node_id(row.brand_id, row.to_fan_id),
                "brand": row.brand_id,
                "cascade": row.cascade_id,
                "channel": row.channel,
                "at": row.at_ms,
                "v": row.v,
            }
            for row in rows
        ],
    )


def stream_shares(graph: Graph, brand_id: int) -> AsyncIterator[StoredEdge]:
    """Yield every share edge of a brand in no particular order, holding one page in memory."""
    return stream_edges(graph, SHARED, brand_id)


# Lists, not rows: unpacking a row costs the driver thirty times the two strings in it. A walk from the seed would scan
# all edges of a seed that started thousands of cascades, so the tree is put together here.
EDGES_OF_CASCADES: Final[LiteralString] = """
MATCH (a)-[e:SHARED]->(b)
WHERE e.cascade IN $cascades
WITH a, e, b LIMIT $limit
WITH a, e, b WHERE e.brand_id = $brand
RETURN e.cascade AS cascade, collect(a.id) AS sources, collect(b.id) AS targets
"""


async def cascade_breadths(
    graph: Graph, brand_id: int, cascades: Sequence[tuple[int, int]], *, limit: int = MAX_EDGES
) -> dict[int, list[int]]:
    """Count the fans of each generation, the seed first, for (cascade id, seed fan id) pairs.

    Raises GraphLimit when the cascades together have more than `limit` edges, and GraphUnavailable.
    """
    breadths: dict[int, list[int]] = {}
    for chunk in chunks(cascades, CASCADES_PER_READ):
        parameters = {"cascades": [cascade for cascade, _ in chunk], "brand": brand_id, "limit": limit + 1}
        rows = await graph.read(EDGES_OF_CASCADES, parameters, timeout=BREADTHS_SECONDS)
        limit -= sum(len(row["targets"]) for row in rows)
        if limit < 0:
            raise GraphLimit("These cascades have too many shares to be counted in one request.")
        trees = {row["cascade"]: _children(row["sources"], row["targets"]) for row in rows}
        for cascade, seed in chunk:
            breadths[cascade] = _breadths(trees.get(cascade, {}), node_id(brand_id, seed))
    return breadths


def _children(sources: Iterable[str], targets: Iterable[str]) -> dict[str, list[str]]:
    children: dict[str, list[str]] = defaultdict(list)
    for source, target in zip(sources, targets, strict=True):
        children[source].append(target)
    return children


def _breadths(children: Mapping[str, list[str]], seed: str) -> list[int]:
    breadths: list[int] = []
    seen = {seed}
    generation = [seed]
    while generation:
        breadths.append(len(generation))
        generation = [fan for parent in generation for fan in children.get(parent, ()) if fan not in seen]
        seen.update(generation)
    return breadths


PARENTS: Final[LiteralString] = """
MATCH (a)-[e:SHARED]->(b)
WHERE e.key IN $keys
WITH a, e, b WHERE e.brand_id = $brand
RETURN collect(e.key) AS keys, collect(a.id) AS sources
"""


async def path_to(graph: Graph, brand_id: int, cascade_id: int, seed_fan_id: int, fan_id: int) -> list[int] | None:
    """Return the fan ids from the seed to the fan, both included, or None when the cascade did not reach the fan."""
    return (await paths(graph, brand_id, [(cascade_id, seed_fan_id, fan_id)]))[cascade_id, fan_id]


async def paths(
    graph: Graph, brand_id: int, wanted: Sequence[tuple[int, int, int]]
) -> dict[tuple[int, int], list[int] | None]:
    """Return the path for each (cascade id, seed fan id, fan id), by cascade and fan; one read a generation.

    Walks up by edge key: each step is an index look-up, whatever the degree of the fans on the way.
    Raises GraphLimit for a path longer than MAX_PATH fans, and GraphUnavailable.
    """
    seeds = {(cascade, fan): seed for cascade, seed, fan in wanted}
    upward = {(cascade, fan): [fan] for cascade, _, fan in wanted}
    open_ = {pair for pair, seed in seeds.items() if seed != pair[1]}
    lost: set[tuple[int, int]] = set()
    for _ in range(MAX_PATH):
        if not open_:
            return {pair: None if pair in lost else path[::-1] for pair, path in upward.items()}
        parents = await _parents(graph, brand_id, {share_key(pair[0], upward[pair][-1]) for pair in open_})
        for pair in tuple(open_):
            parent = parents.get(share_key(pair[0], upward[pair][-1]))
            if parent is None or parent in upward[pair]:
                lost.add(pair)
            else:
                upward[pair].append(parent)
            if parent is None or parent == seeds[pair] or pair in lost:
                open_.discard(pair)
    raise GraphLimit("This path is too long.")


async def _parents(graph: Graph, brand_id: int, keys: Iterable[str]) -> dict[str, int]:
    parents: dict[str, int] = {}
    for chunk in chunks(sorted(keys), KEYS_PER_LOOKUP):
        (row,) = await graph.read(PARENTS, {"keys": chunk, "brand": brand_id})
        parents.update(zip(row["keys"], map(fan_of, row["sources"]), strict=True))
    return parents
