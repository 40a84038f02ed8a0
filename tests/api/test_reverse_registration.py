"""reverseRegistration: what a malicious registration earned goes back, of all whom it earned anything, once."""

from typing import Any

import pytest
from sqlalchemy import select

from domain.events.models import FanEvent
from domain.tables import table_of
from schema.ids import encode
from tests.cast import EVERYTHING, ask, changed, codes, hire, make_role, snapshot
from tests.earning import did, give, granted, has, install, refer, send, sound
from tests.world import Client, World

OLD = "g1/b1/d1#1"
REVERSE = """mutation($i: ReverseRegistrationInput!) { reverseRegistration(input: $i) {
  userErrors { code field } points growth leftPoints leftGrowth replayed
  grants { event grantedPoints takenPoints takenGrowth reversedAt } } }"""
events = table_of(FanEvent)


async def reverse(client: Client, fan_id: int, key: str = "k", who: str = "B1", **given: Any) -> Any:
    wanted = {"fanId": encode("Fan", fan_id), "reason": "虚假注册", "idempotencyKey": key, **given}
    return (await client.data(who, REVERSE, i=wanted))["reverseRegistration"]


async def told(world: World, name: str) -> list[Any]:
    async with world.services.database.reading(EVERYTHING) as session:
        return list(await session.execute(select(events).where(events.c.name == name).order_by(events.c.id)))


@pytest.fixture
async def newcomer(client: Client) -> int:
    """Let a newcomer register whom the old fan brought, and return who they are."""
    await install(client, "ZIPPO")
    await send(client, did("register", "2026-05-01T04:00:00Z"))
    (event,) = await told(client.world, "register")
    await refer(client.world, client.world.fans[OLD], event.fan_id)
    await give(client.world)
    return int(event.fan_id)


async def test_what_the_old_and_the_new_fan_got_goes_back_and_does_not_come_again(
    client: Client, newcomer: int
) -> None:
    world = client.world
    assert [(await has(world, fan)).growth for fan in (world.fans[OLD], newcomer)] == [5, 5]

    made = await reverse(client, newcomer)
    await send(client, did("register", "2026-05-02T04:00:00Z"))
    await give(world)

    assert (made["points"], made["growth"], made["leftPoints"], made["replayed"]) == (6, 10, 0, False)
    assert [(one["grantedPoints"], one["takenPoints"], one["takenGrowth"]) for one in made["grants"]] == [(3, 3, 5)] * 2
    for fan in (world.fans[OLD], newcomer):
        balances = await has(world, fan)
        assert (balances.spendable, balances.growth) == (0, 0)
    await sound(world)


async def test_the_same_key_answers_again_and_another_finds_nothing_left(client: Client, newcomer: int) -> None:
    first = await reverse(client, newcomer)
    before = await snapshot(client.world)

    again, other = await reverse(client, newcomer), await reverse(client, newcomer, "other")

    assert again == {**first, "replayed": True}
    assert other["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", "fanId"]}]
    assert changed(before, await snapshot(client.world)) == set()


async def test_a_dry_run_takes_nothing(client: Client, newcomer: int) -> None:
    before = await snapshot(client.world)

    made = await reverse(client, newcomer, dryRun=True)

    assert (made["points"], made["growth"]) == (6, 10)
    assert changed(before, await snapshot(client.world)) == set()


async def test_what_the_fan_got_for_bringing_others_stays(client: Client, newcomer: int) -> None:
    world = client.world
    await send(client, did("register", "2026-05-01T05:00:00Z", openid="o-2"))
    third = (await told(world, "register"))[1].fan_id
    await refer(world, newcomer, third)
    await give(world)

    made = await reverse(client, newcomer)

    assert made["points"] == 6
    assert [(await has(world, fan)).spendable for fan in (world.fans[OLD], newcomer, third)] == [0, 3, 3]


async def test_of_several_products_only_the_one_that_is_named_goes_back(client: Client) -> None:
    world = client.world
    await install(client, "ZIPPO")
    for n in (1, 2):
        product = {"serial": f"Z-{n}", "product": "ZIPPO-1941"}
        await send(client, did("product_verified", f"2026-05-0{n}T04:00:00Z", properties=product))
    await give(world)
    one, _ = await told(world, "product_verified")

    which = {"event": "product_verified", "eventId": encode("FanEvent", one.id)}
    made = await reverse(client, one.fan_id, **which)

    assert (made["points"], made["growth"], len(made["grants"])) == (5, 50, 1)
    balances = await has(world, one.fan_id)
    assert (balances.spendable, balances.growth) == (5, 50)
    assert [row.reversed_at is None for row in await granted(world)] == [False, True]


@pytest.mark.parametrize(
    "given, field",
    [({"reason": " "}, "reason"), ({"reason": "x" * 301}, "reason"), ({"event": "order_received"}, "event")],
)
async def test_what_cannot_be_reversed_names_its_field(
    client: Client, newcomer: int, given: dict[str, Any], field: str
) -> None:
    answer = await reverse(client, newcomer, **given)

    assert answer["userErrors"] == [{"code": "BAD_USER_INPUT", "field": ["input", field]}]


async def test_only_who_may_in_the_whole_brand_reverses(client: Client, newcomer: int) -> None:
    world = client.world
    await make_role(world, "judge", points__reverse="allow", fan__read="allow")
    await hire(world, "JUDGE", ("judge", "g1/b1/d1"))
    before = await snapshot(world)

    for who in ("B2", "G2"):
        assert (await reverse(client, newcomer, who=who))["userErrors"][0]["code"] == "NOT_FOUND"
    wanted = {"fanId": world.id("Fan", OLD), "reason": "x", "idempotencyKey": "x"}
    for who in ("D1", "JUDGE"):
        assert codes(await ask(client, who, REVERSE, i=wanted)) == ["FORBIDDEN"]
    assert changed(before, await snapshot(world)) == set()
