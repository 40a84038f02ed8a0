"""Points through the API: what fans have, what moved it, adjustments by one person and by two, the programme."""

from datetime import timedelta
from typing import Any

from domain import clock
from domain.points import upkeep
from domain.points.ledger.rules import Earn
from domain.points.ledger.service import earn
from domain.points.programme.queries import programme_of
from tests.cast import EVERYTHING, changed, hire, snapshot
from tests.cast import give as grant
from tests.world import Client

ME, OTHER, ABROAD = "g1/b1/d1#1", "g1/b1/d1#2", "g1/b2/d1#1"
BALANCES = "active pending held spent expired negative growth growthPending"
OF_FAN = f"query($id: ID!) {{ fan(id: $id) {{ points {{ {BALANCES} }} expiringPoints {{ expiresAt points }} }} }}"
MINE = f"{{ me {{ points {{ {BALANCES} }} expiringPoints {{ points }} }} }}"
TRANSFERS = """query($id: ID!) { pointTransfers(fanId: $id, first: 10) {
  nodes { kind points growth balance growthBalance reason actor reference } } }"""
MY_TRANSFERS = "{ myPointTransfers(first: 10) { nodes { kind points balance reason } } }"
ADJUST = f"""mutation($i: AdjustPointsInput!) {{ adjustPoints(input: $i) {{ userErrors {{ code field }} replayed
  balances {{ {BALANCES} }} adjustment {{ id state points proposedBy fan {{ id }} }} }} }}"""
APPROVE = """mutation($i: ApprovePointAdjustmentInput!) { approvePointAdjustment(input: $i) {
  userErrors { code } adjustment { state proposedBy decidedBy } } }"""
REJECT = """mutation($i: RejectPointAdjustmentInput!) { rejectPointAdjustment(input: $i) {
  userErrors { code } adjustment { state note decidedBy } } }"""
PROGRAMME = """query($b: ID!) { pointsProgramme(brandId: $b) {
  expiry expiryMonths clawBack fourEyesLimit timeZone version } }"""
UPDATE = """mutation($i: UpdatePointsProgrammeInput!) { updatePointsProgramme(input: $i) {
  userErrors { code field } programme { expiry expiryMonths clawBack fourEyesLimit version } } }"""


async def adjust(client: Client, fan: str, who: str = "B1", key: str = "k", **given: Any) -> dict[str, Any]:
    """Adjust and return the payload."""
    wanted = {"fanId": client.world.id("Fan", fan), "reason": "sorry", "idempotencyKey": key, **given}
    found: dict[str, Any] = (await client.data(who, ADJUST, i=wanted))["adjustPoints"]
    return found


async def programme(client: Client, who: str = "B1", brand: str = "g1/b1", **given: Any) -> dict[str, Any]:
    """Change the programme and return the payload."""
    wanted = {"brandId": client.world.id("Brand", brand), **given}
    found: dict[str, Any] = (await client.data(who, UPDATE, i=wanted))["updatePointsProgramme"]
    return found


async def has(client: Client, fan: str, who: str = "B1") -> dict[str, int]:
    """Return what a fan has, but zeros."""
    data = await client.data(who, OF_FAN, id=client.world.id("Fan", fan))
    return {name: int(amount) for name, amount in data["fan"]["points"].items() if int(amount)}


async def earned(client: Client, fan: str, points: int, **given: Any) -> None:
    """Give a fan points as a rule would."""
    world = client.world
    async with world.services.database.writing(EVERYTHING) as session:
        mine = await programme_of(session, world.nodes["g1/b1"])
        source = given.pop("source", f"test:{points}")
        await earn(session, mine, [Earn(world.fans[fan], source, points, reason="test", **given)], actor="test")


async def test_what_is_adjusted_is_there_with_its_reason(client: Client) -> None:
    given = await adjust(client, ME, points=100, growth=5)
    taken = await adjust(client, ME, key="l", points=-30, reason="mistake")

    assert (given["userErrors"], given["replayed"], given["adjustment"]["state"]) == ([], False, "DONE")
    assert given["adjustment"]["fan"] == {"id": client.world.id("Fan", ME)}
    assert int(taken["balances"]["active"]) == 70
    assert await has(client, ME) == {"active": 70, "growth": 5}
    rows = (await client.data("B1", TRANSFERS, id=client.world.id("Fan", ME)))["pointTransfers"]["nodes"]
    assert [(row["kind"], row["points"], row["balance"], row["reason"]) for row in rows] == [
        ("ADJUST", -30, 70, "mistake"),
        ("ADJUST", 100, 100, "sorry"),
    ]
    assert rows[0]["actor"].startswith("staff:")
    mine = (await client.data(ME, MY_TRANSFERS))["myPointTransfers"]["nodes"]
    assert [row["points"] for row in mine] == [-30, 100]
    assert (await client.data(OTHER, MY_TRANSFERS))["myPointTransfers"]["nodes"] == []
    assert (await client.data(ME, MINE))["me"]["points"]["active"] == 70


