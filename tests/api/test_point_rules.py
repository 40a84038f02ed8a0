"""What a brand gives points for: made, changed, disabled, installed whole, and seen by those who may."""

from typing import Any

import pytest

from tests.cast import changed, snapshot
from tests.world import Client

RULE = """id code name module event basis points growth perAmount frequency beneficiary dailyPointsCap monthlyPointsCap
  monthlyGrowthCap delayDays startsAt endsAt enabled version"""
CREATE = f"""mutation($i: CreatePointRuleInput!) {{ createPointRule(input: $i) {{
  userErrors {{ code field message }} rule {{ {RULE} }} }} }}"""
UPDATE = f"""mutation($i: UpdatePointRuleInput!) {{ updatePointRule(input: $i) {{
  userErrors {{ code field message }} rule {{ {RULE} }} }} }}"""
DISABLE = f"""mutation($i: DisablePointRuleInput!) {{ disablePointRule(input: $i) {{
  userErrors {{ code field }} rule {{ {RULE} }} }} }}"""
INSTALL = f"""mutation($i: InstallPointsProgrammeInput!) {{ installPointsProgramme(input: $i) {{
  userErrors {{ code field }} created rules {{ {RULE} }} }} }}"""
LIST = f"query($f: PointRuleFilterInput) {{ pointRules(first: 20, filter: $f) {{ nodes {{ {RULE} }} }} }}"
Answer = dict[str, Any]


async def create(client: Client, who: str = "B1", **more: Any) -> Answer:
    brand = client.world.id("Brand", "g1/b1")
    given = {"brandId": brand, "code": "like", "name": "点赞", "event": "like", "points": 1, **more}
    found: Answer = (await client.data(who, CREATE, i=given))["createPointRule"]
    return found


async def install(client: Client, preset: str, who: str = "B1", **more: Any) -> Answer:
    given = {"brandId": client.world.id("Brand", "g1/b1"), "preset": preset, **more}
    found: Answer = (await client.data(who, INSTALL, i=given))["installPointsProgramme"]
    return found


async def test_the_zippo_programme_is_what_its_club_says(client: Client) -> None:
    made = await install(client, "ZIPPO")

    assert made["created"] == ["sign_in", "purchase", "post", "referral", "product_verified"]
    shown = ("event", "points", "growth", "perAmount", "frequency", "beneficiary", "delayDays")
    assert [tuple(rule[name] for name in shown) for rule in made["rules"]] == [
        ("sign_in", 1, 3, None, "DAILY", "FAN", 0),
        ("order_received", 1, 1, 1_000, "EACH", "FAN", 15),
        ("post", 2, 5, None, "EACH", "FAN", 0),
        ("register", 3, 5, None, "EACH", "BOTH", 0),
        ("product_verified", 5, 50, None, "EACH", "FAN", 0),
    ]
    definitions = await client.data("B1", "{ eventDefinitions(first: 5) { nodes { name fromFans } } }")
    assert definitions["eventDefinitions"]["nodes"] == [{"name": "product_verified", "fromFans": False}]


async def test_the_community_defaults_have_the_caps_of_the_product_document(client: Client) -> None:
    made = await install(client, "COMMUNITY")

    shown = ("event", "points", "growth", "frequency", "dailyPointsCap", "monthlyPointsCap", "monthlyGrowthCap")
    assert [tuple(rule[name] for name in shown) for rule in made["rules"]] == [
        ("post", 3, 3, "EACH", 15, None, None),
        ("comment", 3, 3, "EACH", 15, None, None),
        ("article_share", 3, 3, "EACH", 15, 90, 90),
    ]


async def test_installing_again_keeps_what_the_brand_has_changed(client: Client) -> None:
    first = (await install(client, "ZIPPO"))["rules"][0]
    await client.data("B1", UPDATE, i={"ruleId": first["id"], "points": 2})
    before = await snapshot(client.world)

    again = await install(client, "ZIPPO")

    assert (again["created"], again["rules"][0]["points"]) == ([], 2)
    assert changed(before, await snapshot(client.world)) == set()


