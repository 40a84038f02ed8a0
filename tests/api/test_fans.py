from tests.world import Client

LIST = """query($filter: FanFilterInput, $first: Int, $after: String, $order: FanSort! = ID_ASC) {
  fans(first: $first, after: $after, filter: $filter, orderBy: $order) {
    nodes { id nickname spend { amount currency } orderCount lastOrderAt } totalCount
    pageInfo { hasNextPage endCursor } } }"""


async def test_the_top_fans_by_spend_come_with_order_count_and_last_order(client: Client) -> None:
    found = await client.data("D1", LIST, first=2, order="SPEND_DESC")

    assert found["fans"]["totalCount"] == 4
    assert [fan["spend"] for fan in found["fans"]["nodes"]] == [
        {"amount": "40.00", "currency": "CNY"},
        {"amount": "30.00", "currency": "CNY"},
    ]
    assert [fan["orderCount"] for fan in found["fans"]["nodes"]] == [1, 1]
    assert found["fans"]["nodes"][0]["lastOrderAt"] == "2026-01-05T00:00:00Z"


async def test_pages_forward_and_backward_show_every_fan_once(client: Client) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        page = (await client.data("HQ1", LIST, first=3, after=cursor, order="SPEND_DESC"))["fans"]
        seen += [fan["id"] for fan in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break

    back = """query($before: String) { fans(last: 100, before: $before, orderBy: SPEND_DESC) {
      nodes { id } pageInfo { hasPreviousPage hasNextPage } } }"""
    page = (await client.data("HQ1", back, before=cursor))["fans"]
    assert set(seen) == client.world.fans_below("g1")
    assert len(seen) == 16
    assert [fan["id"] for fan in page["nodes"]] == seen[:-1]
    assert page["pageInfo"] == {"hasPreviousPage": False, "hasNextPage": True}


async def test_fifty_fans_with_tags_and_last_orders_take_two_statements_or_four(client: Client) -> None:
    """Who asks, and all that is asked: PostgreSQL writes the answer. Where it does not, a statement for each level."""
    query = (
        "{ fans(first: 50) { nodes { id tags { name weight } lastOrders(first: 3) { number amount { amount } } } } }"
    )
    await client.data("B1", query)
    client.statements.clear()

    found = await client.data("B1", query)

    assert len(found["fans"]["nodes"]) == 8
    assert all(len(fan["tags"]) == 2 and len(fan["lastOrders"]) == 1 for fan in found["fans"]["nodes"])
    look_ahead = client.world.services.database.direct is not None
    assert len(client.statements) == (2 if look_ahead else 4), client.statements


async def test_a_filter_by_phone_finds_the_fan_in_their_own_brand_only(client: Client) -> None:
    phone = "1380000" + f"{sum(b'g1/b1/d1#1') % 10_000:04d}"

    own = await client.data("B1", LIST, first=10, filter={"phone": f"+86 {phone}"})
    other = await client.data("B2", LIST, first=10, filter={"phone": phone})

    assert client.world.id("Fan", "g1/b1/d1#1") in [fan["id"] for fan in own["fans"]["nodes"]]
    assert other["fans"]["totalCount"] == 0


async def test_filters_nest(client: Client) -> None:
    brand = client.world.id("Brand", "g1/b1")
    dealer = client.world.id("Dealer", "g1/b1/d11")
    rich = {"spend": {"gte": 3000}}

    found = await client.data(
        "HQ1", LIST, first=50, filter={"brandId": brand, "or": [rich, {"tagId": client.world.id("Tag", "g1/b2")}]}
    )
    without = await client.data(
        "HQ1", LIST, first=50, filter={"and": [{"brandId": brand}], "not": {"dealerId": dealer}}
    )

    assert found["fans"]["totalCount"] == 4
    assert {fan["id"] for fan in without["fans"]["nodes"]} == client.world.fans_below("g1/b1/d1")


async def test_the_phone_is_masked_for_who_may_not_read_it_and_its_reading_is_recorded(client: Client) -> None:
    query = "query($id: ID!) { fan(id: $id) { phone } }"
    fan = client.world.id("Fan", "g1/b1/d1#1")

    masked = await client.data("ANALYST", query, id=fan)
    whole = await client.data("B1", query, id=fan)
    log = await client.data("HQ1", "{ auditLog(last: 1) { nodes { action principal detail } } }")

    assert masked["fan"]["phone"].startswith("138****")
    assert whole["fan"]["phone"].startswith("1380000")
    (entry,) = log["auditLog"]["nodes"]
    assert entry["action"] == "fan:read_personal"
    assert entry["principal"] == f"staff:{client.world.staff['B1']}"
    assert entry["detail"]["fans"] == [client.world.fans["g1/b1/d1#1"]]


async def test_a_list_needs_exactly_one_size(client: Client) -> None:
    for arguments in (
        "",
        "(first: 2, last: 2)",
        "(first: 0)",
        "(first: 101)",
        '(first: 2, before: "x")',
        "(last: 101)",
    ):
        assert await client.codes("B1", f"{{ fans{arguments} {{ nodes {{ id }} }} }}") == ["BAD_USER_INPUT"], arguments


async def test_a_cursor_of_another_list_is_refused(client: Client) -> None:
    page = await client.data("B1", LIST, first=1, order="SPEND_DESC")

    cursor = page["fans"]["pageInfo"]["endCursor"]

    assert await client.codes("B1", LIST, first=1, after=cursor) == ["BAD_USER_INPUT"]
    assert await client.codes("B1", LIST, first=1, after="nonsense") == ["BAD_USER_INPUT"]


async def test_a_range_beyond_what_a_column_holds_is_a_range_like_any_other(client: Client) -> None:
    far = 2**62
    everybody = await client.data("B1", LIST, first=10, filter={"orderCount": {"gte": -far, "lte": far}})
    nobody = await client.data("B1", LIST, first=10, filter={"orderCount": {"gte": far}})

    assert everybody["fans"]["totalCount"] == 8
    assert nobody["fans"]["totalCount"] == 0


async def test_a_switch_in_the_fragment_of_another_operation_is_none_of_this_one(client: Client) -> None:
    document = """query A($v: FanFilterInput) { fans(first: 1, filter: $v) { totalCount } }
      query B($v: Boolean!) { viewer { ...F } }
      fragment F on Viewer { principal @include(if: $v) }"""
    body = {"query": document, "operationName": "A", "variables": {"v": {"city": "nowhere"}}}

    answer = (await client.post("B1", body)).json()

    assert answer["data"] == {"fans": {"totalCount": 0}}
