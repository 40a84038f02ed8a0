"""Redemptions beside the rest of the house: merges, walls, what an export shows and an erasure leaves."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text

from domain import clock
from domain.mall import upkeep
from domain.mall.models import Redemption
from domain.mall.redemptions import cancel
from domain.mall.upkeep import AT_ONCE, expire_unpaid
from domain.persons.merging import Wanted, merge_persons
from domain.persons.models import MergeReason, Side
from domain.persons.unmerging import unmerge
from domain.tables import table_of
from tests.api.test_erase_me import ERASE, contents, naming
from tests.api.test_export_my_data import exported, work
from tests.cast import EVERYTHING, scope_of
from tests.domain.test_merging import person_of
from tests.domain.test_walls import bare
from tests.mall import act, balances, give_points, offer, redeem, refused, stock_holds, stock_of
from tests.oracle import oracle_of
from tests.world import Client, World

redemptions = table_of(Redemption)
ME, TWIN, THIRD = "g1/b1/d1#2", "g1/b1/d1#3", "g1/b1/d1#1"
DELIVERY = {"recipient": "王芳", "phone": "13899990000", "address": "广州市天河区"}


async def ordered(client: Client, who: str, gift: str, **given: Any) -> dict[str, Any]:
    """Give the fan points for a piece and order it."""
    await give_points(client.world, who, 60)
    found: dict[str, Any] = (await redeem(client, gift, who, **given))["redemption"]
    return found


async def merge(world: World, into: str, gone: str) -> int:
    first, second = [await person_of(world, name) for name in (into, gone)]
    async with world.services.database.writing(EVERYTHING) as session:
        wanted = Wanted(first, second, MergeReason.MANUAL)
        return (await merge_persons(session, world.nodes["g1"], [wanted], principal="staff:1"))[second]


async def owners(world: World) -> dict[str, int]:
    async with world.services.database.reading(EVERYTHING) as session:
        return {row.number: row.fan_id for row in await session.execute(select(redemptions))}


async def test_merged_fans_share_a_limit_and_either_order_ends_as_before(client: Client) -> None:
    world, gift = client.world, await offer(client, perFanLimit=2)
    mine, theirs = await ordered(client, ME, gift), await ordered(client, TWIN, gift)

    await merge(world, ME, TWIN)

    await give_points(world, ME, 60)
    assert refused(await redeem(client, gift, ME))[0] == "GIFT_LIMIT_REACHED"
    assert set((await owners(world)).values()) == {world.fans[ME]}
    assert (await act(client, "B1", "cancelRedemption", redemptionId=theirs["redemptionId"], reason="x"))[
        "userErrors"
    ] == []
    assert (await act(client, "B1", "fulfilRedemption", redemptionId=mine["redemptionId"]))["userErrors"] == []
    have = await balances(world, ME)
    assert (have.active, have.held, have.spent) == (120, 0, 60)
    await stock_holds(world)


async def test_an_unmerge_gives_each_their_orders_and_points_back(client: Client) -> None:
    world, gift = client.world, await offer(client)
    mine, theirs = await ordered(client, ME, gift), await ordered(client, TWIN, gift)
    before = await owners(world), await balances(world, ME), await balances(world, TWIN)
    merge_id = await merge(world, ME, TWIN)

    async with world.services.database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merge_id, later=Side.SURVIVOR, principal="staff:1")

    assert (await owners(world), await balances(world, ME), await balances(world, TWIN)) == before
    for who, order in ((ME, mine), (TWIN, theirs)):
        answer = await act(client, who, "cancelMyRedemption", redemptionId=order["redemptionId"])
        assert answer["userErrors"] == []
        assert (await balances(world, who)).active == 60


@pytest.mark.parametrize("later", list(Side))
async def test_an_order_sent_again_after_a_merge_or_its_undoing_is_one(client: Client, later: Side) -> None:
    world, gift = client.world, await offer(client, stock=50, perFanLimit=8)
    for who in (ME, TWIN):
        await give_points(world, who, 180)
    mine, theirs = [await redeem(client, gift, who, idempotencyKey=f"{who}-a") for who in (ME, TWIN)]

    merge_id = await merge(world, ME, TWIN)
    # each device goes on with the token it has
    again = [await redeem(client, gift, who, idempotencyKey=f"{who}-a") for who in (ME, TWIN)]
    since = [await redeem(client, gift, who, idempotencyKey=f"{who}-b") for who in (ME, TWIN)]
    async with world.services.database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merge_id, later=later, principal="staff:1")
    heir = ME if later is Side.SURVIVOR else TWIN
    apart = [await redeem(client, gift, who, idempotencyKey=f"{who}-a") for who in (ME, TWIN)]
    late = [await redeem(client, gift, who, idempotencyKey=f"{who}-b") for who in (ME, TWIN)]

    assert [one["replayed"] for one in (mine, theirs, *again, *since)] == [False, False, True, True, False, False]
    assert [one["redemption"]["redemptionId"] for one in (*again, *apart)] == [
        one["redemption"]["redemptionId"] for one in (mine, theirs, mine, theirs)
    ]
    assert [one["replayed"] for one in (*apart, *late)] == [True] * 4
    assert sorted((await owners(world)).values()) == sorted([world.fans[n] for n in (ME, TWIN, heir, heir)])
    await stock_holds(world)


async def test_a_key_is_nobody_elses_after_an_undoing(client: Client) -> None:
    world, gift = client.world, await offer(client, stock=50, perFanLimit=8)
    for who in (ME, TWIN, THIRD):
        await give_points(world, who, 180)
    await redeem(client, gift, TWIN, idempotencyKey="order-1")
    await redeem(client, gift, THIRD, idempotencyKey="order-2")
    first = await merge(world, ME, TWIN)
    await redeem(client, gift, THIRD, idempotencyKey="order-3")
    await merge(world, ME, THIRD)

    async with world.services.database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], first, later=Side.SURVIVOR, principal="staff:1")

    # whoever counts their orders uses what another used before
    mine = await redeem(client, gift, ME, idempotencyKey="order-1")
    theirs = [await redeem(client, gift, TWIN, idempotencyKey=f"order-{n}") for n in (1, 2, 3)]
    thirds = [await redeem(client, gift, THIRD, idempotencyKey=f"order-{n}") for n in (2, 3)]
    assert [one["replayed"] for one in (mine, *theirs, *thirds)] == [False, True, False, False, True, True]
    assert (await balances(world, TWIN)).active == 0
    await stock_holds(world)


async def test_orders_while_two_become_one_are_whole_or_not_there(client: Client) -> None:
    world, gift = client.world, await offer(client, stock=50, perFanLimit=8)
    for who in (ME, TWIN):
        await give_points(world, who, 600)

    async def order(who: str) -> bool:
        return not (await redeem(client, gift, who))["userErrors"]

    results = await asyncio.gather(*(order((ME, TWIN)[n % 2]) for n in range(10)), merge(world, ME, TWIN))

    done = sum(map(int, results[:10]))
    assert set((await owners(world)).values()) == {world.fans[ME]}
    assert (await stock_of(world, gift), (await balances(world, ME)).held) == (50 - done, 60 * done)
    await stock_holds(world)


async def test_what_a_fan_exports_says_what_they_ordered_and_where_it_goes(client: Client) -> None:
    gift = await offer(client)
    made = await ordered(client, ME, gift, delivery=DELIVERY)

    (shown,) = (await exported(client, ME, ["redemptions"]))["redemptions"]

    assert (shown["number"], shown["points"], shown["delivery"]) == (made["number"], 60, DELIVERY)
    assert "deliveryCipher" not in shown


async def test_an_erasure_leaves_the_order_without_a_name_and_without_where_it_went(client: Client) -> None:
    world, gift = client.world, await offer(client)
    made = await ordered(client, ME, gift, delivery=DELIVERY)

    await client.data(ME, ERASE)
    await work(world)

    after = await contents(world.services.database)
    assert naming(after, world.fans[ME]) <= {"erasures", "jobs"}
    (row,) = after["redemptions"]
    assert (row["number"], row["points"], row["delivery_cipher"]) == (made["number"], 60, None)
    answer = await act(client, "B1", "cancelRedemption", redemptionId=made["redemptionId"], reason="erased")
    assert answer["userErrors"] == []
    await stock_holds(world)


async def test_many_that_are_not_paid_end_however_many_work_on_it(client: Client) -> None:
    world, gift = client.world, await offer(client, stock=30, cash="1.00")
    for number in range(12):
        await ordered(client, f"g1/b1/d1#{number % 4 + 1}", gift, cash="1.00")
    later = clock.now().replace(year=clock.now().year + 1)

    with clock.at(later):
        runs = await asyncio.gather(*(expire_unpaid(world.services.database, limit=n) for n in (5, AT_ONCE, AT_ONCE)))
        runs.append(await expire_unpaid(world.services.database))

    assert sum(runs) == 12
    assert await stock_of(world, gift) == 30
    await stock_holds(world)


async def test_one_that_cannot_end_does_not_keep_the_others(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    world, gift = client.world, await offer(client, cash="1.00")
    for who in (ME, TWIN):
        await ordered(client, who, gift, cash="1.00")

    async def broken(session: Any, principal: str, row: Any, **more: Any) -> None:
        if row.fan_id == world.fans[ME]:
            raise RuntimeError("broken")
        await cancel(session, principal, row, **more)

    monkeypatch.setattr(upkeep, "cancel", broken)
    with clock.at(clock.now().replace(year=clock.now().year + 1)):
        assert await expire_unpaid(world.services.database) == 1

    assert await stock_of(world, gift) == 9
    await stock_holds(world)


@pytest.mark.postgresql
@pytest.mark.parametrize("who", ["HQ1", "B1", "B2", "D1", "D11", "S1", "G2", ME])
async def test_the_database_itself_shows_each_the_orders_of_their_fans(client: Client, who: str) -> None:
    world, gift = client.world, await offer(client)
    for name in ("g1/b1/d1#1", ME, "g1/b1/d11#1"):
        await ordered(client, name, gift)
    oracle = await oracle_of(world)
    wanted = {world.fans[ME]} if who == ME else oracle.seen(who, "Fan") & set((await owners(world)).values())

    async with bare(world, await scope_of(world, who)) as connection:
        seen = {row.fan_id for row in await connection.execute(select(redemptions))}

    assert seen == wanted


@pytest.mark.postgresql
async def test_the_lists_read_an_index_and_no_whole_table(client: Client) -> None:
    world, gift = client.world, await offer(client)
    await ordered(client, ME, gift)
    plans = {
        "fan_id = 1 AND gift_id = 1 AND state <> 'CANCELLED'": "ix_redemptions_counted",
        "state = 'CREATED' AND pay_until <= now() ORDER BY pay_until, id LIMIT 5": "ix_redemptions_unpaid",
        "brand_id = 1 AND state = 'CREATED' ORDER BY created_at, id LIMIT 5": "ix_redemptions_brand_state",
        "dealer_id = 1 ORDER BY created_at, id LIMIT 5": "ix_redemptions_dealer_created",
        "group_id = 1 ORDER BY created_at, id LIMIT 5": "ix_redemptions_group_created",
        "fan_id = 1 ORDER BY created_at, id LIMIT 5": "ix_redemptions_fan_created",
    }
    async with world.services.database.reading(EVERYTHING) as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        for where, index in plans.items():
            rows = await session.execute(text(f"EXPLAIN SELECT * FROM redemptions WHERE {where}"))  # noqa: S608
            plan = "\n".join(row[0] for row in rows)
            assert index in plan, plan
            assert "Sort" not in plan, plan


async def test_points_of_an_erased_fan_stay_gone(client: Client) -> None:
    world, gift = client.world, await offer(client)
    mine = await ordered(client, ME, gift)
    await client.data(ME, ERASE)
    await work(world)

    answer = await act(client, "B1", "cancelRedemption", redemptionId=mine["redemptionId"], reason="gone")

    assert answer["userErrors"] == []
    owed = "query($b: ID!) { pointsLiability(brandId: $b) { outstanding held } }"
    found = (await client.data("B1", owed, b=world.id("Brand", "g1/b1")))["pointsLiability"]
    assert {name: int(points) for name, points in found.items()} == {"outstanding": 0, "held": 0}
