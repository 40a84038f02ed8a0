"""Staff have a fan erased: within their right and brand, with a reason, once however often it is asked."""

from typing import Any

import pytest

from tests.api.test_erase_me import ERASE, ME, OTHER, contents, hold_something, naming
from tests.api.test_export_my_data import work
from tests.cast import ask, codes, hire, make_role, snapshot
from tests.world import Client

ERASE_FAN = """mutation($i: EraseFanInput!) { eraseFan(input: $i) {
  erasure { jobId fanId askedAt erasedAt } receipt userErrors { code field } } }"""
RECEIPT = "query($r: String!) { erasure(receipt: $r) { askedAt erasedAt } }"


def wish(client: Client, who: str = ME, **more: Any) -> dict[str, Any]:
    return {"fanId": client.world.id("Fan", who), "reason": "asked by letter 7", "confirm": True, **more}


async def test_a_fan_is_erased_and_whoever_holds_the_receipt_sees_that_it_is_done(client: Client) -> None:
    world, me = client.world, client.world.fans[ME]
    await hold_something(world)
    consenting = """mutation { setMyConsents(input: {policy: "1", choices: [{purpose: MARKETING, granted: true}]})
      { me { consents { granted } } } }"""
    await client.data(ME, consenting)

    asked = (await client.data("B1", ERASE_FAN, i=wish(client)))["eraseFan"]
    consents = (await client.data(ME, "{ me { consents { granted } } }"))["me"]["consents"]
    waiting = (await client.data(OTHER, RECEIPT, r=asked["receipt"]))["erasure"]
    await work(world)
    done = (await client.data(OTHER, RECEIPT, r=asked["receipt"]))["erasure"]

    assert (asked["userErrors"], asked["erasure"]["fanId"]) == ([], world.id("Fan", ME))
    assert {one["granted"] for one in consents} == {False}
    assert waiting["askedAt"] == asked["erasure"]["askedAt"] == done["askedAt"]
    assert (waiting["erasedAt"], done["erasedAt"] is None) == (None, False)
    rows = await contents(world.services.database)
    assert naming(rows, me) <= {"erasures", "jobs"}
    deeds = [row for row in rows["audit_log"] if row["subject"] == f"Fan:{me}" and row["action"].startswith("fan:")]
    assert [row["action"] for row in deeds[-2:]] == ["fan:ask_to_erase", "fan:erase"]
    assert deeds[-2]["detail"]["reason"] == "asked by letter 7"
    assert deeds[-2]["principal"].startswith("staff:")


async def test_asked_again_before_and_after_it_is_done_it_is_the_same_erasure(client: Client) -> None:
    own = (await client.data(ME, ERASE))["eraseMe"]["receipt"]

    first = (await client.data("B1", ERASE_FAN, i=wish(client)))["eraseFan"]
    again = (await client.data("HQ1", ERASE_FAN, i=wish(client, reason="once more")))["eraseFan"]
    await work(client.world)
    after = (await client.data("B1", ERASE_FAN, i=wish(client)))["eraseFan"]

    assert {one["receipt"] for one in (first, again, after)} == {own}
    assert {one["erasure"]["jobId"] for one in (first, again, after)} == {first["erasure"]["jobId"]}
    assert after["erasure"]["erasedAt"] is not None
    rows = await contents(client.world.services.database)
    assert (len(rows["jobs"]), len(rows["erasures"])) == (1, 1)


@pytest.mark.parametrize(
    "wrong,field", [({"confirm": False}, "confirm"), ({"reason": " "}, "reason"), ({"reason": "x" * 501}, "reason")]
)
async def test_a_wish_that_cannot_be_so_is_named_and_nothing_is_written(
    client: Client, wrong: dict[str, Any], field: str
) -> None:
    before = await snapshot(client.world)

    answer = (await client.data("B1", ERASE_FAN, i=wish(client, **wrong)))["eraseFan"]

    assert answer["userErrors"] == [{"code": "BAD_USER_INPUT", "field": ["input", field]}]
    assert await snapshot(client.world) == before


async def test_who_may_not_erase_the_fan_erases_nobody_and_learns_nothing(client: Client) -> None:
    await make_role(client.world, "ERASER", fan__erase="allow", fan__read="allow")
    await hire(client.world, "E", ("ERASER", "g1/b1/d1"))
    await client.data(ME, ERASE)
    await work(client.world)
    before = await snapshot(client.world)

    for who in ("D1", "S1", "ANALYST"):
        assert codes(await ask(client, who, ERASE_FAN, i=wish(client, OTHER))) == ["FORBIDDEN"]
    # the right at a dealer is no right over what the brand holds
    assert codes(await ask(client, "E", ERASE_FAN, i=wish(client, OTHER))) == ["FORBIDDEN"]
    for fan in (OTHER, ME):
        for stranger in ("B2", "G2"):
            answer = await ask(client, stranger, ERASE_FAN, i=wish(client, fan))
            refused = (answer["data"]["eraseFan"] or {"userErrors": []})["userErrors"]
            assert [error["code"] for error in refused] + codes(answer) == ["NOT_FOUND"]

    assert await snapshot(client.world) == before


async def test_the_old_id_of_a_merged_fan_erases_whom_they_are_now(client: Client) -> None:
    world = client.world
    people = [
        (await client.data("HQ1", "query($id: ID!) { fan(id: $id) { person { id } } }", id=world.id("Fan", who)))["fan"]
        for who in (ME, OTHER)
    ]
    merging = "mutation($a: ID!, $b: ID!) { mergePersons(input: {survivorId: $a, absorbedId: $b}) { merge { id } } }"
    await client.data("HQ1", merging, a=people[0]["person"]["id"], b=people[1]["person"]["id"])

    answer = (await client.data("B1", ERASE_FAN, i=wish(client, OTHER)))["eraseFan"]
    await work(world)

    assert answer["erasure"]["fanId"] == world.id("Fan", ME)
    rows = await contents(world.services.database)
    assert naming(rows, world.fans[ME]) | naming(rows, world.fans[OTHER]) <= {"erasures", "jobs"}
