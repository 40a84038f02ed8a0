import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.driver import Graph
from graph.edges import StoredEdge, delete_edges
from graph.errors import GraphLimit
from graph.fans import node_id
from graph.shares import (
    SHARED,
    ShareEdge,
    cascade_breadths,
    path_to,
    paths,
    share_key,
    stream_shares,
    upsert_shares,
)
from tests.graph.trees import breadths_of, new_brand, path_of, random_cascade, seeded


async def stored(graph: Graph, brand: int) -> list[StoredEdge]:
    return sorted([edge async for edge in stream_shares(graph, brand)], key=lambda edge: edge.key)


def expected(edges: list[ShareEdge]) -> list[StoredEdge]:
    return sorted(
        (
            StoredEdge(
                share_key(edge.cascade_id, edge.to_fan_id),
                node_id(edge.brand_id, edge.from_fan_id),
                node_id(edge.brand_id, edge.to_fan_id),
            )
            for edge in edges
        ),
        key=lambda edge: edge.key,
    )


async def test_writing_the_same_edges_again_changes_nothing(graph: Graph) -> None:
    brand = new_brand()
    edges = random_cascade(seeded(1), brand, brand, 300)

    for _ in range(3):
        await upsert_shares(graph, edges)

    assert await stored(graph, brand) == expected(edges)


async def test_writers_of_the_same_edges_at_once_make_no_duplicate(graph: Graph) -> None:
    brand = new_brand()
    edges = random_cascade(seeded(2), brand, brand, 200)

    await asyncio.gather(*(upsert_shares(graph, edges[start:] + edges[:start]) for start in range(0, 160, 20)))

    assert await stored(graph, brand) == expected(edges)
    nodes = await graph.read("MATCH (f:Fan) WHERE f.brand_id = $b RETURN count(*) AS n", {"b": brand})
    assert nodes == [{"n": 200}]


async def test_an_edge_whose_source_was_corrected_replaces_the_old_one(graph: Graph) -> None:
    brand = new_brand()
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 2, 0), ShareEdge(brand, brand, 2, 3, 0)])

    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 3, 0)])

    assert await cascade_breadths(graph, brand, [(brand, 1)]) == {brand: [1, 2]}
    assert len(await stored(graph, brand)) == 2


async def test_edges_are_deleted_by_key(graph: Graph) -> None:
    brand = new_brand()
    edges = random_cascade(seeded(3), brand, brand, 50)
    await upsert_shares(graph, edges)

    await delete_edges(graph, SHARED, [share_key(brand, fan) for fan in range(2, 40)] + ["no such key"])

    assert await stored(graph, brand) == expected([edge for edge in edges if edge.to_fan_id >= 40])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), size=st.integers(1, 120), bias=st.sampled_from([1, 2, 5, 120]))
async def test_breadths_and_paths_equal_those_of_the_tree(graph: Graph, seed: int, size: int, bias: int) -> None:
    brand = new_brand()
    rng = seeded(seed)
    cascades = {brand + n: random_cascade(rng, brand, brand + n, size, bias=bias) for n in range(3)}
    await upsert_shares(graph, [edge for edges in cascades.values() for edge in edges])

    breadths = await cascade_breadths(graph, brand, [(cascade, 1) for cascade in cascades])
    fan = rng.randrange(1, size + 1)
    found = await paths(graph, brand, [(cascade, 1, fan) for cascade in cascades])

    assert breadths == {cascade: breadths_of(edges, 1) for cascade, edges in cascades.items()}
    assert found == {(cascade, fan): path_of(edges, 1, fan) for cascade, edges in cascades.items()}


async def test_a_cascade_forty_generations_deep_is_counted_in_full(graph: Graph) -> None:
    brand = new_brand()
    await upsert_shares(graph, random_cascade(seeded(4), brand, brand, 41, bias=1))

    assert await cascade_breadths(graph, brand, [(brand, 1)]) == {brand: [1] * 41}
    assert await path_to(graph, brand, brand, 1, 41) == list(range(1, 42))


async def test_a_fan_the_cascade_did_not_reach_has_no_path(graph: Graph) -> None:
    brand = new_brand()
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 2, 0), ShareEdge(brand, brand + 1, 2, 3, 0)])

    assert await path_to(graph, brand, brand, 1, 3) is None
    assert await path_to(graph, brand, brand, 1, 1) == [1]
    assert await path_to(graph, brand, brand + 1, 1, 3) is None


async def test_shares_that_go_in_a_circle_end_the_walk(graph: Graph) -> None:
    brand = new_brand()
    circle = [ShareEdge(brand, brand, 2, 3, 0), ShareEdge(brand, brand, 3, 4, 0), ShareEdge(brand, brand, 4, 2, 0)]
    await upsert_shares(graph, circle)

    assert await path_to(graph, brand, brand, 1, 4) is None
    assert await cascade_breadths(graph, brand, [(brand, 1), (brand + 1, 1)]) == {brand: [1], brand + 1: [1]}
    assert await cascade_breadths(graph, brand, [(brand, 2)]) == {brand: [1, 1, 1]}


async def test_another_brand_sees_nothing_of_a_cascade(graph: Graph) -> None:
    brand = new_brand()
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 2, 0)])

    assert await cascade_breadths(graph, brand + 1, [(brand, 1)]) == {brand: [1]}
    assert await path_to(graph, brand + 1, brand, 1, 2) is None
    assert await stored(graph, brand + 1) == []


async def test_too_many_edges_for_one_request_are_refused(graph: Graph) -> None:
    brand = new_brand()
    await upsert_shares(graph, random_cascade(seeded(5), brand, brand, 101))

    assert sum((await cascade_breadths(graph, brand, [(brand, 1)], limit=100))[brand]) == 101
    with pytest.raises(GraphLimit):
        await cascade_breadths(graph, brand, [(brand, 1)], limit=99)
