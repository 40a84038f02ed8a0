"""The lines of orders: replaced as a whole where they came anew and differ."""

from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.money import to_minor
from domain.orders.models import OrderLine
from domain.orders.rules import OrderInput, OrderLineInput
from domain.reads import grouped
from domain.tables import table_of
from domain.tenancy.models import Brand

order_lines = table_of(OrderLine)


async def with_other_lines(
    session: AsyncSession, currency: str, known: dict[str, Any], latest: dict[str, tuple[int, OrderInput]]
) -> set[str]:
    """Return the numbers of the known orders whose lines came anew and differ from those stored."""
    sent = {known[number].id: number for number, (_, order) in latest.items() if number in known and order.lines}
    if not sent:
        return set()
    statement = select(order_lines).where(order_lines.c.order_id.in_(sorted(sent))).order_by(order_lines.c.position)
    stored = grouped(await session.execute(statement), lambda row: row.order_id)
    shape = ("title", "quantity", "amount", "product_code")
    return {
        number
        for order_id, number in sent.items()
        if [tuple(getattr(row, name) for name in shape) for row in stored.get(order_id, [])]
        != [tuple(_line(line, currency)[name] for name in shape) for line in latest[number][1].lines]
    }


async def replace_lines(session: AsyncSession, brand: Brand, changed: dict[int, OrderInput], had: set[int]) -> None:
    """Write the lines that changed orders came with. Those of `had`, the orders that were known, are replaced."""
    with_lines = {order_id: order for order_id, order in changed.items() if order.lines}
    replaced = sorted(had & set(with_lines))
    if replaced:
        await session.execute(delete(order_lines).where(order_lines.c.order_id.in_(replaced)))
    rows = [
        {
            "group_id": brand.group_id,
            "brand_id": brand.id,
            "order_id": order_id,
            "position": position,
            **_line(line, brand.currency),
        }
        for order_id, order in with_lines.items()
        for position, line in enumerate(order.lines, start=1)
    ]
    if rows:
        await session.execute(insert(order_lines), rows)


def _line(line: OrderLineInput, currency: str) -> dict[str, Any]:
    return {**vars(line), "amount": to_minor(line.amount, currency), "currency": currency}
