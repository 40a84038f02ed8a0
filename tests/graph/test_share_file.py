"""The published share cascades: every number the graph gives equals the file's own generation column."""

import csv
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from graph.driver import Graph
from graph.shares import ShareEdge, cascade_breadths, paths, stream_shares, upsert_shares
from tests.graph.trees import new_brand

FILE = Path(__file__).parents[3] / "shared" / "data" / "share_cascades.csv"
SEED = 1


@pytest.mark.slow
@pytest.mark.skipif(not FILE.exists(), reason="the share cascade file is not on this machine")
async def test_every_cascade_of_the_file_has_the_generations_the_file_says(graph: Graph) -> None:
    brand = new_brand()
    generations: dict[int, Counter[int]] = defaultdict(Counter)
    farthest: dict[int, tuple[int, int]] = {}
    edges = []
    for line in csv.reader(FILE.read_text().splitlines()):
        child, parent, code, generation = map(int, line)
        cascade = brand + code
        edges.append(ShareEdge(brand, cascade, parent, child, 0))
        generations[cascade][generation] += 1
        farthest[cascade] = max(farthest.get(cascade, (0, 0)), (generation, child))

    await upsert_shares(graph, edges)
    breadths = await cascade_breadths(graph, brand, [(cascade, SEED) for cascade in generations])
    found = await paths(graph, brand, [(cascade, SEED, fan) for cascade, (_, fan) in farthest.items()])

    assert len(breadths) == 7_736
    assert max(map(len, breadths.values())) - 1 == 11
    assert breadths == {
        cascade: [1, *(counts[generation] for generation in range(1, max(counts) + 1))]
        for cascade, counts in generations.items()
    }
    parents = {(edge.cascade_id, edge.to_fan_id): edge.from_fan_id for edge in edges}
    for cascade, (generation, fan) in farthest.items():
        path = found[cascade, fan]
        assert path is not None
        assert (path[0], path[-1], len(path)) == (SEED, fan, generation + 1)
        assert all(parents[cascade, below] == above for above, below in pairwise(path))
    assert sum([1 async for _ in stream_shares(graph, brand)]) == len(edges) == 34_005
