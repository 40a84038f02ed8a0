"""Writes of refunds: money of an order that was paid back, in bulk and as often as it is sent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, case, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.batches import ErrorPolicy, Problem, RowOutcome, RowResult
from domain.fans.sums import lock_fans, recompute_spend
from domain.money import to_minor
from domain.orders.changes import announce
from domain.orders.models import SPENT, Order, OrderRefund, OrderState
from domain.orders.rules import RefundInput, refund_problems
from domain.tables import table_of
from domain.tenancy.models import Brand

orders, refunds = table_of(Order), table_of(OrderRefund)
_PAID = frozenset(state.value for state in SPENT)


@dataclass(frozen=True)
class RefundBatch:
    """Refunds of orders of one brand from one source system."""

    source: str
    refunds: Sequence[RefundInput]
    policy: ErrorPolicy = ErrorPolicy.REJECT_FAILED_ROWS


@dataclass(slots=True)
class _Order:
    """An order as the refunds of the batch leave it."""

    row: Any
    left: int
    known: dict[str, int]


async def record_refunds(
    session: AsyncSession, principal: str, brand: Brand, batch: RefundBatch
) -> tuple[list[RowResult], bool]:
    """Write the batch; say what came of each row, with its order's id, and whether anything was written.

    A refund is known by its order and number: sent again it changes nothing. One of more than is left is refused. An
    order that was paid back wholly is REFUNDED.
    """
    now = clock.now()
    results = [RowResult(index, RowOutcome.REJECTED) for index in range(len(batch.refunds))]
    for result, refund in zip(results, batch.refunds, strict=True):
        result.problems = refund_problems(refund, brand.currency, now)
    sound = {refund.order_number for r, refund in zip(results, batch.refunds, strict=True) if not r.problems}
    known = await _locked(session, brand, batch.source, sound)
    rows = [_judged(brand, known, result, one) for result, one in zip(results, batch.refunds, strict=True)]
    wanted = [row for row in rows if row is not None]
    if batch.policy is ErrorPolicy.REJECT_EVERYTHING and any(result.problems for result in results):
        return [_untouched(result) for result in results], False
    if wanted:
        await _write(session, brand, known.values(), wanted)
        detail = {"source": batch.source, "orders": sorted({row["order_id"] for row in wanted})}
        deed = audit.Deed(brand.group_id, brand.id, "order:refund", f"Brand:{brand.id}", detail)
        await audit.record(session, principal, [deed])
    return results, bool(wanted)


def _untouched(result: RowResult) -> RowResult:
    return result if result.problems else RowResult(result.index, RowOutcome.REJECTED)


async def _locked(session: AsyncSession, brand: Brand, source: str, numbers: Iterable[str]) -> dict[str, _Order]:
    """Lock the orders' fans, as who records orders does, then the orders, and read what was paid back of them."""
    mine = (orders.c.brand_id == brand.id, orders.c.source == source, orders.c.number.in_(sorted(numbers)))
    owners = set((await session.execute(select(orders.c.fan_id).where(*mine))).scalars())
    if not owners:
        return {}
    await lock_fans(session, owners)
    rows = (await session.execute(select(orders).where(*mine).order_by(orders.c.id).with_for_update())).all()
    found = {row.id: _Order(row, row.amount - row.refunded, {}) for row in rows}
    paid_back = select(refunds.c.order_id, refunds.c.number, refunds.c.amount)
    for row in await session.execute(paid_back.where(refunds.c.order_id.in_(sorted(found)))):
        found[row.order_id].known[row.number] = row.amount
    return {one.row.number: one for one in found.values()}


def _judged(brand: Brand, known: Mapping[str, _Order], result: RowResult, refund: RefundInput) -> dict[str, Any] | None:
    """Return the row to write, or None where there is nothing to, and say in the result what came of it."""
    if result.problems:
        return None
    order = known.get(refund.order_number)
    if order is None:
        result.problems.append(Problem("orderNumber", "is no order of this source", "NOT_FOUND"))
        return None
    amount = to_minor(refund.amount, brand.currency)
    if order.known.get(refund.number) == amount:
        result.outcome, result.id = RowOutcome.UNCHANGED, order.row.id
        return None
    problem = _refusal(order, refund.number, amount)
    if problem is not None:
        result.problems.append(problem)
        return None
    order.known[refund.number] = amount
    order.left -= amount
    result.outcome, result.id = RowOutcome.CREATED, order.row.id
    now = clock.now()
    place = {"group_id": brand.group_id, "brand_id": brand.id, "order_id": order.row.id, "currency": order.row.currency}
    said = {"number": refund.number, "amount": amount, "refunded_at": refund.refunded_at or now}
    return {**place, **said, "created_at": now}


def _refusal(order: _Order, number: str, amount: int) -> Problem | None:
    if number in order.known:
        return Problem("amount", "is another than before under this number", "REFUND_DIFFERS")
    if order.row.state not in _PAID:
        return Problem("orderNumber", "is of an order that nothing can be paid back of", "NOT_REFUNDABLE")
    if amount > order.left:
        return Problem("amount", "is more than is left of the order", "REFUND_TOO_LARGE")
    return None


async def _write(session: AsyncSession, brand: Brand, known: Iterable[_Order], rows: list[dict[str, Any]]) -> None:
    await session.execute(insert(refunds), rows)
    changed = {row["order_id"]: 0 for row in rows}
    for row in rows:
        changed[row["order_id"]] += row["amount"]
    more = orders.c.refunded + bindparam("more", type_=orders.c.refunded.type)
    gone = case((more >= orders.c.amount, OrderState.REFUNDED.value), else_=orders.c.state)
    values = {"refunded": more, "state": gone, "version": orders.c.version + 1, "updated_at": clock.now()}
    statement = update(orders).where(orders.c.id == bindparam("order")).values(**values)
    await session.execute(statement, [{"order": order, "more": amount} for order, amount in changed.items()])
    await recompute_spend(session, {one.row.fan_id for one in known if one.row.id in changed})
    await announce(session, brand, sorted(changed))
