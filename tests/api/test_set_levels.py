"""`setLevels` and what shows levels: `levels`, `levelProgramme`, a fan's own, and fans by their level."""

from typing import Any

import pytest

from schema.ids import encode
from tests.cast import codes, hire, snapshot
from tests.growing import grow, settle
from tests.world import Client

SET = """mutation($i: SetLevelsInput!) { setLevels(input: $i) { userErrors { code field }
  programme { demotion validMonths version settled levels { code name growth rank benefits { name description } } }
  moves { before { code } after { code } fans } } }"""
PROGRAMME = "query($b: ID!) { levelProgramme(brandId: $b) { demotion version settled levels { code } } }"
FAN = """query($id: ID!) { fan(id: $id) { level { growth missing since validUntil
  level { code rank } next { code } } } }"""
ME = "{ me { level { growth missing level { code benefits { name } } next { code } } } myLevels { code growth } }"
FANS = "query($f: FanFilterInput) { fans(first: 50, filter: $f) { nodes { id } totalCount } }"
SORTED = """query($a: String) { fans(first: 3, after: $a, orderBy: LEVEL_DESC) {
  nodes { id } pageInfo { endCursor hasNextPage } } }"""


def level(code: str, growth: int, **more: Any) -> dict[str, Any]:
    return {"code": code, "name": code.capitalize(), "growth": growth, **more}


CARD = {"name": "生日礼", "description": "A gift on the birthday."}
LEVELS = [level("REGISTERED", 0), level("BRONZE", 100, benefits=[CARD]), level("SILVER", 500), level("GOLD", 2000)]


async def set_levels(client: Client, who: str = "B1", brand: str = "g1/b1", **more: Any) -> dict[str, Any]:
    given = {"brandId": client.world.id("Brand", brand), "levels": LEVELS, **more}
    answer: dict[str, Any] = (await client.data(who, SET, i=given))["setLevels"]
    return answer


async def test_a_brand_says_its_levels_and_fans_stand_on_them(client: Client) -> None:
    made = await set_levels(client)
    await settle(client.world)
    await grow(client.world, "g1/b1/d1#1", 150)

    assert made["userErrors"] == []
    assert made["moves"] is None
    assert made["programme"] | {"levels": made["programme"]["levels"][:2]} == {
        "demotion": "NEVER",
        "validMonths": None,
        "version": 1,
        "settled": False,
        "levels": [
            {"code": "REGISTERED", "name": "Registered", "growth": 0, "rank": 0, "benefits": []},
            {"code": "BRONZE", "name": "Bronze", "growth": 100, "rank": 1, "benefits": [CARD]},
        ],
    }
    brand = client.world.id("Brand", "g1/b1")
    assert (await client.data("S1", PROGRAMME, b=brand))["levelProgramme"]["settled"] is True
    shown = (await client.data("S1", FAN, id=client.world.id("Fan", "g1/b1/d1#1")))["fan"]["level"]
    assert shown.pop("since") is not None
    assert shown == {
        "growth": 150,
        "missing": 350,
        "validUntil": None,
        "level": {"code": "BRONZE", "rank": 1},
        "next": {"code": "SILVER"},
    }
    other = (await client.data("B1", FAN, id=client.world.id("Fan", "g1/b1/d1#2")))["fan"]["level"]
    assert (other["level"]["code"], other["since"], other["missing"]) == ("REGISTERED", None, 100)
    assert (await client.data("B2", FAN, id=client.world.id("Fan", "g1/b2/d1#1")))["fan"]["level"] is None


