from graph.driver import Graph
from graph.fans import FanNode, StoredFan, delete_fans, node_id, stream_fans, upsert_fans
from graph.referrals import ReferralEdge, stream_referrals, upsert_referrals
from graph.shares import ShareEdge, stream_shares, upsert_shares
from tests.graph.trees import new_brand, seeded


async def stored(graph: Graph, brand: int) -> dict[str, int]:
    return {fan.id: fan.v async for fan in stream_fans(graph, brand)}


async def test_an_older_version_does_not_overwrite_a_newer_one(graph: Graph) -> None:
    brand = new_brand()
    await upsert_fans(graph, [FanNode(brand, 1, 5)])

    await upsert_fans(graph, [FanNode(brand, 1, 4)])
    await upsert_fans(graph, [FanNode(brand, 2, 1), FanNode(brand, 2, 3), FanNode(brand, 2, 2)])

    assert await stored(graph, brand) == {node_id(brand, 1): 5, node_id(brand, 2): 3}


async def test_a_fan_named_by_an_edge_first_takes_its_version_later(graph: Graph) -> None:
    brand = new_brand()
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 2, 0)])
    assert await stored(graph, brand) == {node_id(brand, 1): 0, node_id(brand, 2): 0}

    await upsert_fans(graph, [FanNode(brand, 2, 1)])

    assert await stored(graph, brand) == {node_id(brand, 1): 0, node_id(brand, 2): 1}
    assert await graph.read("MATCH (f:Fan {id: $id}) RETURN f.brand_id AS b", {"id": node_id(brand, 1)}) == [
        {"b": brand}
    ]


async def test_streaming_reads_every_node_of_the_brand_once_and_no_other(graph: Graph) -> None:
    brand = new_brand()
    rng = seeded(7)
    ids = {rng.randrange(1, 10 ** rng.randrange(1, 19)) for _ in range(12_000)}
    await upsert_fans(graph, [FanNode(brand, fan, 1) for fan in ids])
    await upsert_fans(graph, [FanNode(brand * 10, 1, 1), FanNode(brand + 1, 1, 1), FanNode(brand // 10, 1, 1)])

    found = [fan async for fan in stream_fans(graph, brand)]

    assert len(found) == len(ids)
    assert set(found) == {StoredFan(node_id(brand, fan), 1) for fan in ids}


async def test_deleting_fans_takes_their_edges_and_leaves_the_others(graph: Graph) -> None:
    brand = new_brand()
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, fan, 0) for fan in range(2, 5_002)])
    await upsert_referrals(graph, [ReferralEdge(brand, 3, 1, 0), ReferralEdge(brand, 3, 4, 0)])

    await delete_fans(graph, [node_id(brand, 1), node_id(brand, 2), node_id(brand, 99_999)])

    assert [edge async for edge in stream_shares(graph, brand)] == []
    assert [edge.key async for edge in stream_referrals(graph, brand)] == [node_id(brand, 4)]
    assert len(await stored(graph, brand)) == 4_999
