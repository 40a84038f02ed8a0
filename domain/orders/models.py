from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Index, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.tables import key, moment, ref, within


class OrderState(StrEnum):
    """Where an order stands (订单状态)."""

    CREATED = "CREATED"
    PAID = "PAID"
    SHIPPED = "SHIPPED"
    RECEIVED = "RECEIVED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    REFUNDED = "REFUNDED"


# An order counts as spend from payment on, until it is cancelled or wholly refunded.
SPENT = (OrderState.PAID, OrderState.SHIPPED, OrderState.RECEIVED, OrderState.COMPLETED)


class Order(SQLModel, table=True):
    """An order (订单), known by its number in the system it comes from. Amounts are in minor units of `currency`.

    `refunded` is the sum of its refunds, `received_at` when the fan had what they bought, as far as anybody said.
    """

    __tablename__ = "orders"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        within("fans", "brand_id", "fan_id"),
        within("dealers", "brand_id", "dealer_id"),
        within("stores", "dealer_id", "store_id"),
        UniqueConstraint("brand_id", "source", "number"),
        UniqueConstraint("brand_id", "id"),
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint("store_id IS NULL OR dealer_id IS NOT NULL", name="store_in_dealer"),
        CheckConstraint(f"state IN ({', '.join(repr(s.value) for s in OrderState)})", name="state"),
        Index("ix_orders_fan_placed", "fan_id", "placed_at", "id"),
        Index("ix_orders_group_placed", "group_id", "placed_at", "id"),
        Index("ix_orders_brand_placed", "brand_id", "placed_at", "id"),
        Index("ix_orders_dealer_placed", "dealer_id", "placed_at", "id"),
        Index("ix_orders_store_placed", "store_id", "placed_at", "id"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    dealer_id: int | None = ref(nullable=True)
    store_id: int | None = ref(nullable=True)
    source: str = Field(sa_type=String(64))
    number: str = Field(sa_type=String(128))
    state: OrderState = Field(sa_type=String(16))
    amount: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=String(3))
    item_count: int = Field(default=0)
    placed_at: datetime = moment()
    received_at: datetime | None = moment(nullable=True)
    refunded: int = Field(default=0, sa_type=BigInteger)
    version: int = Field(default=1)
    created_at: datetime = moment(now=True)
    updated_at: datetime = moment(now=True)


class OrderLine(SQLModel, table=True):
    """One line of an order: a product, how many, for how much in all."""

    __tablename__ = "order_lines"
    __table_args__ = (
        within("orders", "brand_id", "order_id"),
        UniqueConstraint("order_id", "position"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("amount >= 0", name="amount"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    order_id: int = ref()
    position: int
    product_code: str | None = Field(default=None, sa_type=String(128))
    title: str = Field(sa_type=String(300))
    quantity: int
    amount: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=String(3))


class OrderRefund(SQLModel, table=True):
    """Money of an order that was paid back (退款), known by its number in the system the order comes from."""

    __tablename__ = "order_refunds"
    __table_args__ = (
        within("orders", "brand_id", "order_id"),
        UniqueConstraint("order_id", "number"),
        CheckConstraint("amount > 0", name="amount"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    order_id: int = ref()
    number: str = Field(sa_type=String(128))
    amount: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=String(3))
    refunded_at: datetime = moment()
    created_at: datetime = moment(now=True)
