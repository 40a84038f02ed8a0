"""tasks and myTasks: what can be earned today is what the next deed gives, by the days of the brand."""

from typing import Any

import pytest

from domain import clock
from tests.cast import snapshot
from tests.earning import at, did, give, install, rule, send, sound
from tests.world import Client

FAN, OTHER, ABROAD = "g1/b1/d1#1", "g1/b1/d1#2", "g1/b2/d1#1"
# 23:59:59.9 of the 31st of May in Shanghai, and the moment after it: another day, and another month
LATE, NEXT = "2026-05-31T15:59:59.900000Z", "2026-05-31T16:00:00Z"
SHOWN = """code event basis points growth frequency beneficiary delayDays available nextPoints nextGrowth nextAt
  today { times points growth } thisMonth { times points growth } ever { times points growth }
  perAmount { amount currency } cuts { cap resetsAt } caps { cap limit left resetsAt }"""
MINE = f"""query($n: Int = 50, $f: TaskFilterInput) {{ myTasks(first: $n, filter: $f) {{
  nodes {{ {SHOWN} }} totalCount }} }}"""
STAFF = f"query($fan: ID!) {{ tasks(fanId: $fan, first: 50) {{ nodes {{ {SHOWN} rule {{ id }} }} }} }}"
EARN = """mutation($i: EarnPointsInput!) { earnPoints(input: $i) {
  userErrors { code } grant { grantedPoints grantedGrowth } } }"""


async def tasks(client: Client, fan: str = FAN, now: str = LATE, **given: Any) -> dict[str, Any]:
    """Return a fan's own tasks by their codes."""
    with clock.at(at(now)):
        rows = (await client.data(fan, MINE, **given))["myTasks"]["nodes"]
    return {row["code"]: row for row in rows}


async def earn(client: Client, code: str, key: str, now: str = LATE) -> tuple[int, int]:
    """Do what a rule is about, and return what it gave."""
    with clock.at(at(now)):
        wanted = {"fanId": client.world.id("Fan", FAN), "code": code, "idempotencyKey": key}
        made = (await client.data("SERVICE", EARN, i=wanted))["earnPoints"]
    assert made["userErrors"] == []
    return made["grant"]["grantedPoints"], made["grant"]["grantedGrowth"]


async def test_a_task_says_what_a_deed_gives_what_was_done_and_what_the_caps_leave(client: Client) -> None:
    given: dict[str, Any] = {"points": 4, "growth": 3, "dailyPointsCap": 6, "monthlyGrowthCap": 90}
    number = await rule(client, "post", "post", **given)
    await earn(client, "post", "k")

    found = (await tasks(client))["post"]

    once = {"times": 1, "points": 4, "growth": 3}
    day = {"cap": "DAILY_POINTS", "resetsAt": "2026-05-31T16:00:00Z"}
    assert found == {
        "code": "post",
        "event": "post",
        "basis": "EVENT",
        "points": 4,
        "growth": 3,
        "frequency": "EACH",
        "beneficiary": "FAN",
        "delayDays": 0,
        "perAmount": None,
        "available": True,
        "nextPoints": 2,
        "nextGrowth": 3,
        "nextAt": None,
        "cuts": [day],
        "today": once,
        "thisMonth": once,
        "ever": once,
        "caps": [
            {**day, "limit": 6, "left": 2},
            {"cap": "MONTHLY_GROWTH", "limit": 90, "left": 87, "resetsAt": "2026-05-31T16:00:00Z"},
        ],
    }
    with clock.at(at(LATE)):
        listed = (await client.data("D1", STAFF, fan=client.world.id("Fan", FAN)))["tasks"]["nodes"]
    assert listed == [{**found, "rule": {"id": number}}]


CAPPED: list[dict[str, Any]] = [
    {"points": 3, "growth": 2},
    {"points": 3, "growth": 2, "frequency": "DAILY"},
    {"points": 3, "growth": 2, "frequency": "ONCE"},
    {"points": 3, "growth": 2, "dailyPointsCap": 7},
    {"points": 3, "growth": 2, "dailyPointsCap": 4, "dailyGrowthCap": 5, "monthlyPointsCap": 6, "monthlyGrowthCap": 7},
    {"points": 3, "growth": 0, "monthlyPointsCap": 8},
    {"points": 0, "growth": 2, "dailyGrowthCap": 3},
]