async def test_a_fan_sees_their_level_and_how_it_was_reached(client: Client) -> None:
    await set_levels(client)
    await settle(client.world)
    await grow(client.world, "g1/b1/d1#1", 2500)

    mine = await client.data("g1/b1/d1#1", ME)
    theirs = await client.data("g1/b2/d1#1", ME)
    timeline = "{ myTimeline(first: 9, kinds: [LEVEL]) { nodes { name levelFrom levelTo } } }"

    assert mine["me"]["level"] == {
        "growth": 2500,
        "missing": None,
        "level": {"code": "GOLD", "benefits": []},
        "next": None,
    }
    assert [one["code"] for one in mine["myLevels"]] == ["REGISTERED", "BRONZE", "SILVER", "GOLD"]
    assert theirs == {"me": {"level": None}, "myLevels": []}
    assert (await client.data("g1/b1/d1#1", timeline))["myTimeline"]["nodes"] == [
        {"name": "CHANGED", "levelFrom": "REGISTERED", "levelTo": "GOLD"}
    ]


async def test_a_dry_run_says_who_would_move_and_writes_nothing(client: Client) -> None:
    await set_levels(client)
    await settle(client.world)
    for number, growth in enumerate((50, 150, 600, 2500), start=1):
        await grow(client.world, f"g1/b1/d1#{number}", growth)
    before = await snapshot(client.world)
    wanted = [level("REGISTERED", 0), level("BRONZE", 40), level("SILVER", 700), level("GOLD", 3000)]

    kept = await set_levels(client, levels=wanted, dryRun=True)
    falling = await set_levels(client, levels=wanted, demotion="AT_ONCE", dryRun=True)

    assert kept["moves"] == [{"before": {"code": "REGISTERED"}, "after": {"code": "BRONZE"}, "fans": 1}]
    assert falling["moves"] == [
        {"before": {"code": "REGISTERED"}, "after": {"code": "BRONZE"}, "fans": 1},
        {"before": {"code": "SILVER"}, "after": {"code": "BRONZE"}, "fans": 1},
        {"before": {"code": "GOLD"}, "after": {"code": "SILVER"}, "fans": 1},
    ]
    assert await snapshot(client.world) == before


async def test_who_read_an_older_version_is_refused(client: Client) -> None:
    assert (await set_levels(client, version=0))["userErrors"] == []
    before = await snapshot(client.world)

    late = await set_levels(client, version=0, levels=[])

    assert late["userErrors"] == [{"code": "LEVELS_CHANGED", "field": ["input", "version"]}]
    assert await snapshot(client.world) == before
    assert (await set_levels(client, version=1, levels=[]))["programme"]["levels"] == []


@pytest.mark.parametrize(
    "field, more",
    [
        ("levels", {"levels": [level(f"L{n}", n) for n in range(21)]}),
        ("levels.0.code", {"levels": [level("bronze", 1)]}),
        ("levels.1.code", {"levels": [level("A", 1), level("A", 2)]}),
        ("levels.0.growth", {"levels": [level("A", -1)]}),
        ("levels.1.growth", {"levels": [level("A", 5), level("B", 5)]}),
        ("levels.0.name", {"levels": [level("A", 1) | {"name": " "}]}),
        ("levels.0.description", {"levels": [level("A", 1, description="x" * 501)]}),
        ("levels.0.benefits", {"levels": [level("A", 1, benefits=[CARD] * 21)]}),
        ("levels.0.benefits.0.name", {"levels": [level("A", 1, benefits=[{"name": ""}])]}),
        ("validMonths", {"validMonths": 12}),
        ("validMonths", {"demotion": "PERIODIC"}),
        ("validMonths", {"demotion": "PERIODIC", "validMonths": 0}),
        ("brandId", {"brandId": encode("Brand", 2**40)}),
    ],
)
async def test_what_is_no_ladder_is_refused_by_name(client: Client, field: str, more: dict[str, Any]) -> None:
    before = await snapshot(client.world)

    answer = await set_levels(client, **more)

    assert [error["field"] for error in answer["userErrors"]] == [["input", *field.split(".")]]
    assert await snapshot(client.world) == before


