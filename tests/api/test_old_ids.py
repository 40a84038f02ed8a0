"""The id of a fan who was merged away, in mutations that come while the merge is undone: it means who comes back."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from sqlalchemy import select

from domain.persons.models import Side
from domain.persons.unmerging import unmerge
from domain.privacy.models import Erasure
from domain.tables import table_of
from domain.tags.models import FanTag
from tests.api.test_add_fan_tags import ADD
from tests.api.test_points import ADJUST
from tests.cast import EVERYTHING
from tests.domain.test_mall import merge
from tests.mall import REDEEM, balances, give_points, offer
from tests.world import Client, World

pytestmark = pytest.mark.postgresql

# FAN was merged into OTHER, and comes back
FAN, OTHER = "g1/b1/d1#1", "g1/b1/d1#2"
ERASE = "mutation($i: EraseFanInput!) { eraseFan(input: $i) { userErrors { code field } receipt } }"


async def meanwhile(world: World, merged: int, call: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Answer a call that comes before the undoing of a merge is committed, and has to wait for it."""
    async with world.services.database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merged, later=Side.SURVIVOR, principal="staff:1")
        waiting = asyncio.create_task(call)
        await asyncio.sleep(0.5)
        assert not waiting.done()
    answer = await waiting
    (payload,) = answer.values()
    assert payload["userErrors"] == []
    return answer


async def rows(world: World, *columns: Any) -> set[Any]:
    async with world.services.database.reading(EVERYTHING) as session:
        return set((await session.execute(select(*columns))).scalars())


async def test_a_gift_is_paid_by_who_comes_back(client: Client) -> None:
    world, gift = client.world, await offer(client)
    for name in (FAN, OTHER):
        await give_points(world, name, 100)
    merged = await merge(world, OTHER, FAN)
    wanted = {"fanId": world.id("Fan", FAN), "giftId": gift, "points": 60, "idempotencyKey": "k"}

    await meanwhile(world, merged, client.data("B1", REDEEM, i=wanted))

    assert [(await balances(world, name)).held for name in (FAN, OTHER)] == [60, 0]


async def test_points_are_given_by_hand_to_who_comes_back(client: Client) -> None:
    world = client.world
    merged = await merge(world, OTHER, FAN)
    wanted = {"fanId": world.id("Fan", FAN), "points": 7, "reason": "r", "idempotencyKey": "k"}

    await meanwhile(world, merged, client.data("B1", ADJUST, i=wanted))

    assert [(await balances(world, name)).spendable for name in (FAN, OTHER)] == [7, 0]


async def test_who_comes_back_is_erased_and_not_who_stays(client: Client) -> None:
    world = client.world
    merged = await merge(world, OTHER, FAN)
    wanted = {"fanId": world.id("Fan", FAN), "reason": "asked", "confirm": True}

    await meanwhile(world, merged, client.data("B1", ERASE, i=wanted))

    assert await rows(world, table_of(Erasure).c.fan_id) == {world.fans[FAN]}


async def test_tags_are_put_on_who_comes_back(client: Client) -> None:
    world = client.world
    made = "mutation($i: CreateTagInput!) { createTag(input: $i) { userErrors { code } tag { id } } }"
    created = await client.data("B1", made, i={"brandId": world.id("Brand", "g1/b1"), "name": "new"})
    merged = await merge(world, OTHER, FAN)
    wanted = {"fanIds": [world.id("Fan", FAN)], "tagIds": [created["createTag"]["tag"]["id"]]}
    on = table_of(FanTag)
    before = await rows(world, on.c.tag_id)

    await meanwhile(world, merged, client.data("B1", ADD, i=wanted))

    (new,) = await rows(world, on.c.tag_id) - before
    async with world.services.database.reading(EVERYTHING) as session:
        assert (await session.execute(select(on.c.fan_id).where(on.c.tag_id == new))).scalars().all() == [
            world.fans[FAN]
        ]
