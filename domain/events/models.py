from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, LargeBinary, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.columns import BigInt, Json, JsonOrNull
from domain.tables import key, moment, ref, within

NAME_LENGTH, REFERENCE_LENGTH = 64, 128


class SchemaMode(StrEnum):
    """What becomes of an event whose properties are not as defined: STRICT refuses it, LENIENT keeps and marks it."""

    STRICT = "STRICT"
    LENIENT = "LENIENT"


class FollowKind(StrEnum):
    """Which way a fan went."""

    FOLLOW = "FOLLOW"
    UNFOLLOW = "UNFOLLOW"


class EventDefinition(SQLModel, table=True):
    """What a brand's events of one name carry. `properties` is a list of what `rules.Property` says."""

    __tablename__ = "event_definitions"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        UniqueConstraint("brand_id", "name"),
        CheckConstraint(f"mode IN ({', '.join(repr(m.value) for m in SchemaMode)})", name="mode"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    name: str = Field(sa_type=String(NAME_LENGTH))
    description: str | None = Field(default=None, sa_type=String(500))
    mode: SchemaMode = Field(default=SchemaMode.LENIENT, sa_type=String(8))
    properties: list[Any] = Field(default_factory=list, sa_type=Json)
    from_fans: bool = Field(default=False)
    version: int = Field(default=1)
    created_at: datetime = moment(now=True)
    updated_at: datetime = moment(now=True)


class FanEvent(SQLModel, table=True):
    """Something a fan did (行为事件). On PostgreSQL the table has a partition for each month of `occurred_at`.

    It names its fan, brand and account without foreign keys: ingestion has locked or checked all three, and a check
    of each row would cost more than the row (docs/decisions/0013-events.md).
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_fan_occurred", "fan_id", "occurred_at", "id"),
        Index("ix_events_brand_name_occurred", "brand_id", "name", "occurred_at", "id"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    account_id: int | None = ref(nullable=True)
    name: str = Field(sa_type=String(NAME_LENGTH))
    occurred_at: datetime = moment()
    received_at: datetime = moment()
    clamped: bool = Field(default=False)
    content: str | None = Field(default=None, sa_type=String(REFERENCE_LENGTH))
    product: str | None = Field(default=None, sa_type=String(REFERENCE_LENGTH))
    campaign: str | None = Field(default=None, sa_type=String(REFERENCE_LENGTH))
    scene: str | None = Field(default=None, sa_type=String(REFERENCE_LENGTH))
    order_reference: str | None = Field(default=None, sa_type=String(REFERENCE_LENGTH))
    properties: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    violations: list[Any] | None = Field(default=None, sa_type=JsonOrNull)


class EventKey(SQLModel, table=True):
    """That an event was stored: 16 bytes of the hash of its id, or of what it says where it came without one."""

    __tablename__ = "event_keys"
    __table_args__ = (Index("ix_event_keys_received_at", "received_at", postgresql_using="brin"),)

    brand_id: int = Field(primary_key=True, sa_type=ref().sa_type)
    key: bytes = Field(primary_key=True, sa_type=LargeBinary(16))
    group_id: int = ref()
    received_at: datetime = moment()


class EventCount(SQLModel, table=True):
    """How often a fan did something on one day of the brand's calendar."""

    __tablename__ = "event_counts"
    __table_args__ = (
        Index("ix_event_counts_brand_name_day", "brand_id", "name", "day", "fan_id"),
        CheckConstraint("count > 0", name="count"),
    )

    fan_id: int = Field(primary_key=True, sa_type=ref().sa_type)
    name: str = Field(primary_key=True, sa_type=String(NAME_LENGTH))
    day: date = Field(primary_key=True)
    group_id: int = ref()
    brand_id: int = ref()
    count: int


class FanActivity(SQLModel, table=True):
    """When a fan's newest event was, to the minute: a fan who is busy now has the row written once a minute.

    Narrow and apart from the fan, whose row has a dozen indexes that each change would have to write.
    """

    __tablename__ = "fan_activity"
    __table_args__ = (
        Index("ix_fan_activity_brand_last", "brand_id", "last_active_at", "fan_id"),
        Index("ix_fan_activity_group_last", "group_id", "last_active_at", "fan_id"),
    )

    fan_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_kwargs={"autoincrement": False})
    group_id: int = ref()
    brand_id: int = ref()
    last_active_at: datetime = moment()


class Follow(SQLModel, table=True):
    """One time a fan followed an account of the brand, or left it. The fan's follow state is read off these rows."""

    __tablename__ = "follows"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        within("fans", "brand_id", "fan_id"),
        within("channel_accounts", "brand_id", "account_id"),
        CheckConstraint(f"kind IN ({', '.join(repr(k.value) for k in FollowKind)})", name="kind"),
        Index("ix_follows_fan_at", "fan_id", "at", "id"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    account_id: int | None = ref(nullable=True)
    kind: FollowKind = Field(sa_type=String(8))
    scene: str | None = Field(default=None, sa_type=String(REFERENCE_LENGTH))
    at: datetime = moment()
    received_at: datetime = moment(now=True)
