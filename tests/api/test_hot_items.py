"""hotItems: what is busy, who may ask, and what it costs."""

from typing import Any

from sqlalchemy import select

from domain.tables import table_of
from domain.tenancy.models import ChannelAccount
from schema.ids import encode
from tests.cast import EVERYTHING
from tests.world import Client

TRACK = "mutation($i: TrackEventsInput!) { trackEvents(input: $i) { userErrors { code } results { outcome } } }"
HOT = """query($b: ID!, $by: HotKind!, $m: Int! = 60, $n: Int! = 20) {
  hotItems(brandId: $b, by: $by, minutes: $m, first: $n) { item count points { at count } account { id appId } } }"""


async def account_of(client: Client) -> str:
    async with client.world.services.database.reading(EVERYTHING) as session:
        found = await session.execute(select(table_of(ChannelAccount).c.id))
        return encode("ChannelAccount", found.scalar_one())


async def track(client: Client, *rows: dict[str, Any]) -> None:
    who = [{"kind": "EXTERNAL_ID", "value": "g1/b1/d1#1", "issuer": "test"}]
    events = [{"name": "h5_view", "identities": who, "eventId": str(n), **row} for n, row in enumerate(rows)]
    answer = await client.data("B1", TRACK, i={"brandId": client.world.id("Brand", "g1/b1"), "events": events})
    assert [result["outcome"] for result in answer["trackEvents"]["results"]] == ["STORED"] * len(rows)


async def test_what_is_busy_is_told_by_code_and_a_channel_by_its_id(client: Client) -> None:
    account, brand = await account_of(client), client.world.id("Brand", "g1/b1")
    await track(client, *[{"campaign": "spring", "accountId": account}] * 2, {"campaign": "autumn", "content": "a"})

    campaigns = (await client.data("B1", HOT, b=brand, by="CAMPAIGN"))["hotItems"]
    contents = (await client.data("ANALYST", HOT, b=brand, by="CONTENT"))["hotItems"]
    (channel,) = (await client.data("SERVICE", HOT, b=brand, by="CHANNEL"))["hotItems"]

    assert [(row["item"], row["count"], row["account"]) for row in campaigns] == [
        ("spring", 2, None),
        ("autumn", 1, None),
    ]
    assert [(row["item"], row["count"]) for row in contents] == [("a", 1)]
    assert channel["item"] == account
    assert channel["account"] == {"id": account, "appId": "wx1"}
    assert sum(point["count"] for point in channel["points"]) == channel["count"] == 2


async def test_who_does_not_hold_the_whole_brand_does_not_find_it(client: Client) -> None:
    world = client.world
    await track(client, {"campaign": "spring"})

    for who, brand in (("D1", "g1/b1"), ("S1", "g1/b1"), ("B2", "g1/b1"), ("G2", "g1/b1"), ("B1", "g1/b2")):
        foreign = await client.ask(who, HOT, b=world.id("Brand", brand), by="CAMPAIGN")
        unused = await client.ask(who, HOT, b=encode("Brand", 2**40), by="CAMPAIGN")
        assert foreign["errors"][0]["extensions"]["code"] == "NOT_FOUND", who
        assert (foreign["data"], foreign["errors"]) == (unused["data"], unused["errors"])


async def test_a_bad_window_is_named(client: Client) -> None:
    brand = client.world.id("Brand", "g1/b1")

    for given in ({"m": 0}, {"m": 1441}, {"n": 0}, {"n": 101}):
        assert await client.codes("B1", HOT, b=brand, by="CAMPAIGN", **given) == ["BAD_USER_INPUT"], given


async def test_many_items_cost_as_many_statements_as_one(client: Client) -> None:
    brand = client.world.id("Brand", "g1/b1")
    counts = []
    for start, end in ((0, 1), (1, 20)):
        await track(client, *({"campaign": f"c{n}", "eventId": f"e{n}"} for n in range(start, end)))
        client.statements.clear()
        found = await client.data("B1", HOT, b=brand, by="CAMPAIGN", n=20)
        assert len(found["hotItems"]) == end
        counts.append(len(client.statements))

    assert counts[0] == counts[1]
