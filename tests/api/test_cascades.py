from tests.world import Client

QUERY = """query($brand: ID!, $fan: ID!) {
  fans(first: 1, orderBy: SPEND_DESC, filter: {brandId: $brand}) { nodes { orderCount spend { amount } lastOrderAt } }
  cascades(first: 10, orderBy: SIZE_DESC, brandId: $brand) { nodes {
    size shape { depth fanCount breadth { number fanCount } } path(fanId: $fan) { position fan { id } } } } }"""


async def test_one_query_answers_top_fans_largest_cascades_their_shape_and_a_path(graph_client: Client) -> None:
    world = graph_client.world
    brand, last = world.id("Brand", "g1/b2"), world.id("Fan", "g1/b2/d1#4")

    found = await graph_client.data("B2", QUERY, brand=brand, fan=last)

    top = {"orderCount": 1, "spend": {"amount": "40.00"}, "lastOrderAt": "2026-01-05T00:00:00Z"}
    assert found["fans"]["nodes"] == [top]
    (cascade,) = found["cascades"]["nodes"]
    breadth = [{"number": number, "fanCount": 1} for number in range(4)]
    assert cascade["size"] == 4
    assert cascade["shape"] == {"depth": 3, "fanCount": 4, "breadth": breadth}
    way = [world.id("Fan", f"g1/b2/d1#{number}") for number in range(1, 5)]
    assert cascade["path"] == [{"position": n, "fan": {"id": fan}} for n, fan in enumerate(way)]


async def test_a_fan_whom_a_cascade_has_not_reached_has_no_path(graph_client: Client) -> None:
    world = graph_client.world
    variables = {"brand": world.id("Brand", "g1/b2"), "fan": world.id("Fan", "g1/b1/d1#1")}

    found = await graph_client.data("HQ1", QUERY, **variables)

    assert [cascade["path"] for cascade in found["cascades"]["nodes"]] == [None]
