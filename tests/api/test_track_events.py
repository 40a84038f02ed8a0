"""`trackEvents` and `trackMyEvents`: what each event became, and who may send."""

from typing import Any

import pytest

from schema.ids import encode
from tests.cast import codes, snapshot
from tests.world import Client

TRACK = """mutation($i: TrackEventsInput!) { trackEvents(input: $i) { userErrors { code field message }
  results { index outcome clamped violations { field message } userErrors { code field }
    event { id name occurredAt clamped content properties fan { id nickname } account { appId }
      violations { field } } } } }"""
MINE = """mutation($i: TrackMyEventsInput!) { trackMyEvents(input: $i) { userErrors { code field }
  results { index outcome userErrors { code field } } } }"""
WHO = [{"kind": "EXTERNAL_ID", "value": "g1/b1/d1#1", "issuer": "test"}]
MOMENT = "2026-02-01T08:00:00Z"


def event(name: str = "h5_view", **more: Any) -> dict[str, Any]:
    return {"name": name, "identities": WHO, "occurredAt": MOMENT, **more}


async def track(client: Client, *rows: dict[str, Any], who: str = "SERVICE", **more: Any) -> dict[str, Any]:
    given = {"brandId": client.world.id("Brand", "g1/b1"), "events": list(rows), **more}
    answer: dict[str, Any] = (await client.data(who, TRACK, i=given))["trackEvents"]
    return answer


async def test_an_event_comes_back_as_it_is_stored(client: Client) -> None:
    accounts = await client.data("B1", "{ channelAccounts(first: 1) { nodes { id } } }")
    account = accounts["channelAccounts"]["nodes"][0]["id"]

    answer = await track(client, event(content="c", accountId=account, properties={"页": 1}), event("no_such"))

    assert answer["userErrors"] == []
    stored, refused = answer["results"]
    found = stored.pop("event")
    assert stored == {"index": 0, "outcome": "STORED", "clamped": False, "violations": [], "userErrors": []}
    assert (refused["outcome"], refused["event"]) == ("REJECTED", None)
    assert refused["userErrors"] == [{"code": "EVENT_NOT_DEFINED", "field": ["input", "events", "1", "name"]}]
    assert found.pop("id").startswith("RmFuRXZlbnQ6")
    assert found == {
        "name": "h5_view",
        "occurredAt": MOMENT,
        "clamped": False,
        "content": "c",
        "properties": {"页": 1},
        "fan": {"id": client.world.id("Fan", "g1/b1/d1#1"), "nickname": "粉丝 g1/b1/d1#1"},
        "account": {"appId": "wx1"},
        "violations": [],
    }


async def test_what_is_sent_again_counts_once(client: Client) -> None:
    rows = [event(eventId=f"e{n}") for n in range(3)]
    await track(client, *rows)

    again = await track(client, *rows)
    fan = await client.data(
        "B1",
        'query($id: ID!) { fan(id: $id) { eventCount(name: "h5_view", withinDays: 3660) } }',
        id=client.world.id("Fan", "g1/b1/d1#1"),
    )

    assert [row["outcome"] for row in again["results"]] == ["DUPLICATE"] * 3
    assert fan["fan"]["eventCount"] == 3


async def test_a_brand_that_is_foreign_is_refused_like_one_that_is_not(client: Client) -> None:
    before = await snapshot(client.world)
    brands = [client.world.id("Brand", name) for name in ("g1/b2", "g1/b10", "g2/b1")]

    for brand in (*brands, encode("Brand", 2**40), encode("Fan", 1)):
        answer = await track(client, event(), brandId=brand)
        assert [(e["code"], e["field"]) for e in answer["userErrors"]] == [("NOT_FOUND", ["input", "brandId"])]

    assert await snapshot(client.world) == before


@pytest.mark.parametrize("count", [0, 251])
async def test_a_batch_has_1_to_250_events(client: Client, count: int) -> None:
    given = {"brandId": client.world.id("Brand", "g1/b1"), "events": [event()] * count}
    answer = await client.ask("SERVICE", TRACK, i=given)

    assert "BAD_USER_INPUT" in str(answer)


@pytest.mark.parametrize(
    "field, row",
    [
        ("name", {"name": ""}),
        ("eventId", {"eventId": "x" * 129}),
        ("content", {"content": " "}),
        ("orderReference", {"orderReference": "x" * 129}),
        ("occurredAt", {"occurredAt": "1999-12-31T00:00:00Z"}),
        ("accountId", {"accountId": encode("ChannelAccount", 2**40)}),
        ("identities", {"identities": []}),
        ("identities", {"identities": WHO * 11}),
        ("identities.0.value", {"identities": [{"kind": "PHONE", "value": "unknown"}]}),
        ("identities.0.value", {"identities": [{"kind": "OPENID", "value": "x" * 256}]}),
        ("identities.0.issuer", {"identities": [{"kind": "OPENID", "value": "x", "issuer": "x" * 129}]}),
        ("properties", {"properties": {f"p{n}": n for n in range(51)}}),
        ("properties", {"properties": {"x": "x" * 8192}}),
        ("properties", {"properties": {"a": [[[[[1]]]]]}}),
    ],
)
async def test_a_row_that_cannot_be_stored_is_refused_by_name(client: Client, field: str, row: dict[str, Any]) -> None:
    answer = await track(client, event(**row), event(eventId="fine"))

    assert [result["outcome"] for result in answer["results"]] == ["REJECTED", "STORED"]
    assert [error["field"] for error in answer["results"][0]["userErrors"]] == [
        ["input", "events", "0", *field.split(".")]
    ]


