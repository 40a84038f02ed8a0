"""addFanTags and removeFanTags: all fans or none, and a tag put on again counts once more."""

import asyncio
from typing import Any

import pytest

from schema.ids import encode
from tests.cast import snapshot
from tests.world import Client

ADD = """mutation($i: AddFanTagsInput!) { addFanTags(input: $i) { userErrors { code field message }
  fans { id tags { name count weight source } } } }"""
REMOVE = """mutation($i: RemoveFanTagsInput!) { removeFanTags(input: $i) { userErrors { code field }
  fans { id tags { name } } removedCount } }"""


async def make_tag(client: Client, name: str, who: str = "B1", brand: str | None = "g1/b1") -> str:
    """Make a tag of the brand and return its id."""
    given: dict[str, Any] = {"name": name}
    if brand is not None:
        given["brandId"] = client.world.id("Brand", brand)
    document = "mutation($i: CreateTagInput!) { createTag(input: $i) { userErrors { code } tag { id } } }"
    tag: str = (await client.data(who, document, i=given))["createTag"]["tag"]["id"]
    return tag


async def add(client: Client, who: str, fans: list[str], tags: list[str]) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.data(who, ADD, i={"fanIds": fans, "tagIds": tags}))["addFanTags"]
    return answer


async def test_a_tag_that_is_put_on_again_counts_once_more(client: Client) -> None:
    tag, fan = await make_tag(client, "tea"), client.world.id("Fan", "g1/b1/d1#1")

    await add(client, "S1", [fan], [tag])
    answer = await add(client, "B1", [fan], [tag, client.world.id("Tag", "g1")])

    assert answer["userErrors"] == []
    carried = {row["name"]: (row["count"], row["weight"]) for row in answer["fans"][0]["tags"]}
    assert carried == {"tea": (2, 2.0), "tag of g1": (2, 2.0), "tag of g1/b1": (1, 1.0)}
    assert {row["source"] for row in answer["fans"][0]["tags"]} == {"MANUAL"}


async def test_twenty_at_once_count_twenty(client: Client) -> None:
    tag, fan = await make_tag(client, "tea"), client.world.id("Fan", "g1/b1/d1#1")

    answers = await asyncio.gather(*(add(client, "B1", [fan], [tag]) for _ in range(20)))

    assert all(answer["userErrors"] == [] for answer in answers)
    found = await client.data("B1", "query($id: ID!) { fan(id: $id) { tags(first: 1) { name count } } }", id=fan)
    assert found["fan"]["tags"] == [{"name": "tea", "count": 20}]


async def test_a_batch_puts_each_tag_on_each_fan_and_is_one_line_of_the_log(client: Client) -> None:
    tags = [await make_tag(client, name) for name in ("a", "b")]
    fans = sorted(client.world.fans_below("g1/b1"))
    before = await snapshot(client.world)

    answer = await add(client, "B1", fans, tags)

    assert [fan["id"] for fan in answer["fans"]] == fans
    assert all({"a", "b"} <= {tag["name"] for tag in fan["tags"]} for fan in answer["fans"])
    assert len((await snapshot(client.world))["audit_log"]) == len(before["audit_log"]) + 1


@pytest.mark.parametrize(
    "fans, tags, code, field",
    [
        (0, 1, "BAD_USER_INPUT", ["input", "fanIds"]),
        (1, 0, "BAD_USER_INPUT", ["input", "tagIds"]),
        (1, 21, "BAD_USER_INPUT", ["input", "tagIds"]),
    ],
)
async def test_a_batch_has_its_sizes(client: Client, fans: int, tags: int, code: str, field: list[str]) -> None:
    fan, tag = client.world.id("Fan", "g1/b1/d1#1"), client.world.id("Tag", "g1/b1")

    answer = await add(client, "B1", [fan] * fans, [tag] * tags)

    assert [(error["code"], error["field"]) for error in answer["userErrors"]] == [(code, field)]
    assert answer["fans"] is None


async def test_what_is_not_there_twice_or_no_id_is_refused_and_nothing_is_written(client: Client) -> None:
    fan, tag = client.world.id("Fan", "g1/b1/d1#1"), client.world.id("Tag", "g1/b1")
    before = await snapshot(client.world)

    for fans, tags, code in (
        ([fan, encode("Fan", 2**40)], [tag], "NOT_FOUND"),
        ([fan, encode("Order", 1)], [tag], "NOT_FOUND"),
        ([fan], [tag, fan], "NOT_FOUND"),
        ([fan, "nonsense"], [tag], "BAD_USER_INPUT"),
        ([fan, fan], [tag], "BAD_USER_INPUT"),
        ([fan], [tag, tag], "BAD_USER_INPUT"),
    ):
        answer = await add(client, "B1", fans, tags)
        assert [error["code"] for error in answer["userErrors"]] == [code]

    assert await snapshot(client.world) == before


async def test_removing_says_how_many_were_carried_and_twice_is_no_error(client: Client) -> None:
    world = client.world
    fans, tag = [world.id("Fan", f"g1/b1/d1#{n}") for n in (1, 2)], world.id("Tag", "g1/b1")

    first = await client.data("D1", REMOVE, i={"fanIds": fans, "tagIds": [tag]})
    second = await client.data("D1", REMOVE, i={"fanIds": fans, "tagIds": [tag]})

    assert first["removeFanTags"]["removedCount"] == 2
    assert [fan["tags"] for fan in first["removeFanTags"]["fans"]] == [[{"name": "tag of g1"}]] * 2
    assert second["removeFanTags"] == {**first["removeFanTags"], "removedCount": 0}


async def test_removing_reaches_no_fan_of_another_dealer(client: Client) -> None:
    world = client.world
    before = await snapshot(world)
    fans = [world.id("Fan", "g1/b1/d1#1"), world.id("Fan", "g1/b1/d11#1")]

    answer = await client.data("D1", REMOVE, i={"fanIds": fans, "tagIds": [world.id("Tag", "g1/b1")]})

    assert answer["removeFanTags"]["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", "fanIds", "1"]}]
    assert await snapshot(world) == before
