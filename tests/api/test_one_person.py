"""Six channels of a camera maker, or of a lighter maker, feed one person, whom one query then shows from all sides."""

from typing import Any

import pytest

from tests.world import Client

PHONE = {"kind": "PHONE", "value": "13912345678", "verified": True}
DEALER = {"kind": "EXTERNAL_ID", "value": "g1/b1/d1#2", "issuer": "test"}
TRACK = "mutation($i: TrackEventsInput!) { trackEvents(input: $i) { results { outcome } } }"
RECORD = "mutation($i: RecordOrdersInput!) { recordOrders(input: $i) { results { outcome } } }"
ALL_SIDES = """query($id: ID!) {
  fan(id: $id) { nickname province subscribed followCount sourceScene orderCount spend { amount currency }
    dealer { code } tags { name } lastOrders(first: 5) { number } follows { kind scene }
    eventCount(name: "sign_in", withinDays: 1) activity { days count }
    person { identities { kind issuer value } } }
  timeline(first: 50, fanId: $id, kinds: [EVENT, ORDER]) { nodes { kind name number } } }"""
DEALERS = "query($id: ID!) { fan(id: $id) { nickname } fans(first: 9) { totalCount } }"


def outside(system: str) -> dict[str, Any]:
    """Name the customer as one of the systems knows them."""
    return {"kind": "EXTERNAL_ID", "value": f"{system}-7", "issuer": system}


async def post(client: Client, name: str, *who: dict[str, Any], **more: Any) -> None:
    answer = await client.http.post(
        "/events",
        json=[{"name": name, "identities": who, "eventId": name, **more}],
        params={"brandId": client.world.id("Brand", "g1/b1")},
        headers={"authorization": f"Bearer {client.world.token('SERVICE')}"},
    )
    assert [row["outcome"] for row in answer.json()["results"]] == ["STORED"], answer.text


async def track(client: Client, name: str, *who: dict[str, Any]) -> None:
    given = {"brandId": client.world.id("Brand", "g1/b1"), "events": [{"name": name, "identities": who}]}
    answer = await client.data("SERVICE", TRACK, i=given)
    assert answer["trackEvents"]["results"] == [{"outcome": "STORED"}]


async def order(client: Client, source: str, day: int, amount: str) -> None:
    row = {"number": f"{source} 1", "fan": outside(source), "amount": amount, "placedAt": f"2026-02-0{day}T04:00:00Z"}
    given = {"brandId": client.world.id("Brand", "g1/b1"), "source": source, "idempotencyKey": source, "orders": [row]}
    answer = await client.data("SERVICE", RECORD, i=given)
    assert [one["outcome"] for one in answer["recordOrders"]["results"]] == ["CREATED"]


@pytest.mark.parametrize("member", ["Canon ID", "ZippoID"])
async def test_six_channels_feed_one_person(client: Client, member: str) -> None:
    wechat = [{"kind": "OPENID", "value": "o-7", "issuer": "wx1"}, {"kind": "UNIONID", "value": "u-7"}]
    await post(client, "follow", *wechat, scene="qr-shop")  # WeChat
    await order(client, "tmall", 1, "1999.00")  # Tmall
    await order(client, "mall", 2, "88.50")  # the brand's own mall
    await post(client, "register", outside(member), PHONE)  # the website
    await track(client, "order_paid", outside("tmall"), PHONE)
    await track(client, "order_paid", outside("mall"), PHONE)
    await post(client, "survey_submitted", wechat[1], PHONE)  # the service desk
    await track(client, "sign_in", DEALER, PHONE)  # the dealer's system
    fan = client.world.id("Fan", "g1/b1/d1#2")

    seen = await client.data("HQ1", ALL_SIDES, id=fan)

    found = seen["fan"]
    identities = found.pop("person")["identities"]
    assert found == {
        "nickname": "粉丝 g1/b1/d1#2",
        "province": "广东",
        "subscribed": True,
        "followCount": 1,
        "sourceScene": "qr-shop",
        "orderCount": 3,
        "spend": {"amount": "2107.50", "currency": "CNY"},
        "dealer": {"code": "d1"},
        "tags": [{"name": "tag of g1/b1"}, {"name": "tag of g1"}],
        "lastOrders": [{"number": "mall 1"}, {"number": "tmall 1"}, {"number": "g1/b1/d1#2"}],
        "follows": [{"kind": "FOLLOW", "scene": "qr-shop"}],
        "eventCount": 1,
        "activity": [{"days": days, "count": 6} for days in (1, 7, 30)],
    }
    assert sorted((one["kind"], one["issuer"]) for one in identities) == [
        *sorted(("EXTERNAL_ID", issuer) for issuer in (member, "mall", "test", "tmall")),
        ("OPENID", "wx1"),
        ("PHONE", ""),
        ("UNIONID", ""),
    ]
    known = {one["value"] for one in identities}
    assert known == {f"{member}-7", "mall-7", "tmall-7", "g1/b1/d1#2", "o-7", "u-7", "13912345678"}
    masked = await client.data("ANALYST", "query($id: ID!) { fan(id: $id) { phone } }", id=fan)
    assert masked["fan"] == {"phone": f"138****{sum(b'g1/b1/d1#2'):04d}"}
    names = ["sign_in", "survey_submitted", "order_paid", "order_paid", "register", "follow"]
    rows = seen["timeline"]["nodes"]
    assert [row["name"] for row in rows if row["kind"] == "EVENT"] == names
    assert [row["number"] for row in rows if row["kind"] == "ORDER"] == ["mall 1", "tmall 1", "g1/b1/d1#2"]
    mine = {who: await client.data(who, DEALERS, id=fan) for who in ("B1", "D1")}
    theirs = {"nickname": "粉丝 g1/b1/d1#2"}
    assert mine == {
        "B1": {"fan": theirs, "fans": {"totalCount": 8}},
        "D1": {"fan": theirs, "fans": {"totalCount": 4}},
    }
    assert await client.codes("D11", DEALERS, id=fan) == ["NOT_FOUND"]
