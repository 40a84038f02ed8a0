"""earnPoints: a service says that a fan earned, and is told what was granted and what cut it."""

import asyncio
from operator import itemgetter
from typing import Any

import pytest
from sqlalchemy import delete

from domain import clock
from domain.idempotency import Idempotency
from domain.tables import table_of
from tests.cast import EVERYTHING, changed, snapshot
from tests.earning import at, granted, has, install, rule, sound
from tests.world import Client

FAN, NOON = "g1/b1/d1#1", "2026-05-01T04:00:00Z"
GRANT = """event eventId orderId occurredAt day desiredPoints desiredGrowth grantedPoints grantedGrowth
  cuts { cap resetsAt } availableAt takenPoints reversedAt rule { code } fan { id }"""
EARN = f"""mutation($i: EarnPointsInput!) {{ earnPoints(input: $i) {{
  userErrors {{ code field }} balance growth replayed grant {{ {GRANT} }} }} }}"""
GRANTS = f"query($f: ID!) {{ pointGrants(fanId: $f, first: 10) {{ nodes {{ {GRANT} }} }} }}"


async def earn(client: Client, code: str = "post", key: str = "k", who: str = "SERVICE", **given: Any) -> Any:
    wanted = {"fanId": client.world.id("Fan", FAN), "code": code, "idempotencyKey": key, "occurredAt": NOON, **given}
    return (await client.data(who, EARN, i=wanted))["earnPoints"]


def refusal(answer: Any) -> tuple[str, list[str]]:
    (error,) = answer["userErrors"]
    return error["code"], error["field"]


async def test_the_answer_says_what_was_wanted_what_was_given_and_what_cut_it(client: Client) -> None:
    await rule(client, "post", "post", points=4, growth=3, dailyPointsCap=10, monthlyGrowthCap=8, delayDays=2)

    answers = [await earn(client, key=f"k{n}") for n in range(4)]

    day = {"cap": "DAILY_POINTS", "resetsAt": "2026-05-01T16:00:00Z"}
    month = {"cap": "MONTHLY_GROWTH", "resetsAt": "2026-05-31T16:00:00Z"}
    shown = [(a["grant"]["grantedPoints"], a["grant"]["grantedGrowth"], a["grant"]["cuts"]) for a in answers]
    assert shown == [(4, 3, []), (4, 3, []), (2, 2, [day, month]), (0, 0, [day, month])]
    assert answers[2]["grant"] == {
        "event": "post",
        "eventId": None,
        "orderId": None,
        "occurredAt": NOON,
        "day": "2026-05-01",
        "desiredPoints": 4,
        "desiredGrowth": 3,
        "grantedPoints": 2,
        "grantedGrowth": 2,
        "cuts": [day, month],
        "availableAt": "2026-05-02T16:00:00Z",
        "takenPoints": 0,
        "reversedAt": None,
        "rule": {"code": "post"},
        "fan": {"id": client.world.id("Fan", FAN)},
    }
    assert (answers[3]["balance"], answers[3]["growth"], answers[3]["replayed"]) == (10, 8, False)
    listed = (await client.data("D1", GRANTS, f=client.world.id("Fan", FAN)))["pointGrants"]["nodes"]
    assert listed == [answer["grant"] for answer in reversed(answers)]
    await sound(client.world)


async def test_what_is_earned_once_ever_says_that_it_never_comes_again(client: Client) -> None:
    await rule(client, "once", "like", points=1, frequency="ONCE")
    await earn(client, "once")

    again = (await earn(client, "once", "other"))["grant"]

    assert (again["grantedPoints"], again["cuts"]) == (0, [{"cap": "FREQUENCY", "resetsAt": None}])


async def test_a_dry_run_says_what_would_be_and_writes_nothing(client: Client) -> None:
    await install(client, "COMMUNITY")
    before = await snapshot(client.world)

    answer = await earn(client, "community_post", dryRun=True)

    assert (answer["grant"]["grantedPoints"], answer["balance"], answer["userErrors"]) == (3, 3, [])
    assert changed(before, await snapshot(client.world)) == set()


async def test_a_key_gives_once_and_is_answered_the_same_for_ever(client: Client) -> None:
    await install(client, "COMMUNITY")
    first = await earn(client, "community_post")
    before = await snapshot(client.world)

    again = await earn(client, "community_post")
    other = await earn(client, "community_comment")
    assert changed(before, await snapshot(client.world)) == set()
    async with client.world.services.database.writing(EVERYTHING) as session:
        await session.execute(delete(table_of(Idempotency)))
    late, late_other = await earn(client, "community_post"), await earn(client, "community_comment")

    assert again == {**first, "replayed": True}
    assert refusal(other) == refusal(late_other) == ("IDEMPOTENCY_CONFLICT", ["input", "idempotencyKey"])
    assert (late["grant"], late["replayed"]) == (first["grant"], True)
    assert len(await granted(client.world)) == 1
    assert (await has(client.world, client.world.fans[FAN])).spendable == 3


