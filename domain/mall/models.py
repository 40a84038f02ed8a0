from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Index, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.tables import key, moment, ref, within


class GiftState(StrEnum):
    """Whether a gift is offered. DRAFT was never offered; OFF_SALE is not offered any more, and may be again."""

    DRAFT = "DRAFT"
    ON_SALE = "ON_SALE"
    OFF_SALE = "OFF_SALE"


class Gift(SQLModel, table=True):
    """What fans get for points (礼品). One piece costs `points` and `cash`, the latter in minor units of `currency`.

    `stock` says how many are left of all that were ever put in, which is `stocked`. It changes by one conditional
    statement, never by a row read before.
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
    sale_from: datetime | None = moment(nullable=True)
    sale_until: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)
    updated_at: datetime = moment(now=True)
