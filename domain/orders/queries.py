"""Reads of orders."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import FromClause, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.errors import NotFound
from domain.ids import BrandId, DealerId, FanId
from domain.inputs import said
from domain.orders.models import Order, OrderLine, OrderState
from domain.page import Page, PageArgs, Sort, Window, read, window
from domain.ranges import IntRange, TimeRange, within_ints, within_times
from domain.scope import Scope
from domain.tables import table_of

PERMISSION = "order:read"
orders, order_lines = table_of(Order), table_of(OrderLine)
NEWEST = (orders.c.placed_at.desc(), orders.c.id.desc())


@dataclass(frozen=True)
class OrderFilter:
    """Conditions on orders; all given ones must hold."""

    brand_id: BrandId | None = said("Orders of this brand.", None)
    dealer_id: DealerId | None = said("Orders of this dealer.", None)
    fan_id: FanId | None = said("Orders of this fan.", None)
    source: str | None = said("Orders from this system.", None)
    number: str | None = said("Orders with this number in their system.", None)
    state: OrderState | None = said("Orders in this state.", None)
    amount: IntRange | None = said("What they cost, in minor units (分) of the order's currency.", None)
    placed_at: TimeRange | None = said("When they were placed.", None)


class OrderSort(StrEnum):
    """How a list of orders is sorted."""

    PLACED_AT_DESC = "PLACED_AT_DESC"
    PLACED_AT_ASC = "PLACED_AT_ASC"


SORTS = {
    OrderSort.PLACED_AT_ASC: Sort("placed", (orders.c.placed_at, orders.c.id)),
    OrderSort.PLACED_AT_DESC: Sort("-placed", (orders.c.placed_at, orders.c.id), descending=True),
}


async def get_order(session: AsyncSession, scope: Scope, order_id: int) -> Order:
    """Return the order. Raises NotFound where there is none or the caller may not read it."""
    found = await orders_by_id(session, scope, [order_id])
    if order_id not in found:
        raise NotFound
    return found[order_id]


async def orders_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, Order]:
    return await reads.by_id(session, scope.where(PERMISSION, orders), Order, ids)


async def list_orders(
    session: AsyncSession, scope: Scope, args: PageArgs, wanted: OrderFilter | None, sort: OrderSort
) -> Page[Order]:
    """Return a page of the orders the caller may read and that meet the filter."""
    return await read(session, cut_orders(scope, args, wanted, sort))


def cut_orders(scope: Scope, args: PageArgs, wanted: OrderFilter | None, sort: OrderSort) -> Window:
    """Return the page of `list_orders` before it is read."""
    statement = select_orders(scope)
    for name in ("brand_id", "dealer_id", "fan_id", "source", "number", "state"):
        if wanted is not None and (value := getattr(wanted, name)) is not None:
            statement = statement.where(orders.c[name] == value)
    if wanted is not None and wanted.amount is not None:
        statement = statement.where(*within_ints(orders.c.amount, wanted.amount))
    if wanted is not None and wanted.placed_at is not None:
        statement = statement.where(*within_times(orders.c.placed_at, wanted.placed_at))
    return window(statement, SORTS[sort], args)


def select_orders(scope: Scope) -> Select[Any]:
    """Select the orders the caller may read."""
    return select(orders).where(scope.where(PERMISSION, orders))


def last_orders_of_each(scope: Scope, fan: FromClause, *, first: int) -> Select[Any]:
    """Select the newest `first` orders of a fan of an outer statement that the caller may read."""
    own = select_orders(scope).where(orders.c.fan_id == fan.c.id)
    return own.order_by(*NEWEST).limit(first).correlate(fan)


def lines_of_each(scope: Scope, order: FromClause, *, first: int) -> Select[Any]:
    """Select the first lines of an order of an outer statement, which was read under the caller's scope."""
    own = select(order_lines).where(order_lines.c.order_id == order.c.id)
    return own.order_by(order_lines.c.position).limit(first).correlate(order)


async def last_orders_by_fan(
    session: AsyncSession, scope: Scope, fan_ids: Sequence[int], first: int
) -> dict[int, list[Order]]:
    """Return the newest `first` orders of each fan that the caller may read, in one statement."""
    statement = reads.first_of_each(select_orders(scope), "fan_id", fan_ids, NEWEST, first)
    return reads.grouped(await reads.rows(session, statement, Order), lambda row: row.fan_id)


async def lines_by_order(session: AsyncSession, order_ids: Sequence[int], first: int) -> dict[int, list[OrderLine]]:
    """Return the first lines of each order. The orders must have been read under the caller's scope already."""
    statement = reads.first_of_each(select(order_lines), "order_id", order_ids, (order_lines.c.position,), first)
    return reads.grouped(await reads.rows(session, statement, OrderLine), lambda row: row.order_id)
