from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.tables import key, moment, ref, within


class Gender(StrEnum):
    """A fan's gender, as far as a channel or they themselves say it."""

    UNKNOWN = "UNKNOWN"
    FEMALE = "FEMALE"
    MALE = "MALE"


class Fan(SQLModel, table=True):
    """A person's relation to one brand (粉丝).

    `spend` is in minor units of the brand's currency and, like `order_count` and `last_order_at`, always recomputed
    from the orders in the transaction that changes them; `subscribed` and what is said of following is recomputed from
    `follows`. `version` grows with every change the graph must follow.
    """

    __tablename__ = "fans"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        within("persons", "group_id", "person_id"),
        within("dealers", "brand_id", "dealer_id"),
        within("stores", "dealer_id", "store_id"),
        within("channel_accounts", "brand_id", "source_account_id"),
        UniqueConstraint("brand_id", "person_id"),
        UniqueConstraint("brand_id", "id"),
        CheckConstraint("store_id IS NULL OR dealer_id IS NOT NULL", name="store_in_dealer"),
        CheckConstraint("order_count >= 0", name="order_count"),
        CheckConstraint(f"gender IN ({', '.join(repr(g.value) for g in Gender)})", name="gender"),
        Index("ix_fans_group_id_id", "group_id", "id"),
        Index("ix_fans_dealer_id_id", "dealer_id", "id"),
        Index("ix_fans_store_id_id", "store_id", "id"),
        Index("ix_fans_person_id", "person_id"),
        Index("ix_fans_group_spend", "group_id", "spend", "id"),
        Index("ix_fans_brand_spend", "brand_id", "spend", "id"),
        Index("ix_fans_dealer_spend", "dealer_id", "spend", "id"),
        Index("ix_fans_brand_phone", "brand_id", "phone_hash"),
        Index("ix_fans_group_created", "group_id", "created_at", "id"),
        Index("ix_fans_brand_created", "brand_id", "created_at", "id"),
        Index("ix_fans_group_last_followed", "group_id", "last_followed_at", "id"),
        Index("ix_fans_brand_last_followed", "brand_id", "last_followed_at", "id"),
        Index("ix_fans_group_last_order", "group_id", "last_order_at", "id"),
        Index("ix_fans_brand_last_order", "brand_id", "last_order_at", "id"),
        Index("ix_fans_source_account", "source_account_id", "id"),
        # an id is never given twice: that of a fan who was merged away still leads to who they are now
        {"info": {"node": "fan_id"}, "sqlite_autoincrement": True},
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    person_id: int = ref()
    dealer_id: int | None = ref(nullable=True)
    store_id: int | None = ref(nullable=True)
    source_account_id: int | None = ref(nullable=True)
    nickname: str | None = Field(default=None, sa_type=String(200))
    avatar_url: str | None = Field(default=None, sa_type=String(500))
    gender: Gender = Field(default=Gender.UNKNOWN, sa_type=String(8))
    birthday: date | None = None
    province: str | None = Field(default=None, sa_type=String(64))
    city: str | None = Field(default=None, sa_type=String(64))
    district: str | None = Field(default=None, sa_type=String(64))
    language: str | None = Field(default=None, sa_type=String(16))
    phone_cipher: bytes | None = Field(default=None, sa_type=LargeBinary)
    phone_hash: bytes | None = Field(default=None, sa_type=LargeBinary(32))
    subscribed: bool = Field(default=False)
    followed_at: datetime | None = moment(nullable=True)
    last_followed_at: datetime | None = moment(nullable=True)
    unfollowed_at: datetime | None = moment(nullable=True)
    follow_count: int = Field(default=0)
    source_scene: str | None = Field(default=None, sa_type=String(128))
    order_count: int = Field(default=0)
    spend: int = Field(default=0, sa_type=BigInteger)
    currency: str = Field(sa_type=String(3))
    last_order_at: datetime | None = moment(nullable=True)
    version: int = Field(default=1)
    # set where the fan stands in for one who was erased, under whom nobody is found any more
    erased_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)
    updated_at: datetime = moment(now=True)
