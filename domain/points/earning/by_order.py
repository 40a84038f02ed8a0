"""What orders earn, and what goes back of it when money does. Read off the orders themselves, as they are now."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import among
from domain.errors import Conflict
from domain.fans.holding import hold_fans
from domain.orders.models import SPENT, Order, OrderState
from domain.points.earning.by_event import ACTOR, rules_about
from domain.points.earning.granting import Earning, grant, grants
from domain.points.earning.models import Basis
from domain.points.earning.names import ORDER_PAID, ORDER_RECEIVED
from domain.points.earning.rules import Amounts, in_force, kept, wanted
from domain.points.earning.taking import Taking, take
from domain.points.ledger.accounts import lock_of_fans
from domain.points.programme.rules import Programme
from domain.tables import table_of

orders = table_of(Order)
# an order that was only placed, as an old message may say once more, is no reason to take anything back
_LOST = (OrderState.CANCELLED, OrderState.REFUNDED)


async def earn_by_orders(session: AsyncSession, programme: Programme, order_ids: Collection[int]) -> None:
    """Grant what the orders earn and was not granted, and take back what they have earned no more.

    Said again it comes to the same. An order earns by a rule once: what was taken back because it was cancelled does
    not come again, nor more for an amount that was put up later, and it stays with the fan whose it was then; the rest
    is for an adjustment by hand. Raises Conflict where an order changes hands meanwhile.
    """
    rules = await rules_about(session, programme.brand_id, (ORDER_PAID, ORDER_RECEIVED))
    of_rules = [rule for about in rules.values() for rule in about]
    seen = await _orders(session, programme, order_ids)
    earning = {row.fan_id for row in seen.values() if any(_earning(rule, row, row.fan_id) for rule in of_rules)}
    fans = await hold_fans(session, programme.brand_id, earning | await _granted_to(session, programme, order_ids))
    if fans:
        await lock_of_fans(session, programme, set(fans.values()))
    # whoever changes an order after this look leaves a note that is worked off after what is written here: the orders
    # are held, or another worker could work it off before what is granted here is there to be taken back
    now = await _orders(session, programme, order_ids, held=True)
    if any(now[order_id].fan_id != row.fan_id for order_id, row in seen.items() if order_id in now):
        raise Conflict
    await _take_back(session, programme, now)
    found = (_earning(rule, row, fans[row.fan_id]) for row in now.values() if row.fan_id in fans for rule in of_rules)
    await grant(session, programme, [one for one in found if one is not None], actor=ACTOR)


async def _orders(
    session: AsyncSession, programme: Programme, order_ids: Collection[int], *, held: bool = False
) -> dict[int, Any]:
    mine = (orders.c.brand_id == programme.brand_id, among(session, orders.c.id, sorted(set(order_ids))))
    wanted = select(orders).where(*mine).order_by(orders.c.id)
    return {row.id: row for row in await session.execute(wanted.with_for_update(read=True) if held else wanted)}


async def _granted_to(session: AsyncSession, programme: Programme, order_ids: Collection[int]) -> set[int]:
    of = (grants.c.brand_id == programme.brand_id, among(session, grants.c.order_id, sorted(set(order_ids))))
    return set((await session.execute(select(grants.c.fan_id).where(*of).distinct())).scalars())


def _earning(rule: Any, order: Any, fan_id: int) -> Earning | None:
    """Return what an order as it stands earns by a rule, if anything."""
    at = order.placed_at if rule.event == ORDER_PAID else order.received_at
    if at is None or order.state not in SPENT or rule.order_source not in (None, order.source):
        return None
    left = order.amount - order.refunded
    desired = wanted(rule, left)
    if not desired or not in_force(rule, at):
        return None
    by_amount = rule.basis == Basis.AMOUNT
    return Earning(
        rule,
        fan_id,
        f"rule:{rule.id}:order:{order.id}",
        at,
        desired,
        f"Order:{order.id}",
        order_id=order.id,
        units=left // rule.per_amount if by_amount else left,
        per_unit=rule.per_amount if by_amount else None,
    )


async def _take_back(session: AsyncSession, programme: Programme, now: Mapping[int, Any]) -> None:
    of = (
        grants.c.brand_id == programme.brand_id,
        among(session, grants.c.order_id, sorted(now)),
        grants.c.reversed_at.is_(None),
    )
    rows = (await session.execute(select(grants).where(*of).order_by(grants.c.id).with_for_update())).all()
    takings = [taking for row in rows if (taking := _taking(row, now[row.order_id])) is not None]
    await take(session, programme, takings, actor=ACTOR)


def _taking(row: Any, order: Any) -> Taking | None:
    """Return what of a grant is to go back and has not gone yet, if anything."""
    granted = Amounts(row.granted_points, row.granted_growth)
    stays = _stays(row, order, granted)
    more = granted.less(stays).less(Amounts(row.taken_points, row.taken_growth))
    reason = "order cancelled" if order.state == OrderState.CANCELLED else "order refunded"
    return Taking(row, more, reason, f"Order:{order.id}") if more else None


def _stays(row: Any, order: Any, granted: Amounts) -> Amounts:
    if order.state in _LOST:
        return Amounts(0, 0)
    if not row.units:
        # nothing was paid, so nothing can be paid back
        return granted
    left = (order.amount - order.refunded) // (row.per_unit or 1)
    return kept(granted, Amounts(row.desired_points, row.desired_growth), row.units, left)
