"""`defineEvent` and `removeEventDefinition`: what a brand's events carry."""

from typing import Any

import pytest

from tests.api.test_track_events import event, track
from tests.cast import snapshot
from tests.world import Client

DEFINE = """mutation($i: DefineEventInput!) { defineEvent(input: $i) { userErrors { code field }
  definition { id name mode fromFans version properties { name type required choices } brand { code } } } }"""
REMOVE = """mutation($i: RemoveEventDefinitionInput!) { removeEventDefinition(input: $i) {
  userErrors { code field } removedId } }"""
SKU = {"name": "sku", "type": "STRING", "required": True, "choices": ["a"]}


async def define(client: Client, who: str = "B1", **more: Any) -> dict[str, Any]:
    given = {"brandId": client.world.id("Brand", "g1/b1"), "name": "product_tested", "properties": [SKU], **more}
    answer: dict[str, Any] = (await client.data(who, DEFINE, i=given))["defineEvent"]
    return answer


async def test_a_definition_holds_from_the_next_event_on_and_is_replaced(client: Client) -> None:
    assert (await track(client, event("product_tested")))["results"][0]["outcome"] == "REJECTED"

    first = await define(client, mode="STRICT")
    strict = await track(client, event("product_tested"), event("product_tested", properties={"sku": "a"}))
    second = await define(client, properties=[])
    lenient = await track(client, event("product_tested", properties={"sku": 1}))

    assert first["definition"] | {"id": ""} == {
        "id": "",
        "name": "product_tested",
        "mode": "STRICT",
        "fromFans": False,
        "version": 1,
        "properties": [SKU],
        "brand": {"code": "b1"},
    }
    assert [row["outcome"] for row in strict["results"]] == ["REJECTED", "STORED"]
    assert strict["results"][0]["userErrors"][0]["field"] == ["input", "events", "0", "properties", "sku"]
    assert (second["definition"]["id"], second["definition"]["version"]) == (first["definition"]["id"], 2)
    assert lenient["results"][0]["violations"] == [{"field": "properties.sku", "message": "is not defined"}]
    listed = await client.data("D1", "{ eventDefinitions(first: 5) { nodes { name properties { name } } } }")
    assert listed["eventDefinitions"]["nodes"] == [{"name": "product_tested", "properties": []}]


async def test_a_removed_definition_is_gone_and_another_brands_is_not_there(client: Client) -> None:
    made = (await define(client))["definition"]["id"]
    before = await snapshot(client.world)

    for who in ("B2", "G2"):
        refused = (await client.data(who, REMOVE, i={"definitionId": made}))["removeEventDefinition"]
        assert refused == {"userErrors": [{"code": "NOT_FOUND", "field": ["input", "definitionId"]}], "removedId": None}
    assert await snapshot(client.world) == before
    removed = (await client.data("B1", REMOVE, i={"definitionId": made}))["removeEventDefinition"]

    assert removed == {"userErrors": [], "removedId": made}
    assert (await track(client, event("product_tested")))["results"][0]["outcome"] == "REJECTED"


@pytest.mark.parametrize(
    "field, more",
    [
        ("name", {"name": "Nope"}),
        ("name", {"name": "x" * 65}),
        ("description", {"description": "x" * 501}),
        ("fromFans", {"name": "order_paid", "fromFans": True}),
        ("properties", {"properties": [{"name": f"p{n}", "type": "STRING"} for n in range(51)]}),
        ("properties.1.name", {"properties": [SKU, SKU]}),
        ("properties.0.name", {"properties": [{"name": " ", "type": "STRING"}]}),
        ("properties.0.choices", {"properties": [{"name": "x", "type": "NUMBER", "choices": ["1"]}]}),
        ("properties.0.choices", {"properties": [{"name": "x", "type": "STRING", "choices": [""]}]}),
        ("brandId", {"brandId": "QnJhbmQ6OTk5OTk5OTk"}),
    ],
)
async def test_a_definition_that_is_none_is_refused_by_name(client: Client, field: str, more: dict[str, Any]) -> None:
    before = await snapshot(client.world)

    answer = await define(client, **more)

    assert [error["field"] for error in answer["userErrors"]] == [["input", *field.split(".")]]
    assert await snapshot(client.world) == before
