"""me and updateMe: a fan sees and changes what is their own, and nothing else."""

from typing import Any

import pytest
from sqlalchemy import select

from domain.fans.models import Fan
from domain.tables import table_of
from tests.cast import EVERYTHING, changed, codes, snapshot
from tests.world import Client

ME, OTHER = "g1/b1/d1#1", "g1/b1/d1#2"
ALL = "nickname avatarUrl gender birthday province city district language phone subscribed orderCount"
UPDATE = (
    f"mutation($i: UpdateMeInput!) {{ updateMe(input: $i) {{ userErrors {{ code field message }} me {{ {ALL} }} }} }}"
)
fans = table_of(Fan)


async def update(client: Client, **given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.data(ME, UPDATE, i=given))["updateMe"]
    return answer


async def test_a_fan_sees_themselves_whole(client: Client) -> None:
    query = f"{{ me {{ {ALL} spend {{ amount currency }} brand {{ name timeZone }} }} }}"

    found = (await client.data(ME, query))["me"]

    assert found == {
        **dict.fromkeys(("avatarUrl", "birthday", "city", "district", "language")),
        "nickname": f"粉丝 {ME}",
        "gender": "UNKNOWN",
        "province": "广东",
        "subscribed": False,
        "orderCount": 1,
        "phone": f"1380000{sum(ME.encode()) % 10_000:04d}",
        "spend": {"amount": "10.00", "currency": "CNY"},
        "brand": {"name": "g1/b1", "timeZone": "Asia/Shanghai"},
    }


async def test_seeing_ones_own_phone_is_no_reading_of_personal_data(client: Client) -> None:
    before = await snapshot(client.world)

    await client.data(ME, "{ me { phone } }")

    assert await snapshot(client.world) == before


async def test_what_is_given_changes_what_is_left_out_stays_and_null_empties(client: Client) -> None:
    first = await update(client, nickname="阿茶", birthday="1990-02-28", city="深圳", gender="FEMALE")
    assert (first["userErrors"], first["me"]["nickname"], first["me"]["province"]) == ([], "阿茶", "广东")

    second = await update(client, nickname=None, province="江苏")

    assert second["me"] == {**first["me"], "nickname": None, "province": "江苏"}
    assert (await update(client))["me"] == second["me"]


async def test_only_the_fans_own_row_changes(client: Client) -> None:
    before = await snapshot(client.world)
    rows = {row: row for row in before["fans"]}

    await update(client, nickname="x", phone="13911112222")

    after = await snapshot(client.world)
    assert changed(before, after) == {"audit_log", "fan_changes", "fan_name_parts", "fans"}
    assert len([row for row in after["fans"] if row not in rows]) == 1


async def test_a_new_phone_is_found_and_the_old_one_is_not(client: Client) -> None:
    old = (await client.data(ME, "{ me { phone } }"))["me"]["phone"]
    query = "query($f: FanFilterInput) { fans(first: 9, filter: $f) { nodes { id } } }"
    mine = {"id": client.world.id("Fan", ME)}

    changed_ = await update(client, phone="+86 139-1111-2222")

    assert changed_["me"]["phone"] == "13911112222"
    assert mine in (await client.data("B1", query, f={"phone": "13911112222"}))["fans"]["nodes"]
    assert mine not in (await client.data("B1", query, f={"phone": old}))["fans"]["nodes"]
    assert (await client.data("B2", query, f={"phone": "13911112222"}))["fans"]["nodes"] == []

    emptied = await update(client, phone=None)
    assert emptied["me"]["phone"] is None
    assert (await client.data("B1", query, f={"phone": "13911112222"}))["fans"]["nodes"] == []
    async with client.world.services.database.reading(EVERYTHING) as session:
        row = (await session.execute(select(fans).where(fans.c.id == client.world.fans[ME]))).one()
    assert (row.phone_cipher, row.phone_hash) == (None, None)


LIMITS = {"nickname": 200, "avatarUrl": 500, "province": 64, "city": 64, "district": 64, "language": 16}


@pytest.mark.parametrize("field", LIMITS)
async def test_a_text_has_its_limit_and_is_refused_by_its_own_name(client: Client, field: str) -> None:
    fits = await update(client, **{field: "茶" * LIMITS[field]})
    assert fits["me"][field] == "茶" * LIMITS[field]
    before = await snapshot(client.world)

    refused = await update(client, **{field: "茶" * (LIMITS[field] + 1)}, gender="MALE")

    assert refused["userErrors"] == [
        {
            "code": "BAD_USER_INPUT",
            "field": ["input", field],
            "message": f"{field} has 1 to {LIMITS[field]} characters.",
        }
    ]
    assert refused["me"] is None
    assert await snapshot(client.world) == before


@pytest.mark.parametrize(
    "field, value",
    [("phone", ""), ("phone", "12"), ("phone", "none"), ("phone", "1" * 16), ("gender", None), ("nickname", "a\0b")],
)
async def test_a_value_that_is_none_is_refused(client: Client, field: str, value: Any) -> None:
    before = await snapshot(client.world)

    response = await client.post(ME, {"query": UPDATE, "variables": {"i": {field: value}}})

    assert response.status_code in (200, 400)
    assert "BAD_USER_INPUT" in response.text
    assert await snapshot(client.world) == before


@pytest.mark.parametrize("birthday", ["1990-02-30", "tomorrow", 19900228, True, "1990-02-28T00:00:00Z"])
async def test_a_birthday_is_a_day(client: Client, birthday: Any) -> None:
    assert codes(await client.ask(ME, UPDATE, i={"birthday": birthday})) == ["BAD_USER_INPUT"]


async def test_an_own_order_is_shown_with_its_lines_and_no_others(client: Client) -> None:
    query = "{ myOrders(first: 10) { totalCount nodes { number amount { amount } lines { title quantity } } } }"

    found = await client.data(OTHER, query)

    assert found["myOrders"] == {
        "totalCount": 1,
        "nodes": [{"number": OTHER, "amount": {"amount": "20.00"}, "lines": [{"title": "茶", "quantity": 2}]}],
    }
