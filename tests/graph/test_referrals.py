import pytest

from graph.driver import Graph
from graph.edges import delete_edges
from graph.fans import node_id
from graph.referrals import (
    REFERRED,
    ReferralEdge,
    downline_counts,
    stream_referrals,
    upline,
    upsert_referrals,
)
from tests.graph.trees import breadths_of, new_brand, path_of, random_cascade, seeded


async def test_downlines_and_uplines_equal_those_of_the_tree(graph: Graph) -> None:
    brand = new_brand()
    tree = random_cascade(seeded(11), brand, brand, 150, bias=30)
    await upsert_referrals(graph, [ReferralEdge(brand, edge.from_fan_id, edge.to_fan_id, 0) for edge in tree])
    fans = [1, 2, 17, 80, 150, 9_999]

    downlines = await downline_counts(graph, brand, fans * 2)  # as a level asks for a fan that stands in it twice
    uplines = await upline(graph, brand, fans * 2)

    assert downlines == {fan: breadths_of(tree, fan)[1:7] for fan in fans}
    assert uplines == {fan: (path_of(tree, 1, fan) or [])[-2::-1] for fan in fans}


async def test_a_downline_stops_at_the_depth_asked_for(graph: Graph) -> None:
    brand = new_brand()
    await upsert_referrals(graph, [ReferralEdge(brand, fan, fan + 1, 0) for fan in range(1, 10)])

    assert await downline_counts(graph, brand, [1], depth=2) == {1: [1, 1]}
    assert await downline_counts(graph, brand, [1]) == {1: [1] * 6}
    with pytest.raises(ValueError, match="depth 7"):
        await downline_counts(graph, brand, [1], depth=7)


async def test_a_fan_keeps_one_referrer(graph: Graph) -> None:
    brand = new_brand()
    await upsert_referrals(graph, [ReferralEdge(brand, 1, 3, 0)])

    await upsert_referrals(graph, [ReferralEdge(brand, 2, 3, 0), ReferralEdge(brand, 1, 4, 0)])

    assert await upline(graph, brand, [3, 4]) == {3: [2], 4: [1]}
    await delete_edges(graph, REFERRED, [node_id(brand, 3)])
    assert [edge.target async for edge in stream_referrals(graph, brand)] == [node_id(brand, 4)]
