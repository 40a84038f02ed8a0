"""What shares and referrals have in common as edges: how they are written, erased and listed.

Edges are found through the index on their key or cascade, in the one form that uses it on both engines:
no labels on the ends, `WHERE e.property IN $list`. MERGE would walk the edges of a node instead, and here both ends of
an edge may have thousands.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from graph.driver import Graph, Row, Run
from graph.fans import FANS_PER_PAGE, ROWS_PER_WRITE, SCAN_SECONDS, chunks, key_windows

EDGES_PER_PAGE = 10_000
# The embedded engine compares every edge it finds with the whole list again: 5,000 at once take four times as long.
KEYS_PER_LOOKUP = 1_000


@dataclass(frozen=True, slots=True)
class EdgeKind:
    """The statements of one kind of edge."""

    name: str
    known: LiteralString
    create: LiteralString
    delete: LiteralString
    degrees: LiteralString
    arriving: LiteralString


@dataclass(frozen=True, slots=True)
class StoredEdge:
    """An edge as found in the graph; the ends are node keys."""

    key: str
    source: str
    target: str


NAME_FANS: LiteralString = "UNWIND $rows AS r MERGE (f:Fan {id: r.id}) ON CREATE SET f.brand_id = r.brand"


async def upsert_edges(graph: Graph, kind: EdgeKind, rows: Sequence[Row]) -> None:
    """Make the edges exist; each row has key, source, target, brand and the properties `kind.create` names.

    Missing fans are created. An edge of the same key from another source is replaced. Of several rows with one key
    the last counts.
    """
    unique = {row["key"]: row for row in rows}
    for chunk in chunks(sorted(unique.values(), key=_by_target), ROWS_PER_WRITE):
        await graph.transact(_Upsert(kind, chunk))


async def delete_edges(graph: Graph, kind: EdgeKind, keys: Sequence[str]) -> None:
    """Erase edges by key; a key without an edge is no error."""
    for chunk in chunks(sorted(set(keys)), KEYS_PER_LOOKUP):
        await graph.write(kind.delete, {"keys": chunk})


async def stream_edges(graph: Graph, kind: EdgeKind, brand_id: int) -> AsyncIterator[StoredEdge]:
    """Yield every edge that arrives at a fan of the brand, in no particular order, holding one page in memory."""
    async for page in key_windows(graph, kind.degrees, brand_id, FANS_PER_PAGE):
        for targets in _groups(page["ids"], page["degrees"]):
            for row in await graph.read(kind.arriving, {"ids": targets}, timeout=SCAN_SECONDS):
                for key, source in zip(row["keys"], row["sources"], strict=True):
                    yield StoredEdge(key, source, row["target"])


@dataclass(frozen=True, slots=True)
class _Upsert:
    kind: EdgeKind
    rows: Sequence[Row]

    async def __call__(self, run: Run) -> None:
        known = await self._known_sources(run)
        missing = [row for row in self.rows if known.get(row["key"]) != row["source"]]
        for replaced in chunks([row["key"] for row in missing if row["key"] in known], KEYS_PER_LOOKUP):
            await run(self.kind.delete, {"keys": replaced})
        if missing:
            await run(NAME_FANS, {"rows": _fans(missing)})
            await run(self.kind.create, {"rows": missing})

    async def _known_sources(self, run: Run) -> dict[str, str]:
        known: dict[str, str] = {}
        for keys in chunks([row["key"] for row in self.rows], KEYS_PER_LOOKUP):
            (found,) = await run(self.kind.known, {"keys": keys})
            known.update(zip(found["keys"], found["sources"], strict=True))
        return known


def _fans(rows: Sequence[Row]) -> list[Row]:
    brands = {row[end]: row["brand"] for row in rows for end in ("source", "target")}
    return [{"id": node, "brand": brands[node]} for node in sorted(brands)]


def _by_target(row: dict[str, Any]) -> tuple[str, str]:
    return row["target"], row["key"]


def _groups(ids: Sequence[str], degrees: Sequence[int]) -> Iterator[list[str]]:
    """Group nodes so that few answers have more than EDGES_PER_PAGE edges; nodes without edges are left out."""
    group: list[str] = []
    size = 0
    for node, degree in zip(ids, degrees, strict=True):
        if degree and size + degree > EDGES_PER_PAGE and group:
            yield group
            group, size = [], 0
        if degree:
            group.append(node)
            size += degree
    if group:
        yield group