@pytest.mark.parametrize("given", CAPPED)
async def test_the_next_deed_gives_just_what_the_task_says(client: Client, given: dict[str, Any]) -> None:
    await rule(client, "post", "post", **given)

    for number, now in enumerate([LATE] * 5 + [NEXT] * 5):
        said = (await tasks(client, now=now))["post"]
        got = await earn(client, "post", f"k{number}", now)
        assert got == (said["nextPoints"], said["nextGrowth"]), number
        assert said["available"] == (got != (0, 0)), number
        for cap in said["caps"]:
            assert got["GROWTH" in cap["cap"]] <= cap["left"], number
    await sound(client.world)


async def test_what_can_be_done_no_more_says_when_it_can_be_again(client: Client) -> None:
    await rule(client, "daily", "sign_in", points=1, frequency="DAILY")
    await rule(client, "once", "like", points=1, frequency="ONCE")
    await rule(client, "monthly", "post", points=2, frequency="DAILY", monthlyPointsCap=2)
    await rule(client, "ending", "share", points=1, frequency="DAILY", endsAt="2026-05-10T16:00:00Z")
    noon = "2026-05-10T04:00:00Z"
    for code in ("daily", "once", "monthly", "ending"):
        await earn(client, code, code, noon)

    found = await tasks(client, now=noon)

    assert {code: (one["available"], one["nextAt"]) for code, one in found.items()} == {
        "daily": (False, "2026-05-10T16:00:00Z"),
        "once": (False, None),
        "monthly": (False, "2026-05-31T16:00:00Z"),
        "ending": (False, None),
    }
    assert found["once"]["cuts"] == [{"cap": "FREQUENCY", "resetsAt": None}]


async def test_only_rules_of_the_brand_that_count_now_are_tasks(client: Client) -> None:
    await rule(client, "now", "post", points=1)
    await rule(client, "off", "post", points=1, enabled=False)
    await rule(client, "over", "post", points=1, endsAt="2026-05-31T15:00:00Z")
    await rule(client, "later", "post", points=1, startsAt="2026-06-01T00:00:00Z")
    await rule(client, "abroad", "post", "g1/b2", points=1)

    assert set(await tasks(client)) == {"now"}
    assert set(await tasks(client, ABROAD)) == {"abroad"}
    assert await tasks(client, f={"event": "like"}) == {}


async def test_what_events_earned_stands_in_the_task_of_who_did_it(client: Client) -> None:
    await install(client, "ZIPPO")
    await send(client, did("sign_in", LATE, openid="o-9"))
    await give(client.world)

    found = await tasks(client)

    assert list(found) == ["sign_in", "purchase", "post", "referral", "product_verified"]
    assert found["sign_in"]["today"]["times"] == 0
    assert (found["purchase"]["perAmount"], found["purchase"]["nextPoints"]) == (
        {"amount": "10.00", "currency": "CNY"},
        1,
    )
    assert found["referral"]["beneficiary"] == "BOTH"


async def test_a_page_of_any_size_costs_the_same_statements(client: Client) -> None:
    for number in range(12):
        await rule(client, f"r{number:02}", "post", points=1, dailyPointsCap=5)
    await tasks(client, n=1)
    counts = []
    for size in (1, 12):
        client.statements.clear()
        assert len(await tasks(client, n=size)) == size
        counts.append(len(client.statements))

    # who asks, the fan, the rules, the counters, and how many there are in all
    assert counts == [5, 5], client.statements


async def test_who_may_not_see_the_fan_sees_no_tasks_and_looking_writes_nothing(client: Client) -> None:
    await rule(client, "post", "post", points=1)
    before, fan = await snapshot(client.world), client.world.id("Fan", FAN)

    for who in ("B2", "D11", "G2"):
        assert await client.codes(who, STAFF, fan=fan) == ["NOT_FOUND"], who
    await tasks(client)
    assert (await client.data("B1", STAFF, fan=fan))["tasks"]["nodes"] != []
    assert await snapshot(client.world) == before
