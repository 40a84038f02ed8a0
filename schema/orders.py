"""Orders."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.batches import RowOutcome
from domain.fans.queries import fan_of_each
from domain.orders.models import OrderState
from domain.orders.queries import lines_of_each, select_orders
from domain.tenancy.queries import brand_of_each, dealer_of_each, store_of_each
from resolvers import orders, tenancy
from schema import sql
from schema.arguments import enum_type
from schema.bind import Node, Payload, column, entity, mutation, query, relation, value
from schema.errors import UserError, problem_error
from schema.page import Connection
from schema.scalars import Money, amount_of, refunded_of
from schema.tenancy import Brand, Dealer, Store

if TYPE_CHECKING:
    from schema.fans import Fan

enum_type(OrderState)
enum_type(RowOutcome)
OneFan = Annotated["Fan", strawberry.lazy("schema.fans")]


@strawberry.type(description="One line of an order.")
class OrderLine:
    position: int = column("Its place on the receipt, from 1.")
    product_code: str | None = column("The product's code in the source system.")
    title: str = column("What was bought.")
    quantity: int = column("How many.")
    amount = value(amount_of, Money, "What they cost together.", sql=sql.amount_of)


@entity("An order (订单).")
class Order(Node):
    source: str = column("The system it comes from.")
    number: str = column("Its number there.")
    state: OrderState = column("Where it stands.")
    item_count: int = column("How many pieces it holds.")
    placed_at: datetime = column("When it was placed.")
    received_at: datetime | None = column("When the fan had it, as far as it is known.")
    amount = value(amount_of, Money, "What it costs.", sql=sql.amount_of)
    refunded = value(refunded_of, Money, "What of it was paid back.", sql=sql.refunded_of)
    lines = relation(orders.lines_of, list[OrderLine], each=lines_of_each)
    fan = relation(orders.fans_of, OneFan | None, permission="fan:read", each=fan_of_each)
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)
    dealer = relation(tenancy.dealers_of, Dealer | None, each=dealer_of_each)
    store = relation(tenancy.stores_of, Store | None, each=store_of_each)


@strawberry.type(description="An own order.")
class MyOrder:
    number: str = column("Its number.")
    state: OrderState = column("Where it stands.")
    item_count: int = column("How many pieces it holds.")
    placed_at: datetime = column("When it was placed.")
    amount = value(amount_of, Money, "What it costs.")
    lines = relation(orders.lines_of, list[OrderLine])


@strawberry.type(description="What came of one row of recordOrders.")
class RecordedOrder:
    index: int = column("The row's place in the input, from 0.")
    outcome: RowOutcome = column("What came of it.")
    order: Order | None = column("The order as it is now; null where it was rejected, and in a dry run.")
    user_errors = value(
        lambda row: [problem_error(["input", "orders", str(row.index)], problem) for problem in row.problems],
        list[UserError],
        "What is wrong with the row.",
        size=1,
    )


@strawberry.type(description="What recordOrders answers.")
class RecordOrdersPayload(Payload):
    results: list[RecordedOrder] | None = column("What came of each row, in the order of the input.", size=1)
    replayed: bool | None = column("Whether this is the answer an earlier request with the same key got.")


@strawberry.type(description="What came of one row of recordOrderRefunds.")
class RecordedRefund:
    index: int = column("The row's place in the input, from 0.")
    outcome: RowOutcome = column("What came of it: UNCHANGED where it was recorded before.")
    order: Order | None = column("The order as it is now; null where it was rejected, and in a dry run.")
    user_errors = value(
        lambda row: [problem_error(["input", "refunds", str(row.index)], problem) for problem in row.problems],
        list[UserError],
        "What is wrong with the row.",
        size=1,
    )


@strawberry.type(description="What recordOrderRefunds answers.")
class RecordOrderRefundsPayload(Payload):
    results: list[RecordedRefund] | None = column("What came of each row, in the order of the input.", size=1)
    replayed: bool | None = column("Whether this is the answer an earlier request with the same key got.")


@strawberry.type
class OrdersQuery:
    order = query(orders.get_order, Order, permission="order:read", select=select_orders)
    orders = query(orders.list_orders, Connection[Order], permission="order:read", cut=orders.cut_orders)


@strawberry.type
class OrdersMutation:
    record_orders = mutation(orders.record_orders, RecordOrdersPayload, permission="order:write", rows="orders")
    record_order_refunds = mutation(
        orders.record_order_refunds, RecordOrderRefundsPayload, permission="order:write", rows="refunds"
    )


@strawberry.type
class FanOrdersQuery:
    my_orders = query(orders.my_orders, Connection[MyOrder], permission="me:read")
