"""setFanAttributes, setMyAttributes: values of a brand's own attributes, typed, by who may, all or nothing."""

from typing import Any

import pytest

from tests.cast import codes, snapshot
from tests.world import Client

FAN = "g1/b1/d1#1"
CREATE = """mutation($i: CreateAttributeInput!) { createAttribute(input: $i) { userErrors { code field }
  attribute { id key name type choices fanVisible fanWritable archivedAt brand { code } } } }"""
UPDATE = """mutation($i: UpdateAttributeInput!) { updateAttribute(input: $i) { userErrors { code field }
  attribute { name choices fanVisible fanWritable archivedAt } } }"""
SET = """mutation($i: SetFanAttributesInput!) { setFanAttributes(input: $i) { userErrors { code field message }
  fans { id attributes { key type text number flag day choices } } } }"""
MINE = """mutation($i: SetMyAttributesInput!) { setMyAttributes(input: $i) { userErrors { code field }
  me { attributes { key offered writable text number choices } } } }"""
SEARCH = """query($f: FanFilterInput) { fans(first: 50, filter: $f) { totalCount nodes { id } } }"""


async def define(client: Client, key: str, kind: str, **given: Any) -> str:
    """Make an attribute of brand b1 and return its id."""
    wanted = {"brandId": client.world.id("Brand", "g1/b1"), "key": key, "name": key, "type": kind, **given}
    answer = (await client.data("B1", CREATE, i=wanted))["createAttribute"]
    assert answer["userErrors"] == []
    return str(answer["attribute"]["id"])


async def put(client: Client, who: str, fans: list[str], *values: dict[str, Any]) -> dict[str, Any]:
    """Return what setFanAttributes answers."""
    ids = [client.world.id("Fan", name) for name in fans]
    found: dict[str, Any] = (await client.data(who, SET, i={"fanIds": ids, "values": list(values)}))["setFanAttributes"]
    return found


async def test_every_type_shows_the_value_that_was_set_and_is_found_by_it(client: Client) -> None:
    kinds: dict[str, tuple[str, Any, Any, Any, Any]] = {
        "job": ("TEXT", {}, {"text": "老师"}, {"anyOf": ["老师", "x"]}, {"anyOf": ["师"]}),
        "height": ("NUMBER", {}, {"number": "180.5"}, {"number": {"gte": "180.5"}}, {"number": {"lte": "180.4999"}}),
        "vip": ("FLAG", {}, {"flag": True}, {"flag": True}, {"flag": False}),
        "since": ("DAY", {}, {"day": "2020-02-29"}, {"day": {"lte": "2020-02-29"}}, {"day": {"gte": "2020-03-01"}}),
        "size": ("CHOICE", {"choices": ["S", "M"]}, {"text": "M"}, {"anyOf": ["M"]}, {"anyOf": ["S"]}),
        "likes": (
            "CHOICES",
            {"choices": ["茶", "酒", "咖啡"]},
            {"choices": ["酒", "茶"]},
            {"anyOf": ["茶"]},
            {"known": False},
        ),
    }
    ids = {key: await define(client, key, kind, **given) for key, (kind, given, *_) in kinds.items()}
    nobody = (await client.data("B1", SEARCH, f={"attributes": [{"attributeId": ids["vip"], "known": True}]}))["fans"]
    values = [{"attributeId": ids[key], **value} for key, (_, _, value, _, _) in kinds.items()]

    answer = await put(client, "D1", ["g1/b1/d1#1", "g1/b1/d1#2"], *values)

    assert answer["userErrors"] == []
    shown = [value for value in answer["fans"][0]["attributes"] if value["key"] != "shoe"]
    empty = dict.fromkeys(("text", "number", "flag", "day", "choices"))
    wanted = {key: {**empty, "key": key, "type": kind, **value} for key, (kind, _, value, _, _) in kinds.items()}
    wanted["likes"]["choices"] = ["茶", "酒"]
    assert shown == list(wanted.values())
    assert nobody["totalCount"] == 0
    for key, (_, _, _, hit, miss) in kinds.items():
        found = (await client.data("B1", SEARCH, f={"attributes": [{"attributeId": ids[key], **hit}]}))["fans"]
        missed = (await client.data("B1", SEARCH, f={"attributes": [{"attributeId": ids[key], **miss}]}))["fans"]
        assert {fan["id"] for fan in found["nodes"]} == {client.world.id("Fan", f"g1/b1/d1#{n}") for n in (1, 2)}, key
        assert missed["totalCount"] == (6 if miss == {"known": False} else 0), key