async def test_a_dry_run_says_what_would_be_made(client: Client) -> None:
    before = await snapshot(client.world)

    answer = await install(client, "ZIPPO", dryRun=True)

    assert len(answer["created"]) == 5
    assert changed(before, await snapshot(client.world)) == set()


async def test_a_rule_is_made_changed_and_disabled(client: Client) -> None:
    made = (await create(client, dailyPointsCap=5))["rule"]

    change = {"ruleId": made["id"], "version": 1, "dailyPointsCap": None, "growth": 2}
    anew = (await client.data("B1", UPDATE, i=change))["updatePointRule"]["rule"]
    off = (await client.data("B1", DISABLE, i={"ruleId": made["id"]}))["disablePointRule"]["rule"]

    assert (made["version"], made["enabled"], made["basis"], made["endsAt"]) == (1, True, "EVENT", None)
    assert anew == {**made, "version": 2, "dailyPointsCap": None, "growth": 2}
    assert off == {**anew, "version": 3, "enabled": False}
    listed = await client.data("D1", LIST, f={"enabled": False})
    assert listed["pointRules"]["nodes"] == [off]


async def test_a_change_of_what_is_newer_by_now_is_refused(client: Client) -> None:
    made = (await create(client))["rule"]
    await client.data("B1", UPDATE, i={"ruleId": made["id"], "points": 2})
    before = await snapshot(client.world)

    assert await client.codes("B1", UPDATE, i={"ruleId": made["id"], "version": 1, "points": 3}) == ["CONFLICT"]
    assert changed(before, await snapshot(client.world)) == set()


@pytest.mark.parametrize(
    "given, field",
    [
        ({"code": ""}, "code"),
        ({"name": " "}, "name"),
        ({"event": "No Name"}, "event"),
        ({"event": "order_created"}, "event"),
        ({"points": 0}, "points"),
        ({"points": -1}, "points"),
        ({"points": 2**62}, "points"),
        ({"dailyGrowthCap": -1}, "dailyGrowthCap"),
        ({"delayDays": -1}, "delayDays"),
        ({"perAmount": "10"}, "perAmount"),
        ({"event": "order_paid", "perAmount": "0"}, "perAmount"),
        ({"event": "order_paid", "perAmount": "0.001"}, "perAmount"),
        ({"event": "order_paid", "beneficiary": "BOTH"}, "beneficiary"),
        ({"orderSource": "tmall"}, "orderSource"),
        ({"endsAt": "2020-01-01T00:00:00Z"}, "endsAt"),
    ],
)
async def test_a_rule_that_cannot_be_names_its_field(client: Client, given: dict[str, Any], field: str) -> None:
    before = await snapshot(client.world)

    answer = await create(client, **given)

    assert [(error["code"], error["field"]) for error in answer["userErrors"]] == [("BAD_USER_INPUT", ["input", field])]
    assert changed(before, await snapshot(client.world)) == set()


async def test_a_code_stands_once_in_a_brand(client: Client) -> None:
    await create(client)

    again = await create(client)

    assert again["userErrors"][0] | {"message": ""} == {
        "code": "POINT_RULE_CODE_TAKEN",
        "field": ["input", "code"],
        "message": "",
    }


async def test_rules_are_kept_by_the_brands_own_and_seen_by_no_other(client: Client) -> None:
    made = (await create(client))["rule"]
    before = await snapshot(client.world)

    assert (await create(client, "B2", code="x"))["userErrors"][0]["code"] == "NOT_FOUND"
    assert await client.codes(
        "D1", CREATE, i={"brandId": client.world.id("Brand", "g1/b1"), "code": "x", "name": "x", "event": "x"}
    ) == ["FORBIDDEN"]
    for who in ("B2", "G2"):
        refused = (await client.data(who, UPDATE, i={"ruleId": made["id"], "points": 9}))["updatePointRule"]
        assert [error["code"] for error in refused["userErrors"]] == ["NOT_FOUND"]
        assert (await client.data(who, LIST))["pointRules"]["nodes"] == []
    assert changed(before, await snapshot(client.world)) == set()
