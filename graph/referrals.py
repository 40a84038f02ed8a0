"""Referrals: who invited whom; a fan has at most one referrer."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from graph.driver import Graph
from graph.edges import EdgeKind, StoredEdge, stream_edges, upsert_edges
from graph.fans import fan_of, node_id

MAX_DEPTH: Final = 6


@dataclass(frozen=True, slots=True)
class ReferralEdge:
    """An invitation that was accepted; `at_ms` is in milliseconds since 1970, `v` the event's number or 0."""

    brand_id: int
    referrer_fan_id: int
    invitee_fan_id: int
    at_ms: int
    v: int = 0


REFERRED: Final = EdgeKind(
    name="REFERRED",
    known="""
MATCH (a)-[e:REFERRED]->(b)
WHERE e.key IN $keys
RETURN collect(e.key) AS keys, collect(a.id) AS sources, collect(coalesce(e.v, 0)) AS versions
""",
    create="""
UNWIND $rows AS r
MATCH (a:Fan {id: r.source})
MATCH (b:Fan {id: r.target})
CREATE (a)-[:REFERRED {key: r.key, brand_id: r.brand, at: r.at, v: r.v}]->(b)
""",
    renew="""
MATCH (a)-[e:REFERRED]->(b)
WHERE e.key IN $keys
SET e.v = $versions[e.key]
""",
    delete="""
MATCH (a)-[e:REFERRED]->(b)
WHERE e.key IN $keys
DELETE e
""",
    degrees="""
MATCH (f:Fan)
WHERE f.id >= $low AND f.id < $high
WITH f LIMIT $limit
WITH f.id AS id, COUNT { (f)<-[:REFERRED]-() } AS degree
RETURN collect(id) AS ids, collect(degree) AS degrees
""",
    arriving="""
UNWIND $ids AS id
MATCH (b:Fan {id: id})<-[e:REFERRED]-(a)
RETURN id AS target, collect(e.key) AS keys, collect(a.id) AS sources
""",
)


async def upsert_referrals(graph: Graph, rows: Sequence[ReferralEdge]) -> None:
    """Make the edges exist, creating fans not yet known; repeating it changes nothing."""
    await upsert_edges(
        graph,
        REFERRED,
        [
            {
                "key": node_id(row.brand_id, row.invitee_fan_id),
                "source": node_id(row.brand_id, row.referrer_fan_id),
                "target": node_id(row.brand_id, row.invitee_fan_id),
                "brand": row.brand_id,
                "at": row.at_ms,
                "v": row.v,
            }
            for row in rows
        ],
    )


def stream_referrals(graph: Graph, brand_id: int) -> AsyncIterator[StoredEdge]:
    """Yield every referral edge of a brand in no particular order, holding one page in memory."""
    return stream_edges(graph, REFERRED, brand_id)


DOWNLINE: Final[LiteralString] = """
UNWIND $ids AS id
MATCH p = (r:Fan {id: id})-[:REFERRED*1..6]->(x)
WITH id, length(p) AS generation
WHERE generation <= $depth
RETURN id, generation, count(*) AS fans
"""


async def downline_counts(
    graph: Graph, brand_id: int, fan_ids: Sequence[int], *, depth: int = MAX_DEPTH
) -> dict[int, list[int]]:
    """Count the fans each fan brought in, by generation, direct invitees first; a list ends with its last generation.

    `depth` is at most MAX_DEPTH. Referrals are taken to be a forest.
    """
    if not 1 <= depth <= MAX_DEPTH:
        raise ValueError(f"depth {depth} is not within 1 and {MAX_DEPTH}")
    counts: dict[int, list[int]] = {fan: [] for fan in fan_ids}
    # each once: a fan that is sent twice would be counted twice
    ids = [node_id(brand_id, fan) for fan in counts]
    rows = await graph.read(DOWNLINE, {"ids": ids, "depth": depth})
    # A generation is never without the one before it, so sorted counts line up with their generations.
    for row in sorted(rows, key=lambda row: row["generation"]):
        counts[fan_of(row["id"])].append(row["fans"])
    return counts


UPLINE: Final[LiteralString] = """
UNWIND $ids AS id
MATCH p = (f:Fan {id: id})<-[:REFERRED*1..60]-(x)
RETURN id, length(p) AS distance, x.id AS ancestor
"""


async def upline(graph: Graph, brand_id: int, fan_ids: Sequence[int]) -> dict[int, list[int]]:
    """Return each fan's referrer, the referrer's referrer and so on to the root, at most 60 of them."""
    ancestors: dict[int, list[int]] = {fan: [] for fan in fan_ids}
    rows = await graph.read(UPLINE, {"ids": [node_id(brand_id, fan) for fan in ancestors]})
    for row in sorted(rows, key=lambda row: row["distance"]):
        ancestors[fan_of(row["id"])].append(fan_of(row["ancestor"]))
    return ancestors