async def test_a_value_of_another_type_is_refused_by_its_field_and_nothing_is_written(client: Client) -> None:
    text, number = await define(client, "job", "TEXT"), await define(client, "height", "NUMBER")
    pick = await define(client, "size", "CHOICES", choices=["S", "M"])
    good = {"attributeId": text, "text": "x"}
    before = await snapshot(client.world)

    for bad, field in (
        ({"attributeId": number, "text": "x"}, "text"),
        ({"attributeId": number, "number": "1.00001"}, "number"),
        ({"attributeId": number, "number": "1E+15"}, "number"),
        ({"attributeId": pick, "choices": ["L"]}, "choices"),
        ({"attributeId": pick, "choices": ["S", "S"]}, "choices"),
    ):
        answer = await put(client, "B1", [FAN], good, bad)
        assert [(e["code"], e["field"]) for e in answer["userErrors"]] == [
            ("BAD_USER_INPUT", ["input", "values", "1", field])
        ], bad
        assert answer["fans"] is None

    assert await snapshot(client.world) == before


async def test_who_may_not_set_what_is_not_theirs(client: Client) -> None:
    job = await define(client, "job", "TEXT")
    before = await snapshot(client.world)
    value = {"attributeId": job, "text": "x"}

    other = await put(client, "D1", ["g1/b1/d1#1", "g1/b1/d11#1"], value)
    brand = await put(client, "HQ1", ["g1/b2/d1#1"], value)
    stranger = await put(client, "B2", ["g1/b2/d1#1"], value)
    analyst = await client.codes("ANALYST", SET, i={"fanIds": [client.world.id("Fan", FAN)], "values": [value]})

    assert [(e["code"], e["field"]) for e in other["userErrors"]] == [("NOT_FOUND", ["input", "fanIds", "1"])]
    assert [e["code"] for e in brand["userErrors"]] == ["ATTRIBUTE_OF_ANOTHER_BRAND"]
    assert [e["code"] for e in stranger["userErrors"]] == ["NOT_FOUND"]
    assert analyst == ["FORBIDDEN"]
    assert await snapshot(client.world) == before


async def test_what_does_not_differ_is_not_written_again(client: Client) -> None:
    value = {"attributeId": await define(client, "job", "TEXT"), "text": "老师"}
    await put(client, "B1", [FAN], value)
    before = await snapshot(client.world)

    again = await put(client, "B1", [FAN], value)

    assert again["userErrors"] == []
    assert await snapshot(client.world) == before
    taken = await put(client, "B1", [FAN], {"attributeId": value["attributeId"]})
    assert [shown["key"] for shown in taken["fans"][0]["attributes"]] == ["shoe"]


async def test_a_fan_sees_what_the_brand_shows_and_sets_what_it_may(client: Client) -> None:
    like = await define(client, "likes", "CHOICES", choices=["茶", "酒"], fanWritable=True)
    note = await define(client, "note", "TEXT")
    await put(client, "B1", [FAN], {"attributeId": note, "text": "内部"})

    mine = (await client.data(FAN, MINE, i={"values": [{"attributeId": like, "choices": ["茶"]}]}))["setMyAttributes"]
    shoe = {"attributeId": client.world.id("Attribute", "g1/b1"), "number": "1"}
    refused = [
        (await client.data(FAN, MINE, i={"values": [value]}))["setMyAttributes"]["userErrors"]
        for value in (shoe, {"attributeId": note, "text": "x"})
    ]

    shown = {"key": "shoe", "offered": [], "writable": False, "text": None, "number": "36", "choices": None}
    liked = {"key": "likes", "offered": ["茶", "酒"], "writable": True, "text": None, "number": None, "choices": ["茶"]}
    assert mine["me"]["attributes"] == [shown, liked]
    assert [[(e["code"], e["field"]) for e in errors] for errors in refused] == [
        [("NOT_FOUND", ["input", "values", "0", "attributeId"])]
    ] * 2


