"""What an order must be, and what happens when two write the same one at once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from domain.batches import RowResult
from domain.errors import Conflict
from domain.fans.models import Fan
from domain.money import MAX_MINOR, to_decimal, to_minor
from domain.orders.models import SPENT, Order, OrderState
from domain.orders.rules import IdentityInput, OrderInput, OrderLineInput, problems
from domain.orders.service import OrderBatch, record_orders
from domain.persons.models import IdentityKind
from domain.tables import table_of
from domain.tenancy.models import Brand
from tests.cast import EVERYTHING
from tests.world import World

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FINE = OrderInput("N1", IdentityInput(IdentityKind.EXTERNAL_ID, "x", "test"), NOW, Decimal("10.00"))
fans, orders, brands = table_of(Fan), table_of(Order), table_of(Brand)


def faults(**changes: Any) -> list[str]:
    return [problem.field for problem in problems(replace(FINE, **changes), "CNY", NOW)]


def test_an_order_of_the_present_is_fine() -> None:
    assert faults() == []
    assert faults(placed_at=NOW + timedelta(minutes=5)) == []
    assert faults(placed_at=NOW + timedelta(minutes=5, seconds=1)) == ["placedAt"]
    assert faults(placed_at=datetime(2026, 3, 1)) == ["placedAt"]  # noqa: DTZ001


def test_everything_that_is_wrong_is_named_at_once() -> None:
    line = OrderLineInput("", 0, Decimal("0.001"), "x" * 129)

    found = faults(number="", amount=Decimal(-1), item_count=-1, store_id=5, lines=[line])

    assert found == [
        *("number", "amount", "itemCount", "storeId"),
        *("lines.0.title", "lines.0.quantity", "lines.0.amount", "lines.0.productCode"),
    ]


def test_only_a_place_can_be_left_out_of_a_refused_order() -> None:
    found = problems(replace(FINE, number="", store_id=5), "CNY", NOW)

    assert [(problem.field, problem.optional) for problem in found] == [("number", False), ("storeId", True)]


@pytest.mark.parametrize("text", ["", "none", "1234", "1" * 16, "🍵"])
def test_a_phone_without_a_number_leads_to_nobody(text: str) -> None:
    assert faults(fan=IdentityInput(IdentityKind.PHONE, text)) == ["fan.value"]


def test_what_counts_as_spent_is_what_is_paid_and_not_given_back() -> None:
    assert set(OrderState) - set(SPENT) == {OrderState.CREATED, OrderState.CANCELLED, OrderState.REFUNDED}


@given(st.integers(0, MAX_MINOR), st.sampled_from(["CNY", "JPY", "KWD"]))
def test_money_comes_back_as_it_went(minor: int, currency: str) -> None:
    assert to_minor(to_decimal(minor, currency), currency) == minor


@given(st.decimals(allow_nan=True, allow_infinity=True), st.sampled_from(["CNY", "JPY", "KWD"]))
def test_money_is_exact_or_refused(amount: Decimal, currency: str) -> None:
    try:
        minor = to_minor(amount, currency)
    except ValueError:
        return

    assert 0 <= minor <= MAX_MINOR
    assert to_decimal(minor, currency) == amount


async def _brand(world: World) -> Any:
    async with world.services.database.reading(EVERYTHING) as session:
        return (await session.execute(select(brands).where(brands.c.id == world.nodes["g1/b1"]))).one()


async def _record(world: World, session: Any, brand: Any, order: OrderInput) -> list[RowResult]:
    return await record_orders(session, world.services.vault, "test", brand, OrderBatch("race", [order]))


@pytest.mark.postgresql
async def test_an_order_that_another_makes_meanwhile_for_another_fan_is_a_conflict(world: World) -> None:
    brand, database = await _brand(world), world.services.database
    mine = replace(FINE, fan=IdentityInput(IdentityKind.EXTERNAL_ID, "g1/b1/d1#1", "test"))
    theirs = replace(FINE, fan=IdentityInput(IdentityKind.EXTERNAL_ID, "g1/b1/d1#2", "test"))

    async def second() -> None:
        async with database.writing(EVERYTHING) as session:
            await _record(world, session, brand, theirs)

    async with database.writing(EVERYTHING) as session:
        await _record(world, session, brand, mine)
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.3)
        assert not waiting.done()
    with pytest.raises(Conflict):
        await waiting
    await second()

    paid = select(orders.c.fan_id, func.sum(orders.c.amount).label("sum")).group_by(orders.c.fan_id)
    async with database.reading(EVERYTHING) as session:
        sums = {row.fan_id: int(row.sum) for row in await session.execute(paid)}
        said = {row.id: row.spend for row in await session.execute(select(fans.c.id, fans.c.spend))}
    assert said == {fan: sums.get(fan, 0) for fan in said}
    assert said[world.fans["g1/b1/d1#2"]] == 3000
