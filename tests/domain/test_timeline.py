"""The timeline of a fan is what a plain sort of all that happened to them is, page by page, both ways."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from domain import clock
from domain.events.models import EventCount, FanEvent
from domain.fans.queries import get_fan
from domain.orders.models import Order
from domain.page import PageArgs
from domain.points.ledger.models import PointAccount, PointTransfer, TransferKind
from domain.points.ledger.rules import Earn
from domain.points.ledger.service import earn
from domain.points.programme.queries import programme_of
from domain.ranges import TimeRange
from domain.tables import table_of
from domain.timeline.changes import Change, record
from domain.timeline.models import ChangeAct, ChangeKind, FanChange
from domain.timeline.queries import activity_by_fan, list_timeline
from domain.timeline.sources import TimelineKind
from tests.cast import EVERYTHING
from tests.statements import statements_of
from tests.world import START, World

FAN = "g1/b1/d1#1"
ALL = frozenset(TimelineKind)
events, orders, changes, counts = (table_of(model) for model in (FanEvent, Order, FanChange, EventCount))
accounts, transfers = table_of(PointAccount), table_of(PointTransfer)
Entry = tuple[datetime, int, int, str]


async def fill(world: World, chance: random.Random) -> list[Entry]:
    """Let much happen to a fan, often at one moment, and return it newest first."""
    async with world.services.database.writing(EVERYTHING) as session:
        fan = await get_fan(session, EVERYTHING, world.fans[FAN])
        own = {"group_id": fan.group_id, "brand_id": fan.brand_id, "fan_id": fan.id}
        await session.execute(delete(changes).where(changes.c.fan_id == fan.id))
        programme = await programme_of(session, fan.brand_id)
        joined = insert(accounts).values(**own, former=True).returning(accounts.c.id)
        former = (await session.execute(joined)).scalar_one()
        for number in range(25):
            moment = START + timedelta(days=chance.randrange(8))
            seen = {**own, "name": "scan", "occurred_at": moment, "received_at": moment}
            await session.execute(insert(events).values(seen))
            order = {**own, "source": "t", "number": str(number), "state": "PAID", "amount": 5, "currency": "CNY"}
            if number % 3 == 0:
                await session.execute(insert(orders).values(**order, item_count=1, placed_at=moment))
            await earn(session, programme, [Earn(fan.id, f"t:{number}", 1, at=moment)], actor="test")
            if number % 5 == 0:
                await session.execute(insert(transfers).values(_before_the_merge(fan, former, number, moment)))
            kind = chance.choice(list(ChangeKind))
            place = (fan.group_id, fan.brand_id, fan.id)
            await record(session, [Change(*place, kind, ChangeAct.CHANGED, "test", at=moment)])
        found: list[Entry] = []
        for rank, table, at in ((1, events, "occurred_at"), (2, orders, "placed_at"), (3, changes, "at")):
            for row in await session.execute(select(table).where(table.c.fan_id == fan.id)):
                said = {1: "EVENT", 2: "ORDER"}.get(rank) or row.kind
                found.append((getattr(row, at), rank, row.id, str(said)))
        mine = select(transfers).where(
            transfers.c.account_id.in_(select(accounts.c.id).where(accounts.c.fan_id == fan.id))
        )
        found += [(row.occurred_at, 4, row.id, "POINTS") for row in await session.execute(mine)]
    return sorted(found, reverse=True)


def _before_the_merge(fan: Any, account_id: int, number: int, moment: datetime) -> dict[str, Any]:
    """Return a transfer of the account of somebody who is the fan now."""
    place = {"group_id": fan.group_id, "brand_id": fan.brand_id, "account_id": account_id, "source": f"former:{number}"}
    sums = dict.fromkeys(("points", "growth", "balance", "growth_balance"), 0)
    said = {"kind": TransferKind.ADJUST.value, "reason": "r", "actor": "test"}
    return {**place, **sums, **said, "occurred_at": moment, "recorded_at": moment}


def lies(moment: datetime, at: TimeRange | None) -> bool:
    """Tell whether a moment lies in a range whose bounds are given."""
    if at is None or at.since is None or at.before is None:
        return True
    return at.since <= moment < at.before


@pytest.mark.parametrize("size", [1, 4, 50])
async def test_pages_forward_and_backward_show_all_that_happened_once_and_in_order(world: World, size: int) -> None:
    wanted = await fill(world, random.Random(size))
    kinds = frozenset({TimelineKind.EVENT, TimelineKind.TAG, TimelineKind.ORDER})

    async with world.services.database.reading(EVERYTHING) as session:
        fan = await get_fan(session, EVERYTHING, world.fans[FAN])
        for chosen, at in (
            (ALL, None),
            (kinds, None),
            (ALL, TimeRange(START + timedelta(days=2), START + timedelta(days=5))),
        ):

            async def walk(chosen: Any = chosen, at: Any = at, **window: Any) -> Any:
                return await list_timeline(session, EVERYTHING, fan, PageArgs(**window), chosen, at)

            names = {kind.value for kind in chosen}
            expected = [entry for entry in wanted if entry[3] in names and lies(entry[0], at)]
            there: list[Entry] = []
            back: list[Entry] = []
            cursor = None
            while cursor is not None or not there:
                page = await walk(first=size, after=cursor)
                there += [(row.at, row.rank, row.id, row.kind) for row in page.rows]
                cursor = page.cursors[-1] if page.has_next else None
            while cursor is not None or not back:
                page = await walk(last=size, before=cursor)
                back = [*((row.at, row.rank, row.id, row.kind) for row in page.rows), *back]
                cursor = page.cursors[0] if page.has_previous else None

            assert there == back == expected


async def test_a_page_is_one_statement(world: World) -> None:
    await fill(world, random.Random(1))
    async with world.services.database.reading(EVERYTHING) as session:
        fan = await get_fan(session, EVERYTHING, world.fans[FAN])
        with statements_of(world.services.database) as seen:
            await list_timeline(session, EVERYTHING, fan, PageArgs(first=50), ALL, None)

    assert len(seen) == 1


async def test_what_a_fan_did_lately_is_counted_by_the_days_of_the_brand(world: World) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        fan = await get_fan(session, EVERYTHING, world.fans[FAN])
        own = {"group_id": fan.group_id, "brand_id": fan.brand_id, "fan_id": fan.id}
        for day, name, count in ((31, "scan", 1), (25, "scan", 2), (24, "like", 4), (1, "scan", 8)):
            moment = date(2026, 5, day) if day != 1 else date(2026, 5, 2)
            await session.execute(insert(counts).values(**own, name=name, day=moment, count=count))

        # 23:30 in UTC is the next day in Shanghai
        with clock.at(datetime(2026, 5, 30, 23, 30, tzinfo=UTC)):
            found = (await activity_by_fan(session, [fan]))[fan.id]

    shown = [(one.days, one.count, [(name.name, name.count) for name in one.names]) for one in found]
    assert shown == [
        (1, 1, [("scan", 1)]),
        (7, 3, [("scan", 3)]),
        (30, 15, [("scan", 11), ("like", 4)]),
    ]