async def test_levels_are_set_by_who_may_in_the_whole_brand_and_read_below_it(client: Client) -> None:
    await hire(client.world, "D", ("BRAND_ADMIN", "g1/b1/d1"))
    before = await snapshot(client.world)
    brand = client.world.id("Brand", "g1/b1")

    given = {"brandId": brand, "levels": LEVELS}
    for who in ("B2", "G2"):
        assert (await set_levels(client, who))["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", "brandId"]}]
    answer = await client.http.post(
        "/graphql",
        json={"query": SET, "variables": {"i": given}},
        headers={"authorization": f"Bearer {client.world.services.tokens.mint_staff('D')}"},
    )
    assert codes(answer.json()) == ["FORBIDDEN"]
    assert await snapshot(client.world) == before
    for who in ("B2", "G2"):
        assert await client.codes(who, PROGRAMME, b=brand) == ["NOT_FOUND"]
    assert (await client.data("D11", PROGRAMME, b=brand))["levelProgramme"]["version"] == 0


async def test_fans_are_found_and_sorted_by_level(client: Client) -> None:
    world = client.world
    await set_levels(client)
    await set_levels(client, "B2", "g1/b2")
    await settle(world)
    grown = {"g1/b1/d1#1": 2500, "g1/b1/d1#2": 150, "g1/b1/d11#1": 700, "g1/b2/d1#1": 200}
    for fan, growth in grown.items():
        await grow(world, fan, growth)
    listed = "query($b: ID!) { levels(first: 9, brandId: $b) { nodes { id code } } }"
    found = (await client.data("B1", listed, b=world.id("Brand", "g1/b1")))["levels"]["nodes"]
    ids = {one["code"]: one["id"] for one in found}

    async def named(who: str, **filter: Any) -> set[str]:
        answer = (await client.data(who, FANS, f=filter))["fans"]
        assert answer["totalCount"] == len(answer["nodes"])
        return {row["id"] for row in answer["nodes"]}

    def fans(*names: str) -> set[str]:
        return {world.id("Fan", name) for name in names}

    everybody = world.fans_below("g1/b1")
    risen = fans("g1/b1/d1#1", "g1/b1/d1#2", "g1/b1/d11#1")
    assert await named("HQ1", levelId=ids["GOLD"]) == fans("g1/b1/d1#1")
    assert await named("D11", levelId=ids["GOLD"]) == set()
    assert await named("HQ1", levelId=ids["REGISTERED"]) == everybody - risen
    assert await named("HQ1", minLevelId=ids["SILVER"]) == fans("g1/b1/d1#1", "g1/b1/d11#1")
    assert await named("HQ1", minLevelId=ids["REGISTERED"]) == everybody
    assert await named("B1", **{"not": {"minLevelId": ids["BRONZE"]}}) == everybody - risen
    for filter in ({"levelId": ids["GOLD"]}, {"or": [{"minLevelId": ids["GOLD"]}]}):
        assert await client.codes("B2", FANS, f=filter) == ["BAD_USER_INPUT"]

    ordered, cursor = [], None
    while True:
        page = (await client.data("HQ1", SORTED, a=cursor))["fans"]
        ordered += [row["id"] for row in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    first = [world.id("Fan", name) for name in ("g1/b1/d1#1", "g1/b1/d11#1", "g1/b2/d1#1", "g1/b1/d1#2")]
    assert ordered[:4] == first
    assert len(ordered) == len(set(ordered)) == len(world.fans_below("g1"))


async def test_the_levels_of_many_fans_cost_as_many_statements_as_of_one(client: Client) -> None:
    await set_levels(client)
    await settle(client.world)
    await grow(client.world, "g1/b1/d1#1", 2500)
    counts = []

    for size in (1, 8):
        client.statements.clear()
        await client.data("B1", "query($n: Int) { fans(first: $n) { nodes { level { level { code } } } } }", n=size)
        counts.append(len(client.statements))

    assert counts[0] == counts[1]
