"""timeline and myTimeline: what happened to one fan, for who may see them, and for the fan but what is internal."""

from tests.api.test_points import adjust
from tests.cast import codes
from tests.world import Client

FAN = "g1/b1/d1#1"
TIMELINE = """query($fan: ID!, $kinds: [TimelineKind!]) { timeline(fanId: $fan, first: 50, kinds: $kinds) {
  nodes { kind at name number amount { amount currency } tagName tagId orderId } pageInfo { hasNextPage } } }"""
MINE = "{ myTimeline(first: 50) { nodes { kind name number amount { amount } } totalCount } }"


async def test_orders_and_tags_stand_in_one_list_newest_first(client: Client) -> None:
    world = client.world

    found = await client.data("B1", TIMELINE, fan=world.id("Fan", FAN))

    order, tag = found["timeline"]["nodes"]
    assert (order["kind"], order["at"], order["name"], order["number"]) == (
        "ORDER",
        "2026-01-02T00:00:00Z",
        "PAID",
        FAN,
    )
    assert order["amount"] == {"amount": "10.00", "currency": "CNY"}
    assert (tag["kind"], tag["name"], tag["tagName"]) == ("TAG", "ADDED", "tag of g1/b1")
    assert tag["tagId"] == world.id("Tag", "g1/b1")
    assert tag["orderId"] is None
    assert found["timeline"]["pageInfo"] == {"hasNextPage": False}


async def test_a_page_is_three_statements_with_who_asks(client: Client) -> None:
    await client.data("B1", TIMELINE, fan=client.world.id("Fan", FAN))
    client.statements.clear()

    await client.data("B1", TIMELINE, fan=client.world.id("Fan", FAN))

    assert len(client.statements) <= 3, client.statements


async def test_putting_a_tag_on_and_off_is_on_the_timeline_and_putting_it_on_again_is_not(client: Client) -> None:
    fan, tag = client.world.id("Fan", FAN), client.world.id("Tag", "g1/b1")
    for name in ("removeFanTags", "addFanTags", "addFanTags"):
        kind = f"{name[0].upper()}{name[1:]}Input"
        document = f"mutation($i: {kind}!) {{ {name}(input: $i) {{ userErrors {{ code }} }} }}"
        await client.data("B1", document, i={"fanIds": [fan], "tagIds": [tag]})

    found = await client.data("B1", TIMELINE, fan=fan, kinds=["TAG"])

    assert [entry["name"] for entry in found["timeline"]["nodes"]] == ["ADDED", "REMOVED", "ADDED"]


async def test_who_may_not_see_the_fan_sees_no_timeline(client: Client) -> None:
    fan = client.world.id("Fan", FAN)

    for who in ("B2", "D11", "G2"):
        assert await client.codes(who, TIMELINE, fan=fan) == ["NOT_FOUND"], who
    assert codes(await client.ask("B1", TIMELINE, fan=fan, kinds=[])) == ["BAD_USER_INPUT"]


async def test_a_fan_sees_their_own_but_not_how_the_brand_files_them(client: Client) -> None:
    mine = (await client.data(FAN, MINE))["myTimeline"]

    assert [(entry["kind"], entry["number"]) for entry in mine["nodes"]] == [("ORDER", FAN)]
    assert mine["totalCount"] == 1


POINTS = """query($fan: ID!) { timeline(fanId: $fan, first: 50, kinds: [POINTS]) {
  nodes { kind name points growth balance reason } totalCount } }"""


async def test_what_moved_points_is_on_the_timeline_of_who_may_read_points(client: Client) -> None:
    fan = client.world.id("Fan", FAN)
    await adjust(client, FAN, points=100, growth=5)
    await adjust(client, FAN, key="l", points=-30, reason="mistake")

    found = (await client.data("B1", POINTS, fan=fan))["timeline"]

    spent = {"kind": "POINTS", "name": "ADJUST", "points": -30, "growth": 0, "balance": 70, "reason": "mistake"}
    assert found["nodes"][0] == spent
    assert found["totalCount"] == len(found["nodes"]) == 2
    mine = await client.data(FAN, "{ myTimeline(first: 9, kinds: [POINTS]) { nodes { name points balance } } }")
    assert mine["myTimeline"]["nodes"][0] == {"name": "ADJUST", "points": -30, "balance": 70}


IDENTITIES = """query($fan: ID!) { timeline(fanId: $fan, first: 50, kinds: [IDENTITY]) { nodes { name detail } } }"""
TRACK = """mutation($i: TrackEventsInput!) { trackEvents(input: $i) { results { outcome } } }"""


async def test_an_identity_that_came_to_a_fan_is_on_the_timeline_of_the_brand_that_was_told(client: Client) -> None:
    fan, known = client.world.id("Fan", FAN), {"kind": "EXTERNAL_ID", "value": FAN, "issuer": "test"}
    new = {"kind": "OPENID", "value": "o-77", "issuer": "wx"}
    for identities in ([known, new], [known, new], [{**new, "value": "o-78"}]):
        events = [{"name": "sign_in", "identities": identities}]
        await client.data("SERVICE", TRACK, i={"brandId": client.world.id("Brand", "g1/b1"), "events": events})

    found = (await client.data("B1", IDENTITIES, fan=fan))["timeline"]["nodes"]

    assert found == [{"name": "ADDED", "detail": {"identity": "OPENID"}}]
