"""What orders hold about a fan. They stay for the books, under a stand-in nobody can be found by."""

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.orders.models import Order, OrderLine
from domain.privacy.subject import Found, Holding, Subject, hands_over, plainly, shows
from domain.reads import grouped
from domain.tables import table_of

orders, lines = table_of(Order), table_of(OrderLine)


def _orders(subject: Subject) -> Select[Any]:
    return select(orders).where(orders.c.fan_id == subject.fan_id)


def _order(subject: Subject, row: Any) -> dict[str, Any]:
    return plainly(subject, row) | {"key": row.id}


_heads = shows(_orders, (orders.c.placed_at, orders.c.id), _order)


async def _with_lines(session: AsyncSession, subject: Subject, after: str | None, limit: int) -> Found:
    found = await _heads(session, subject, after, limit)
    ids = [row.pop("key") for row in found.rows]
    wanted = select(lines).where(lines.c.order_id.in_(ids)).order_by(lines.c.order_id, lines.c.position)
    by_order = grouped(await session.execute(wanted), lambda row: row.order_id)
    for order_id, row in zip(ids, found.rows, strict=True):
        row["lines"] = [plainly(subject, line) for line in by_order.get(order_id, [])]
        for line in row["lines"]:
            del line["orderId"]
    return found


HOLDING = Holding(tables=("orders",), sections={"orders": _with_lines}, erase=(hands_over(orders),))
