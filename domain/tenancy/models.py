from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.columns import BigInt
from domain.tables import key, moment, ref, within


class ChannelKind(StrEnum):
    """Where a brand meets its fans (渠道)."""

    WECHAT_SERVICE = "WECHAT_SERVICE"
    WECHAT_SUBSCRIPTION = "WECHAT_SUBSCRIPTION"
    MINI_PROGRAM = "MINI_PROGRAM"
    WECOM = "WECOM"
    WEIBO = "WEIBO"
    APP = "APP"
    H5 = "H5"
    ECOMMERCE = "ECOMMERCE"
    POS = "POS"


class Group(SQLModel, table=True):
    """A group of brands (集团).

    `policy_version` grows with every change of rights inside it, and `tags_version` on PostgreSQL, where a trigger sees
    to it, with every change of a tag.
    """

    __tablename__ = "groups"
    __table_args__ = ({"info": {"node": "group_id"}},)

    id: int = key()
    code: str = Field(sa_type=String(64), unique=True)
    name: str = Field(sa_type=String(200))
    policy_version: int = Field(default=1)
    tags_version: int = Field(default=0, sa_type=BigInt, sa_column_kwargs={"server_default": "0"})
    created_at: datetime = moment(now=True)


class Brand(SQLModel, table=True):
    """A brand (品牌) of a group. Days and months of its rules are natural ones in `time_zone`."""

    __tablename__ = "brands"
    __table_args__ = (
        UniqueConstraint("group_id", "code"),
        UniqueConstraint("group_id", "id"),
        {"info": {"node": "brand_id"}},
    )

    id: int = key()
    group_id: int = ref("groups.id")
    code: str = Field(sa_type=String(64))
    name: str = Field(sa_type=String(200))
    time_zone: str = Field(default="Asia/Shanghai", sa_type=String(64))
    currency: str = Field(default="CNY", sa_type=String(3))
    created_at: datetime = moment(now=True)


class Dealer(SQLModel, table=True):
    """A dealer (经销商) of a brand."""

    __tablename__ = "dealers"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        UniqueConstraint("brand_id", "code"),
        UniqueConstraint("brand_id", "id"),
        {"info": {"node": "dealer_id"}},
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    code: str = Field(sa_type=String(64))
    name: str = Field(sa_type=String(200))
    province: str | None = Field(default=None, sa_type=String(64))
    city: str | None = Field(default=None, sa_type=String(64))
    created_at: datetime = moment(now=True)


class Store(SQLModel, table=True):
    """A store (门店) of a dealer."""

    __tablename__ = "stores"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        within("dealers", "brand_id", "dealer_id"),
        UniqueConstraint("dealer_id", "code"),
        UniqueConstraint("dealer_id", "id"),
        {"info": {"node": "store_id"}},
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    dealer_id: int = ref()
    code: str = Field(sa_type=String(64))
    name: str = Field(sa_type=String(200))
    city: str | None = Field(default=None, sa_type=String(64))
    created_at: datetime = moment(now=True)


class ChannelAccount(SQLModel, table=True):
    """One account of a brand in a channel (渠道号): an official account, a mini-program, a shop."""

    __tablename__ = "channel_accounts"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        UniqueConstraint("brand_id", "kind", "app_id"),
        UniqueConstraint("brand_id", "id"),
        CheckConstraint(f"kind IN ({', '.join(repr(k.value) for k in ChannelKind)})", name="kind"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    kind: ChannelKind = Field(sa_type=String(32))
    app_id: str = Field(sa_type=String(128))
    name: str = Field(sa_type=String(200))
    created_at: datetime = moment(now=True)
