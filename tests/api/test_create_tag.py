"""createTag: of a brand or of the whole group, by who may write tags in all of it, under a name of its own."""

import asyncio
from typing import Any

import pytest

from schema.ids import encode
from tests.cast import codes, snapshot
from tests.world import Client

CREATE = """mutation($i: CreateTagInput!) { createTag(input: $i) { userErrors { code field message }
  tag { id name kind category color description brand { code } } } }"""


async def create(client: Client, who: str, brand: str | None = "g1/b1", **given: Any) -> dict[str, Any]:
    if brand is not None:
        given["brandId"] = client.world.id("Brand", brand)
    return await client.ask(who, CREATE, i={"name": "tea", **given})


async def test_a_tag_has_what_it_was_given(client: Client) -> None:
    answer = await create(client, "B1", name="  茶  ", kind="STRATEGY", category="饮", color="#0a0", description="x")

    tag = answer["data"]["createTag"]["tag"]
    assert tag.pop("id")
    assert tag == {
        "name": "茶",
        "kind": "STRATEGY",
        "category": "饮",
        "color": "#0a0",
        "description": "x",
        "brand": {"code": "b1"},
    }
    of_group = await create(client, "HQ1", brand=None)
    assert of_group["data"]["createTag"]["tag"]["brand"] is None


async def test_a_tag_belongs_to_a_node_that_its_maker_holds_whole(client: Client) -> None:
    before = await snapshot(client.world)

    for who, brand in (("B1", None), ("SERVICE", None), ("D1", "g1/b1"), ("S1", "g1/b1")):
        assert codes(await create(client, who, brand)) == ["FORBIDDEN"]
    for who, brand in (("B1", "g1/b2"), ("D1", "g1/b2"), ("HQ1", "g2/b1")):
        answer = await create(client, who, brand)
        assert answer["data"]["createTag"] == {
            "userErrors": [{"code": "NOT_FOUND", "field": ["input", "brandId"], "message": "No such brand."}],
            "tag": None,
        }

    assert await snapshot(client.world) == before


async def test_a_name_is_taken_once_a_brand_and_once_the_group(client: Client) -> None:
    made = [await create(client, who, brand) for who, brand in (("B1", "g1/b1"), ("B2", "g1/b2"), ("HQ1", None))]
    before = await snapshot(client.world)

    again = [await create(client, who, brand) for who, brand in (("B1", "g1/b1"), ("HQ1", None), ("HQ1", "g1/b2"))]

    assert all(answer["data"]["createTag"]["userErrors"] == [] for answer in made)
    for answer in again:
        (error,) = answer["data"]["createTag"]["userErrors"]
        assert (error["code"], error["field"]) == ("TAG_NAME_TAKEN", ["input", "name"])
    assert await snapshot(client.world) == before


@pytest.mark.parametrize("brand", ["g1/b1", None])
async def test_ten_at_once_make_one_tag(client: Client, brand: str | None) -> None:
    answers = await asyncio.gather(*(create(client, "HQ1", brand) for _ in range(10)))

    refusals = [answer["data"]["createTag"]["userErrors"] for answer in answers]
    assert sorted(len(errors) for errors in refusals) == [0] + [1] * 9
    assert {errors[0]["code"] for errors in refusals if errors} == {"TAG_NAME_TAKEN"}


@pytest.mark.parametrize(
    "field, value",
    [
        *(("name", ""), ("name", "  "), ("name", "x" * 101)),
        *(("category", "x" * 101), ("color", "x" * 17), ("description", "x" * 501)),
    ],
)
async def test_a_text_that_does_not_fit_is_refused_by_name(client: Client, field: str, value: str) -> None:
    before = await snapshot(client.world)

    answer = await create(client, "B1", **{field: value})

    (error,) = answer["data"]["createTag"]["userErrors"]
    assert (error["code"], error["field"]) == ("BAD_USER_INPUT", ["input", field])
    assert await snapshot(client.world) == before


async def test_a_brand_id_that_is_none_is_refused(client: Client) -> None:
    for given, code in (
        (encode("Fan", 1), "NOT_FOUND"),
        ("x", "BAD_USER_INPUT"),
        (encode("Brand", 2**40), "NOT_FOUND"),
    ):
        answer = await client.data("HQ1", CREATE, i={"name": "x", "brandId": given})
        (error,) = answer["createTag"]["userErrors"]
        assert (error["code"], error["field"]) == (code, ["input", "brandId"])