@pytest.mark.parametrize("properties", [[], "x", 1, [1]])
async def test_properties_are_an_object(client: Client, properties: Any) -> None:
    given = {"brandId": client.world.id("Brand", "g1/b1"), "events": [event(properties=properties)]}

    answer = await client.ask("SERVICE", TRACK, i=given)

    assert codes(answer) == ["BAD_USER_INPUT"] or answer["data"]["trackEvents"]["userErrors"]


async def test_a_fan_tells_what_they_did_themselves_and_nothing_a_server_says(client: Client) -> None:
    rows = [{"name": name, "eventId": name} for name in ("product_view", "order_paid", "follow")]

    answer = (await client.data("g1/b1/d1#2", MINE, i={"events": rows}))["trackMyEvents"]

    assert [row["outcome"] for row in answer["results"]] == ["STORED", "REJECTED", "REJECTED"]
    found = await client.data(
        "B1",
        "query($f: EventFilterInput!) { events(first: 9, filter: $f) { nodes { fan { id } } totalCount } }",
        f={"brandId": client.world.id("Brand", "g1/b1"), "name": "product_view"},
    )
    assert found["events"] == {"nodes": [{"fan": {"id": client.world.id("Fan", "g1/b1/d1#2")}}], "totalCount": 1}


EVENTS = """query($f: EventFilterInput!) { events(first: 50, filter: $f) { nodes { id fan { id } } totalCount } }"""


async def test_everybody_reads_the_events_of_the_fans_they_see(client: Client) -> None:
    world = client.world
    for place, sender in (("g1/b1/d1", "SERVICE"), ("g1/b1/d11", "SERVICE"), ("g1/b2/d1", "B2"), ("g2/b1/d1", "G2")):
        brand = world.id("Brand", "/".join(place.split("/")[:2]))
        rows = [
            event(identities=[{"kind": "EXTERNAL_ID", "value": f"{place}#{n}", "issuer": "test"}]) for n in (2, 3, 4)
        ]
        answer = await track(client, *rows, who=sender, brandId=brand)
        assert [row["outcome"] for row in answer["results"]] == ["STORED"] * 3

    homes = {
        "HQ1": "g1",
        "ANALYST": "g1",
        "B1": "g1/b1",
        "D1": "g1/b1/d1",
        "D11": "g1/b1/d11",
        "B2": "g1/b2",
        "G2": "g2",
    }
    every: set[str] = set()
    for who, home in homes.items():
        found = []
        for brand in ("g1/b1", "g1/b2", "g2/b1"):
            given = {"brandId": world.id("Brand", brand), "name": "h5_view"}
            page = (await client.data(who, EVENTS, f=given))["events"]
            assert page["totalCount"] == len(page["nodes"])
            found += page["nodes"]
        expected = {
            name for name in world.fans if f"{name}/".startswith((f"{home}/", f"{home}#")) and name[-1] in "234"
        }
        expected = {name for name in expected if name.startswith(("g1/b1/d1#", "g1/b1/d11#", "g1/b2/d1#", "g2/b1/d1#"))}
        assert {node["fan"]["id"] for node in found} == {world.id("Fan", name) for name in expected}, who
        every |= {node["id"] for node in found}
        seen = await client.data(who, "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=sorted(every))
        assert {node["id"] for node in seen["nodes"] if node} >= {node["id"] for node in found}
    d1 = await client.data("D1", "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=sorted(every))
    assert sum(node is not None for node in d1["nodes"]) == 3


async def test_following_is_read_back(client: Client) -> None:
    await track(
        client,
        event("follow", scene="qr1", occurredAt="2026-01-01T00:00:00Z"),
        event("unfollow", occurredAt="2026-01-02T00:00:00Z"),
        event("follow", scene="qr2", occurredAt="2026-01-03T00:00:00Z"),
    )

    data = await client.data(
        "D1",
        """query($id: ID!) { fan(id: $id) { subscribed followCount followedAt lastFollowedAt unfollowedAt sourceScene
          follows(first: 2) { kind at scene } } }""",
        id=client.world.id("Fan", "g1/b1/d1#1"),
    )

    assert data["fan"] == {
        "subscribed": True,
        "followCount": 2,
        "followedAt": "2026-01-01T00:00:00Z",
        "lastFollowedAt": "2026-01-03T00:00:00Z",
        "unfollowedAt": "2026-01-02T00:00:00Z",
        "sourceScene": "qr1",
        "follows": [
            {"kind": "FOLLOW", "at": "2026-01-03T00:00:00Z", "scene": "qr2"},
            {"kind": "UNFOLLOW", "at": "2026-01-02T00:00:00Z", "scene": None},
        ],
    }