async def test_an_attribute_is_defined_by_who_holds_the_brand(client: Client) -> None:
    made = await define(client, "likes", "CHOICE", choices=["a"])
    brand = client.world.id("Brand", "g1/b1")
    new = {"brandId": brand, "key": "likes", "name": "x", "type": "TEXT"}

    taken = (await client.data("HQ1", CREATE, i=new))["createAttribute"]["userErrors"]
    bad = (await client.data("B1", CREATE, i={**new, "key": "Likes"}))["createAttribute"]["userErrors"]
    idle = (await client.data("B1", CREATE, i={**new, "key": "k", "choices": ["a"]}))["createAttribute"]["userErrors"]
    foreign = (await client.data("B2", CREATE, i={**new, "key": "k"}))["createAttribute"]["userErrors"]

    assert taken == [{"code": "ATTRIBUTE_KEY_TAKEN", "field": ["input", "key"]}]
    assert bad == [{"code": "BAD_USER_INPUT", "field": ["input", "key"]}]
    assert idle == [{"code": "BAD_USER_INPUT", "field": ["input", "choices"]}]
    assert foreign == [{"code": "NOT_FOUND", "field": ["input", "brandId"]}]
    assert await client.codes("D1", CREATE, i=new) == ["FORBIDDEN"]
    change = {"attributeId": made, "name": "喜好", "addChoices": ["b"], "fanWritable": True}
    changed = (await client.data("B1", UPDATE, i=change))["updateAttribute"]["attribute"]
    assert changed == {
        "name": "喜好",
        "choices": ["a", "b"],
        "fanVisible": True,
        "fanWritable": True,
        "archivedAt": None,
    }


async def test_what_is_put_away_is_kept_and_neither_shown_nor_set(client: Client) -> None:
    job = await define(client, "job", "TEXT")
    await put(client, "B1", [FAN], {"attributeId": job, "text": "x"})
    query = "query($id: ID!) { fan(id: $id) { attributes { key } } }"

    await client.data("B1", UPDATE, i={"attributeId": job, "archived": True})
    hidden = await client.data("B1", query, id=client.world.id("Fan", FAN))
    refused = await put(client, "B1", [FAN], {"attributeId": job, "text": "y"})
    await client.data("B1", UPDATE, i={"attributeId": job, "archived": False})
    shown = await client.data("B1", query, id=client.world.id("Fan", FAN))

    assert [value["key"] for value in hidden["fan"]["attributes"]] == ["shoe"]
    assert [error["code"] for error in refused["userErrors"]] == ["NOT_FOUND"]
    assert [value["key"] for value in shown["fan"]["attributes"]] == ["shoe", "job"]


@pytest.mark.parametrize("given", [{}, {"known": True, "flag": True}, {"flag": True}, {"anyOf": []}])
async def test_a_filter_that_is_none_of_the_attribute_names_the_field(client: Client, given: dict[str, Any]) -> None:
    job = await define(client, "job", "TEXT")

    answer = await client.ask("B1", SEARCH, f={"attributes": [{"attributeId": job, **given}]})
    foreign = await client.ask("B2", SEARCH, f={"attributes": [{"attributeId": job, "known": True}]})

    assert codes(answer) == codes(foreign) == ["BAD_USER_INPUT"]
    assert answer["errors"][0]["extensions"]["field"][:2] == ["filter", "attributes"]