async def test_a_key_adjusts_once_and_another_input_under_it_is_refused(client: Client) -> None:
    await adjust(client, ME, points=100)
    again = await adjust(client, ME, points=100)
    other = await adjust(client, ME, points=101)

    assert again["replayed"] is True
    assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_CONFLICT"]
    assert await has(client, ME) == {"active": 100}


async def test_a_dry_run_says_what_would_be_and_writes_nothing(client: Client) -> None:
    before = await snapshot(client.world)

    answer = await adjust(client, ME, points=100, dryRun=True)

    assert int(answer["balances"]["active"]) == 100
    assert await snapshot(client.world) == before


async def test_what_cannot_be_is_refused_by_field_and_writes_nothing(client: Client) -> None:
    await adjust(client, ME, points=10)
    before = await snapshot(client.world)
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"points": 0}, "BAD_USER_INPUT", "points"),
        ({"points": 1, "reason": " "}, "BAD_USER_INPUT", "reason"),
        ({"points": 1, "reason": "x" * 301}, "BAD_USER_INPUT", "reason"),
        ({"points": -11}, "INSUFFICIENT_POINTS", "points"),
        ({"growth": -1}, "INSUFFICIENT_POINTS", "growth"),
        ({"points": 2**63 - 1}, "BAD_USER_INPUT", "points"),
        ({"points": 1, "idempotencyKey": ""}, "BAD_USER_INPUT", "idempotencyKey"),
    ]
    for given, code, field in wrong:
        answer = await adjust(client, ME, **{"key": "other", **given})
        (error,) = answer["userErrors"]
        assert (error["code"], error["field"][-1]) == (code, field), given

    assert await snapshot(client.world) == before


async def test_who_may_not_adjust_changes_nothing(client: Client) -> None:
    before = await snapshot(client.world)
    world = client.world
    wanted = {"reason": "x", "idempotencyKey": "k", "points": 1}

    for who in ("S1", "B1READ", "ANALYST", "SERVICE"):
        assert await client.codes(who, ADJUST, i={**wanted, "fanId": world.id("Fan", ME)}) == ["FORBIDDEN"], who
    foreign = await adjust(client, ABROAD, points=1)
    assert foreign["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", "fanId"]}]
    assert await client.codes("B2", TRANSFERS, id=world.id("Fan", ME)) == ["NOT_FOUND"]
    assert await client.codes("D11", TRANSFERS, id=world.id("Fan", ME)) == ["NOT_FOUND"]
    assert await client.codes("B2", PROGRAMME, b=world.id("Brand", "g1/b1")) == ["NOT_FOUND"]
    assert await snapshot(world) == before


async def test_above_the_limit_another_person_decides(client: Client) -> None:
    await programme(client, fourEyesLimit=100)
    one = await adjust(client, ME, key="1", points=60)
    two = await adjust(client, OTHER, key="2", points=-0, growth=41)
    ref = {"adjustmentId": two["adjustment"]["id"]}

    assert (one["adjustment"]["state"], two["adjustment"]["state"]) == ("DONE", "WAITING")
    assert await has(client, OTHER) == {}
    own = (await client.data("B1", APPROVE, i=ref))["approvePointAdjustment"]
    assert own["userErrors"] == [{"code": "SECOND_PERSON_NEEDED"}]
    assert await client.codes("S1", APPROVE, i=ref) == ["FORBIDDEN"]
    assert (await client.data("B2", APPROVE, i=ref))["approvePointAdjustment"]["userErrors"] == [{"code": "NOT_FOUND"}]
    before = await snapshot(client.world)
    would = (await client.data("HQ1", APPROVE, i={**ref, "dryRun": True}))["approvePointAdjustment"]["adjustment"]
    assert (would["state"], await snapshot(client.world)) == ("DONE", before)
    done = (await client.data("HQ1", APPROVE, i=ref))["approvePointAdjustment"]["adjustment"]
    assert (done["state"], done["decidedBy"] != done["proposedBy"]) == ("DONE", True)
    again = (await client.data("HQ1", APPROVE, i=ref))["approvePointAdjustment"]
    assert (again["userErrors"], again["adjustment"]) == ([], done)
    assert await has(client, OTHER) == {"growth": 41}
    late = (await client.data("HQ1", REJECT, i=ref))["rejectPointAdjustment"]
    assert late["userErrors"] == [{"code": "ALREADY_DECIDED"}]


async def test_many_small_adjustments_are_one_large_one_until_a_day_has_passed(client: Client) -> None:
    await programme(client, fourEyesLimit=100)
    states = [(await adjust(client, ME, key=str(n), points=30))["adjustment"]["state"] for n in range(4)]
    await hire(client.world, "CLERK")
    await grant(client.world, "CLERK", "BRAND_OPERATOR", "g1/b1")
    clerks = (await adjust(client, ME, who="CLERK", key="x", points=30))["adjustment"]["state"]
    with clock.at(clock.now() + timedelta(hours=25)):
        tomorrow = (await adjust(client, ME, key="t", points=30))["adjustment"]["state"]

    assert states == ["DONE", "DONE", "DONE", "WAITING"]
    assert (clerks, tomorrow) == ("DONE", "DONE")


