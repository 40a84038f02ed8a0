"""What shares and referrals have in common as edges: how they are written, erased and listed.

Edges are found through the index on their key or cascade, in the one form that uses it on both engines:
no labels on the ends, `WHERE e.property IN $list`. MERGE would walk the edges of a node instead, and here both ends of
an edge may have thousands.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from graph.driver import Graph, Row, Run
from graph.fans import FANS_PER_PAGE, ROWS_PER_WRITE, chunks, key_windows
from graph.gone import BURY_EDGES, SCAN_SECONDS, drop_gone, exhume, tomb

EDGES_PER_PAGE = 10_000
# The embedded engine compares every edge it finds with the whole list again: 5,000 at once take four times as long.
KEYS_PER_LOOKUP = 1_000


@dataclass(frozen=True, slots=True)
class EdgeKind:
    """The statements of one kind of edge."""

    name: str
    known: LiteralString
    create: LiteralString
    renew: LiteralString
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
    """Make the edges exist; each row has key, source, target, brand, v and the properties `kind.create` names.

    Missing fans are created. An edge of the same key from another source is replaced, unless it is newer. Of several
    rows with one key the last counts. An edge that is gone, or of a fan gone, stays so.
    """
    unique = {row["key"]: row for row in rows}
    for chunk in chunks(sorted(unique.values(), key=_by_target), ROWS_PER_WRITE):
        await graph.transact(_Upsert(kind, chunk))


async def bury_edges(graph: Graph, kind: EdgeKind, rows: Sequence[Row]) -> None:
    """Take edges out for good, each given by key, brand and v: nothing up to that version brings them back."""
    for chunk in chunks(sorted(rows, key=_by_key), ROWS_PER_WRITE):
        await graph.transact(_Burial(kind, _with_tombs(kind, chunk)))


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


# the source of an edge and its version
Known = dict[str, tuple[str, int]]


async def _known(run: Run, kind: EdgeKind, rows: Sequence[Row]) -> Known:
    known: Known = {}
    for keys in chunks([row["key"] for row in rows], KEYS_PER_LOOKUP):
        (found,) = await run(kind.known, {"keys": keys})
        pairs = zip(found["sources"], found["versions"], strict=True)
        known.update(zip(found["keys"], pairs, strict=True))
    return known


async def _delete(run: Run, kind: EdgeKind, keys: Sequence[str]) -> None:
    for some in chunks(keys, KEYS_PER_LOOKUP):
        await run(kind.delete, {"keys": some})


@dataclass(frozen=True, slots=True)
class _Upsert:
    kind: EdgeKind
    rows: Sequence[Row]

    async def __call__(self, run: Run) -> None:
        known = await _known(run, self.kind, self.rows)
        same = [row for row in self.rows if row["key"] in known and known[row["key"]][0] == row["source"]]
        await self._renew(run, [row for row in same if known[row["key"]][1] < row["v"]])
        other = [row for row in self.rows if known.get(row["key"], (None,))[0] != row["source"]]
        news = [row for row in other if row["key"] not in known or known[row["key"]][1] <= row["v"]]
        if news:
            await self._replace(run, news, known)

    async def _renew(self, run: Run, rows: Sequence[Row]) -> None:
        for some in chunks(rows, KEYS_PER_LOOKUP):
            versions = {row["key"]: row["v"] for row in some}
            await run(self.kind.renew, {"keys": sorted(versions), "versions": versions})

    async def _replace(self, run: Run, rows: Sequence[Row], known: Known) -> None:
        await run(NAME_FANS, {"rows": _fans(rows)})
        gone = await drop_gone(run, [fan["id"] for fan in _fans(rows)])
        living = [row for row in rows if row["source"] not in gone and row["target"] not in gone]
        buried = await exhume(run, _with_tombs(self.kind, living)) if living else set()
        await _delete(run, self.kind, [row["key"] for row in living if row["key"] in known])
        wanted = [row for row in living if tomb(self.kind.name, row["brand"], row["key"]) not in buried]
        if wanted:
            await run(self.kind.create, {"rows": wanted})


@dataclass(frozen=True, slots=True)
class _Burial:
    kind: EdgeKind
    rows: Sequence[Row]

    async def __call__(self, run: Run) -> None:
        await run(BURY_EDGES, {"rows": self.rows})
        known = await _known(run, self.kind, self.rows)
        old = [row["key"] for row in self.rows if row["key"] in known and known[row["key"]][1] <= row["v"]]
        await _delete(run, self.kind, old)


def _with_tombs(kind: EdgeKind, rows: Sequence[Row]) -> list[Row]:
    return [
        {"tomb": tomb(kind.name, row["brand"], row["key"]), "key": row["key"], "brand": row["brand"], "v": row["v"]}
        for row in rows
    ]


def _by_key(row: Row) -> str:
    key: str = row["key"]
    return key


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
