"""Orders."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from domain.access.rules import Node
from domain.batches import MAX_ROWS, ErrorPolicy, Problem, RowOutcome, RowResult
from domain.errors import BadInput, NotFound
from domain.fans.models import Fan
from domain.fans.queries import fans_by_id
from domain.idempotency import Answer, Once, run_once
from domain.ids import BrandId, OrderId
from domain.inputs import said
from domain.orders import queries, service
from domain.orders.models import Order, OrderLine
from domain.orders.queries import OrderFilter, OrderSort
from domain.orders.refunds import RefundBatch, record_refunds
from domain.orders.rules import OrderInput, RefundInput
from domain.orders.service import OrderBatch
from domain.page import Page, PageArgs, Window
from domain.tenancy.models import Brand
from domain.tenancy.queries import brands_by_id
from resolvers.context import Context


async def get_order(context: Context, *, id: OrderId) -> Order:
    """Return an order."""
    async with context.reading() as session:
        return await queries.get_order(session, context.scope, id)


async def list_orders(
    context: Context,
    *,
    page: PageArgs,
    filter: OrderFilter | None = None,
    order_by: OrderSort = OrderSort.PLACED_AT_DESC,
) -> Page[Order]:
    """List the orders the caller may see."""
    async with context.reading() as session:
        return await queries.list_orders(session, context.scope, page, filter, order_by)


def cut_orders(
    context: Context,
    *,
    page: PageArgs,
    filter: OrderFilter | None = None,
    order_by: OrderSort = OrderSort.PLACED_AT_DESC,
) -> Window:
    """Return the page of `list_orders` before it is read."""
    return queries.cut_orders(context.scope, page, filter, order_by)


async def my_orders(context: Context, *, page: PageArgs) -> Page[Order]:
    """List the caller's own orders, newest first."""
    async with context.reading() as session:
        return await queries.list_orders(session, context.scope, page, None, OrderSort.PLACED_AT_DESC)


async def last_orders_of(context: Context, fans: Sequence[Fan], *, first: int = 3) -> Sequence[list[Order]]:
    """Their newest orders, newest first."""
    async with context.reading() as session:
        found = await queries.last_orders_by_fan(session, context.scope, [fan.id for fan in fans], first)
    return [found.get(fan.id, []) for fan in fans]


async def lines_of(context: Context, orders: Sequence[Order], *, first: int = 50) -> Sequence[list[OrderLine]]:
    """What was bought, in the order of the receipt."""
    async with context.reading() as session:
        found = await queries.lines_by_order(session, [order.id for order in orders], first)
    return [found.get(order.id, []) for order in orders]


async def fans_of(context: Context, orders: Sequence[Order]) -> Sequence[Fan | None]:
    """The fan who bought, where the caller may see them."""
    async with context.reading() as session:
        found = await fans_by_id(session, context.scope, {order.fan_id for order in orders})
    return [found.get(order.fan_id) for order in orders]


@dataclass(frozen=True)
class OrderRecord:
    """Orders (at most 250) of one brand from one source system, under a key that makes sending them again harmless."""

    brand_id: BrandId = said("The brand.")
    source: str = said("The system the orders come from.")
    orders: list[OrderInput] = said("The orders, 1 to 250.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    error_policy: ErrorPolicy = said("What to do with rows that are refused.", ErrorPolicy.REJECT_FAILED_ROWS)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


@dataclass(frozen=True)
class RecordedRow:
    """What came of one row, with the order as it is now."""

    index: int
    outcome: RowOutcome
    order: Order | None
    problems: list[Problem]


@dataclass(frozen=True)
class RefundRecord:
    """Refunds (at most 250) of one brand's orders from one source system."""

    brand_id: BrandId = said("The brand.")
    source: str = said("The system the orders come from.")
    refunds: list[RefundInput] = said("The refunds, 1 to 250.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    error_policy: ErrorPolicy = said("What to do with rows that are refused.", ErrorPolicy.REJECT_FAILED_ROWS)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def record_order_refunds(context: Context, input: RefundRecord) -> dict[str, Any]:
    """Record what was paid back of orders: what they earned goes back too, and paid back wholly they are REFUNDED."""
    _check(input, "refunds", input.refunds)
    async with context.transaction(dry_run=input.dry_run) as session:
        brand = await _writable_brand(context, session, input.brand_id)

        async def effect() -> Answer:
            batch = RefundBatch(input.source, input.refunds, input.error_policy)
            rows, wrote = await record_refunds(session, context.viewer.principal, brand, batch)
            return Answer({"rows": [asdict(row) for row in rows]}, wrote)

        request = {**asdict(input), "idempotency_key": None, "dry_run": None}
        once = Once(context.viewer.principal, brand.group_id, "recordOrderRefunds", input.idempotency_key, request)
        answer, replayed = await run_once(session, once, effect)
        rows = [_row(row) for row in answer["rows"]]
        found = await queries.orders_by_id(session, context.scope, [row.id for row in rows if row.id])
    shown = {} if input.dry_run else found
    results = [RecordedRow(row.index, row.outcome, shown.get(row.id or 0), row.problems) for row in rows]
    return {"results": results, "replayed": replayed}


async def record_orders(context: Context, input: OrderRecord) -> dict[str, Any]:
    """Record orders of another system, in any order and as often as they are sent; each row has its own outcome."""
    _check(input, "orders", input.orders)
    async with context.transaction(dry_run=input.dry_run) as session:
        brand = await _writable_brand(context, session, input.brand_id)

        async def effect() -> Answer:
            batch = OrderBatch(input.source, input.orders, input.error_policy)
            rows = await service.record_orders(session, context.services.vault, context.viewer.principal, brand, batch)
            wrote = any(row.outcome is not RowOutcome.REJECTED for row in rows)
            return Answer({"rows": [asdict(row) for row in rows]}, wrote)

        request = {**asdict(input), "idempotency_key": None, "dry_run": None}
        once = Once(context.viewer.principal, brand.group_id, "recordOrders", input.idempotency_key, request)
        answer, replayed = await run_once(session, once, effect)
        rows = [_row(row) for row in answer["rows"]]
        found = await queries.orders_by_id(session, context.scope, [row.id for row in rows if row.id])
    shown = {} if input.dry_run else found
    results = [RecordedRow(row.index, row.outcome, shown.get(row.id or 0), row.problems) for row in rows]
    return {"results": results, "replayed": replayed}


def _row(stored: dict[str, Any]) -> RowResult:
    problems = [Problem(**problem) for problem in stored["problems"]]
    return RowResult(stored["index"], RowOutcome(stored["outcome"]), stored["id"], problems)


def _check(input: OrderRecord | RefundRecord, what: str, rows: Sequence[Any]) -> None:
    if not 1 <= len(rows) <= MAX_ROWS:
        raise BadInput(f"{what} takes 1 to {MAX_ROWS} rows.", field=("input", what))
    for name, text, limit in (("source", input.source, 64), ("idempotencyKey", input.idempotency_key, 128)):
        if not 1 <= len(text.strip()) <= limit or len(text) > limit:
            raise BadInput(f"{name} has 1 to {limit} characters.", field=("input", name))


async def _writable_brand(context: Context, session: Any, brand_id: int) -> Brand:
    brand = (await brands_by_id(session, context.scope, [brand_id])).get(brand_id)
    if brand is None or not context.scope.holds("order:write", Node(brand.group_id, brand.id)):
        raise NotFound("No such brand.", field=("input", "brandId"))
    return brand