async def test_what_is_refused_is_not_done(client: Client) -> None:
    await programme(client, fourEyesLimit=0)
    waiting = await adjust(client, ME, points=1)
    ref = {"adjustmentId": waiting["adjustment"]["id"], "note": "not agreed"}

    before = await snapshot(client.world)
    dry = (await client.data("HQ1", REJECT, i={**ref, "dryRun": True}))["rejectPointAdjustment"]["adjustment"]
    assert changed(before, await snapshot(client.world)) == set()
    refused = (await client.data("HQ1", REJECT, i=ref))["rejectPointAdjustment"]["adjustment"]

    assert (dry["state"], dry["note"]) == (refused["state"], refused["note"]) == ("REJECTED", "not agreed")
    assert await has(client, ME) == {}


async def test_a_programme_is_the_usual_one_until_the_brand_says_otherwise(client: Client) -> None:
    brand = client.world.id("Brand", "g1/b1")
    usual = (await client.data("S1", PROGRAMME, b=brand))["pointsProgramme"]
    changed = await programme(client, expiry="ROLLING_MONTHS", expiryMonths=12, clawBack="DEBT", version=0)
    stale = await client.codes("B1", UPDATE, i={"brandId": brand, "version": 0, "expiry": "NEVER"})
    back = await programme(client, expiry="NEVER")

    assert usual == {
        "expiry": "NEVER",
        "expiryMonths": None,
        "clawBack": "WITHIN_BALANCE",
        "fourEyesLimit": None,
        "timeZone": "Asia/Shanghai",
        "version": 0,
    }
    assert changed["programme"] == {
        "expiry": "ROLLING_MONTHS",
        "expiryMonths": 12,
        "clawBack": "DEBT",
        "fourEyesLimit": None,
        "version": 1,
    }
    assert stale == ["CONFLICT"]
    assert (back["programme"]["expiryMonths"], back["programme"]["version"]) == (None, 2)


async def test_a_programme_that_cannot_be_is_refused_by_field(client: Client) -> None:
    for given, field in (
        ({"expiry": "ROLLING_MONTHS"}, "expiryMonths"),
        ({"expiry": "ROLLING_MONTHS", "expiryMonths": 121}, "expiryMonths"),
        ({"expiryMonths": 1}, "expiryMonths"),
        ({"fourEyesLimit": -1}, "fourEyesLimit"),
    ):
        (error,) = (await programme(client, **given))["userErrors"]
        assert (error["code"], error["field"]) == ("BAD_USER_INPUT", ["input", field]), given
    assert await client.codes("B1READ", UPDATE, i={"brandId": client.world.id("Brand", "g1/b1")}) == ["FORBIDDEN"]


async def test_what_waits_comes_free_on_its_day_and_goes_on_its_last(client: Client) -> None:
    await programme(client, expiry="ROLLING_MONTHS", expiryMonths=1)
    now = clock.now()
    await earned(client, ME, 50, available_at=now + timedelta(days=15))
    database = client.world.services.database

    assert await upkeep.tend(database) == (0, 0)
    assert await has(client, ME) == {"pending": 50}
    with clock.at(now + timedelta(days=15)):
        assert await upkeep.tend(database) == (1, 0)
        assert await has(client, ME) == {"active": 50}
        found = (await client.data("B1", OF_FAN, id=client.world.id("Fan", ME)))["fan"]["expiringPoints"]
        assert [row["points"] for row in found] == [50]
    with clock.at(now + timedelta(days=60)):
        assert await upkeep.tend(database) == (0, 1)
        assert await upkeep.tend(database) == (0, 0)
        assert await has(client, ME) == {"expired": 50}


async def test_a_page_of_fans_with_points_takes_no_statement_a_fan(client: Client) -> None:
    fans = ["g1/b1/d1#1", "g1/b1/d1#2", "g1/b1/d1#3"]
    for fan in fans:
        await earned(client, fan, 10, source=fan)
    query = "query($n: Int!) { fans(first: $n) { nodes { points { active } expiringPoints { points } } } }"
    counts = []
    for size in (1, 5):
        await client.data("B1", query, n=size)
        client.statements.clear()
        await client.data("B1", query, n=size)
        counts.append(len(client.statements))

    assert counts[0] == counts[1]


async def test_what_a_person_adjusted_is_added_up_whatever_it_was(client: Client) -> None:
    await adjust(client, ME, points=2**63 - 1, growth=2**63 - 1)
    await programme(client, fourEyesLimit=100)

    more = await adjust(client, OTHER, key="l", points=1)

    assert (more["userErrors"], more["adjustment"]["state"]) == ([], "WAITING")
