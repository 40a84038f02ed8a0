"""node and nodes, and what is left of an answer when the graph does not answer."""

import time

from schema.ids import encode
from tests.cast import codes
from tests.world import Client


async def test_every_kind_of_object_is_found_by_its_id(client: Client) -> None:
    world = client.world
    orders = await client.data(
        "HQ1", "{ orders(first: 1) { nodes { id } } channelAccounts(first: 1) { nodes { id } } }"
    )
    ids = [
        world.id("Group", "g1"),
        world.id("Brand", "g1/b1"),
        world.id("Dealer", "g1/b1/d1"),
        world.id("Store", "g1/b1/d1/s1"),
        world.id("Fan", "g1/b1/d1#1"),
        world.id("Tag", "g1/b1"),
        world.id("Cascade", "g1/b1/d1"),
        orders["orders"]["nodes"][0]["id"],
        orders["channelAccounts"]["nodes"][0]["id"],
    ]
    query = """query($ids: [ID!]!) { nodes(ids: $ids) { __typename id
      ... on Brand { code } ... on Fan { nickname phone tags { name } } ... on Order { fan { id } lines { title } }
      ... on Dealer { brand { code } } ... on Tag { name } ... on Cascade { size seed { id } } } }"""

    found = (await client.data("HQ1", query, ids=ids))["nodes"]

    assert [row["id"] for row in found] == ids
    kinds = ["Group", "Brand", "Dealer", "Store", "Fan", "Tag", "Cascade", "Order", "ChannelAccount"]
    assert [row["__typename"] for row in found] == kinds
    assert found[1]["code"] == "b1"
    assert found[4]["nickname"] == "粉丝 g1/b1/d1#1"
    assert len(found[4]["tags"]) == 2
    assert found[6]["seed"] == {"id": world.id("Fan", "g1/b1/d1#1")}
    assert found[7]["lines"] == [{"title": "茶"}]


async def test_nodes_take_one_to_a_hundred_ids(client: Client) -> None:
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    fan = client.world.id("Fan", "g1/b1/d1#1")

    assert await client.codes("B1", query, ids=[]) == ["BAD_USER_INPUT"]
    assert await client.codes("B1", query, ids=[fan] * 101) == ["BAD_USER_INPUT"]
    assert (await client.data("B1", query, ids=[fan] * 100))["nodes"] == [{"id": fan}] * 100


async def test_many_ids_of_one_kind_take_one_statement_and_one_more_where_some_are_not_found(client: Client) -> None:
    ids = [encode("Fan", number) for number in client.world.fans.values()]
    await client.data("B1", "{ viewer { principal } }")
    client.statements.clear()

    await client.data("B1", "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)

    # who is calling, the fans, and whether those who are not found were merged away
    assert len(client.statements) == 3, client.statements


async def test_without_the_graph_the_rest_of_the_answer_is_whole_and_quick(client: Client) -> None:
    """The graph of world W refuses connections."""
    query = """query($fan: ID!) {
      cascades(first: 9) { nodes { code size seed { id } shape { depth } path(fanId: $fan) { position } } }
      fans(first: 9) { nodes { nickname spend { amount } downline { fanCount } } } }"""
    begun = time.perf_counter()

    answer = await client.ask("B1", query, fan=client.world.id("Fan", "g1/b1/d1#1"))

    assert time.perf_counter() - begun < 1.5
    assert set(codes(answer)) == {"UNAVAILABLE"}
    assert {error["path"][-1] for error in answer["errors"]} == {"shape", "path", "downline"}
    cascades, fans = answer["data"]["cascades"]["nodes"], answer["data"]["fans"]["nodes"]
    assert [(row["size"], row["shape"], row["path"]) for row in cascades] == [(4, None, None)] * 2
    assert all(row["seed"] for row in cascades)
    assert len(fans) == 8
    assert all(row["nickname"] and row["spend"]["amount"] and row["downline"] is None for row in fans)


async def test_a_fan_without_the_graph_still_sees_themselves(client: Client) -> None:
    answer = await client.ask("g1/b1/d1#1", "{ me { nickname downline { fanCount } } }")

    assert codes(answer) == ["UNAVAILABLE"]
    assert answer["data"]["me"] == {"nickname": "粉丝 g1/b1/d1#1", "downline": None}


async def test_what_a_row_calls_its_kind_is_not_the_type_it_is_shown_as(client: Client) -> None:
    accounts = "{ channelAccounts(first: 1) { nodes { id kind } } tags(first: 1) { nodes { id kind } } }"
    listed = await client.data("HQ1", accounts)
    (account,), (tag,) = listed["channelAccounts"]["nodes"], listed["tags"]["nodes"]
    query = """query($ids: [ID!]!) { nodes(ids: $ids) {
      ... on ChannelAccount { id kind } ... on Tag { id tagKind: kind } } }"""

    found = (await client.data("HQ1", query, ids=[account["id"], tag["id"]]))["nodes"]

    assert found == [account, {"id": tag["id"], "tagKind": tag["kind"]}]
