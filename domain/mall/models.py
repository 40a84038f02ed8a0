from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from domain.tables import key, moment, ref, within


class GiftState(StrEnum):
    """Whether a gift is offered. DRAFT was never offered; OFF_SALE is not offered any more, and may be again."""

    DRAFT = "DRAFT"
    ON_SALE = "ON_SALE"
    OFF_SALE = "OFF_SALE"


class Gift(SQLModel, table=True):
    """What fans get for points (礼品). One piece costs `points` and `cash`, the latter in minor units of `currency`.

    `least_level_id` is the level a fan has to stand on, or above. `stock` says how many are left of all that were ever
    put in, which is `stocked`. It changes by one conditional statement, never by a row read before.
    """

    __tablename__ = "gifts"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        UniqueConstraint("brand_id", "code"),
        UniqueConstraint("brand_id", "id"),
        CheckConstraint("points > 0", name="points"),
        CheckConstraint("cash >= 0", name="cash"),
        CheckConstraint("stock >= 0 AND stock <= stocked", name="stock"),
        CheckConstraint("per_fan_limit > 0", name="per_fan_limit"),
        CheckConstraint("sale_from < sale_until", name="sale"),
        CheckConstraint(f"state IN ({', '.join(repr(s.value) for s in GiftState)})", name="state"),
        Index("ix_gifts_group_id_id", "group_id", "id"),
        Index("ix_gifts_offered", "brand_id", "state", "id"),
        Index("ix_gifts_priced", "brand_id", "state", "points", "id"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    code: str = Field(sa_type=String(64))
    title: str = Field(sa_type=String(200))
    description: str | None = Field(default=None, sa_type=String(2000))
    image_url: str | None = Field(default=None, sa_type=String(500))
    category: str | None = Field(default=None, sa_type=String(100))
    state: GiftState = Field(default=GiftState.DRAFT, sa_type=String(8))
    points: int = Field(sa_type=BigInteger)
    cash: int = Field(default=0, sa_type=BigInteger)
    currency: str = Field(sa_type=String(3))
    stock: int = Field(default=0, sa_type=BigInteger)
    stocked: int = Field(default=0, sa_type=BigInteger)
    per_fan_limit: int | None = None
    least_level_id: int | None = ref(nullable=True)
    sale_from: datetime | None = moment(nullable=True)
    sale_until: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)
    updated_at: datetime = moment(now=True)


class RedemptionState(StrEnum):
    """Where a redemption stands (兑换单状态). FULFILLED and CANCELLED are for good."""

    CREATED = "CREATED"
    FULFILLED = "FULFILLED"
    CANCELLED = "CANCELLED"


_COUNTED, _UNPAID = text("state <> 'CANCELLED'"), text("state = 'CREATED' AND pay_until IS NOT NULL")


class Redemption(SQLModel, table=True):
    """An order of a gift (兑换单). `points` and `cash` are what all its pieces cost together, as they cost then.

    `hold_id` is the ledger's transfer that set the points aside. `pay_until` is there while money is waited for. Where
    it goes (`delivery_cipher`) is sealed. Dealer and store are the fan's of then, as an order's are.
    """

    __tablename__ = "redemptions"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        within("fans", "brand_id", "fan_id"),
        within("dealers", "brand_id", "dealer_id"),
        within("stores", "dealer_id", "store_id"),
        within("gifts", "brand_id", "gift_id"),
        UniqueConstraint("brand_id", "number"),
        UniqueConstraint("brand_id", "payment_reference"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("points > 0", name="points"),
        CheckConstraint("cash >= 0", name="cash"),
        CheckConstraint("pay_until IS NULL OR (cash > 0 AND paid_at IS NULL)", name="pay_until"),
        CheckConstraint("state <> 'FULFILLED' OR cash = 0 OR paid_at IS NOT NULL", name="paid"),
        CheckConstraint("store_id IS NULL OR dealer_id IS NOT NULL", name="store_in_dealer"),
        CheckConstraint(f"state IN ({', '.join(repr(s.value) for s in RedemptionState)})", name="state"),
        Index("ix_redemptions_fan_created", "fan_id", "created_at", "id"),
        Index("ix_redemptions_counted", "fan_id", "gift_id", sqlite_where=_COUNTED, postgresql_where=_COUNTED),
        Index("ix_redemptions_gift_created", "gift_id", "created_at", "id"),
        Index("ix_redemptions_group_created", "group_id", "created_at", "id"),
        Index("ix_redemptions_brand_created", "brand_id", "created_at", "id"),
        Index("ix_redemptions_brand_state", "brand_id", "state", "created_at", "id"),
        Index("ix_redemptions_dealer_created", "dealer_id", "created_at", "id"),
        Index("ix_redemptions_store_created", "store_id", "created_at", "id"),
        Index("ix_redemptions_hold_id", "hold_id"),
        Index("ix_redemptions_unpaid", "pay_until", "id", sqlite_where=_UNPAID, postgresql_where=_UNPAID),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    dealer_id: int | None = ref(nullable=True)
    store_id: int | None = ref(nullable=True)
    number: str = Field(sa_type=String(32))
    gift_id: int = ref()
    title: str = Field(sa_type=String(200))
    quantity: int
    points: int = Field(sa_type=BigInteger)
    cash: int = Field(default=0, sa_type=BigInteger)
    currency: str = Field(sa_type=String(3))
    state: RedemptionState = Field(default=RedemptionState.CREATED, sa_type=String(16))
    hold_id: int = ref("point_transfers.id")
    pay_until: datetime | None = moment(nullable=True)
    paid_at: datetime | None = moment(nullable=True)
    payment_reference: str | None = Field(default=None, sa_type=String(128))
    delivery_cipher: bytes | None = Field(default=None, sa_type=LargeBinary)
    carrier: str | None = Field(default=None, sa_type=String(64))
    tracking_number: str | None = Field(default=None, sa_type=String(64))
    cancel_reason: str | None = Field(default=None, sa_type=String(200))
    fulfilled_at: datetime | None = moment(nullable=True)
    cancelled_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)