async def test_two_callers_keys_are_two(client: Client) -> None:
    await install(client, "COMMUNITY")

    await earn(client, "community_post", "k", "SERVICE")
    await earn(client, "community_post", "k", "B1")

    assert (await has(client.world, client.world.fans[FAN])).spendable == 6


async def test_twenty_at_midnight_use_up_the_caps_of_both_days_exactly(client: Client) -> None:
    await rule(client, "post", "post", points=3, dailyPointsCap=10)
    # the last microsecond of the 1st in Shanghai, and the first of the 2nd
    moments = ("2026-05-01T15:59:59.999999Z", "2026-05-01T16:00:00Z")

    async def patiently(n: int) -> Any:
        for _ in range(50):
            given = {"fanId": client.world.id("Fan", FAN), "code": "post", "idempotencyKey": f"k{n}"}
            answer = await client.ask("SERVICE", EARN, i={**given, "occurredAt": moments[n % 2]})
            if "errors" not in answer:
                return answer["data"]["earnPoints"]
        pytest.fail("others were in the way fifty times")

    answers = await asyncio.gather(*(patiently(n) for n in range(20)))

    assert [answer["userErrors"] for answer in answers] == [[]] * 20
    assert [answer["grant"]["occurredAt"] for answer in answers] == [moments[n % 2] for n in range(20)]
    # each day's next midnight in Shanghai
    for day, parity, midnight in (("2026-05-01", 0, moments[1]), ("2026-05-02", 1, "2026-05-02T16:00:00Z")):
        cuts = [{"cap": "DAILY_POINTS", "resetsAt": midnight}]
        shown = sorted((answer["grant"] for answer in answers[parity::2]), key=itemgetter("grantedPoints"))
        told = [(one["grantedPoints"], one["desiredPoints"], one["day"], one["cuts"]) for one in shown]
        assert told == [(0, 3, day, cuts)] * 6 + [(1, 3, day, cuts)] + [(3, 3, day, [])] * 3
        stored = [row for row in await granted(client.world) if str(row.day) == day]
        assert sorted(row.granted_points for row in stored) == [0] * 6 + [1, 3, 3, 3]
    assert len(await granted(client.world)) == 20
    assert (await has(client.world, client.world.fans[FAN])).spendable == 20
    await sound(client.world)


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"code": "nothing"}, ("NOT_FOUND", ["input", "code"])),
        ({"code": "purchase"}, ("BAD_USER_INPUT", ["input", "code"])),
        ({"code": "referral"}, ("BAD_USER_INPUT", ["input", "code"])),
        ({"occurredAt": "2019-12-31T23:59:59Z"}, ("POINT_RULE_NOT_IN_FORCE", ["input", "code"])),
        ({"occurredAt": "0001-01-01T00:00:00Z"}, ("BAD_USER_INPUT", ["input", "occurredAt"])),
        ({"occurredAt": "2026-05-01T04:10:00Z"}, ("BAD_USER_INPUT", ["input", "occurredAt"])),
        ({"key": ""}, ("BAD_USER_INPUT", ["input", "idempotencyKey"])),
        ({"key": "x" * 129}, ("BAD_USER_INPUT", ["input", "idempotencyKey"])),
    ],
)
async def test_what_cannot_be_earned_names_its_field(
    client: Client, given: dict[str, Any], expected: tuple[str, list[str]]
) -> None:
    await install(client, "ZIPPO")
    before = await snapshot(client.world)

    with clock.at(at(NOON)):
        answer = await earn(client, **given)

    assert refusal(answer) == expected
    assert changed(before, await snapshot(client.world)) == set()


async def test_nobody_gives_to_fans_who_are_not_theirs_or_sees_what_those_got(client: Client) -> None:
    await install(client, "ZIPPO")
    await earn(client)
    before = await snapshot(client.world)

    for who in ("B2", "G2"):
        assert refusal(await earn(client, key="x", who=who)) == ("NOT_FOUND", ["input", "fanId"])
    given = {"fanId": client.world.id("Fan", FAN), "code": "post", "idempotencyKey": "x"}
    for who in ("D1", "ANALYST"):
        assert await client.codes(who, EARN, i=given) == ["FORBIDDEN"]
    assert changed(before, await snapshot(client.world)) == set()
    for who in ("B2", "G2"):
        listed = await client.data(who, GRANTS, f=client.world.id("Fan", FAN))
        assert listed["pointGrants"]["nodes"] == []


async def test_a_key_of_long_ago_is_answered_with_its_grant_when_the_rule_has_ended_since(client: Client) -> None:
    rule_id = await rule(client, "post", "post", points=4)
    first = await earn(client)
    async with client.world.services.database.writing(EVERYTHING) as session:
        await session.execute(delete(table_of(Idempotency)))
    disable = "mutation($i: DisablePointRuleInput!) { disablePointRule(input: $i) { userErrors { code } } }"
    await client.data("HQ1", disable, i={"ruleId": rule_id})

    again = await earn(client)

    assert (again["userErrors"], again["grant"]) == ([], first["grant"])
    assert refusal(await earn(client, key="another"))[0] == "POINT_RULE_NOT_IN_FORCE"
