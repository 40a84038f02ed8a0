from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    Float,
    ForeignKeyConstraint,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from domain.columns import BigInt
from domain.tables import key, moment, ref, within


class TagKind(StrEnum):
    """FACT (事实) comes from records, MODEL (模型) is computed, STRATEGY (营销策略) is set by marketing."""

    FACT = "FACT"
    MODEL = "MODEL"
    STRATEGY = "STRATEGY"


class TagSource(StrEnum):
    """What put a tag on a fan."""

    MANUAL = "MANUAL"
    RULE = "RULE"
    IMPORT = "IMPORT"
    CAMPAIGN = "CAMPAIGN"
    MODEL = "MODEL"
    CHANNEL = "CHANNEL"


class Tag(SQLModel, table=True):
    """A tag (标签). Without a brand it belongs to the whole group."""

    __tablename__ = "tags"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        UniqueConstraint("group_id", "brand_id", "name"),
        UniqueConstraint("group_id", "id"),
        # two NULL brands differ for a unique constraint, so group-wide names need their own
        Index(
            "uq_tags_group_name",
            "group_id",
            "name",
            unique=True,
            sqlite_where=text("brand_id IS NULL"),
            postgresql_where=text("brand_id IS NULL"),
        ),
        CheckConstraint(f"kind IN ({', '.join(repr(k.value) for k in TagKind)})", name="kind"),
    )

    id: int = key()
    group_id: int = ref("groups.id")
    brand_id: int | None = ref(nullable=True)
    category: str | None = Field(default=None, sa_type=String(100))
    name: str = Field(sa_type=String(100))
    kind: TagKind = Field(default=TagKind.FACT, sa_type=String(16))
    color: str | None = Field(default=None, sa_type=String(16))
    description: str | None = Field(default=None, sa_type=String(500))
    created_at: datetime = moment(now=True)


class FanTag(SQLModel, table=True):
    """A tag a fan carries; applying it again adds to `count` and `weight`."""

    __tablename__ = "fan_tags"
    __table_args__ = (
        within("fans", "brand_id", "fan_id"),
        within("tags", "group_id", "tag_id"),
        Index("ix_fan_tags_tag_id_fan_id", "tag_id", "fan_id"),
        CheckConstraint("count > 0", name="count"),
        CheckConstraint(f"source IN ({', '.join(repr(s.value) for s in TagSource)})", name="source"),
    )

    fan_id: int = Field(primary_key=True, sa_type=BigInt)
    tag_id: int = Field(primary_key=True, sa_type=BigInt)
    group_id: int = ref()
    brand_id: int = ref()
    count: int = Field(default=1)
    weight: float = Field(default=1.0, sa_type=Float)
    source: TagSource = Field(default=TagSource.MANUAL, sa_type=String(16))
    first_at: datetime = moment(now=True)
    last_at: datetime = moment(now=True)


class FanTagList(SQLModel, table=True):
    """What a fan carries, heaviest first, as answers are made of it: fifty fans are fifty rows and not four hundred.

    `tags` are the ids and `weighed` the ids with their weights, written for `schema/lookahead/lists.py`. Triggers of
    PostgreSQL keep them (see the migration), whoever writes `fan_tags`. On SQLite the table stays empty: there nothing
    reads it, as no answer is written ahead.
    """

    __tablename__ = "fan_tag_lists"
    __table_args__ = (ForeignKeyConstraint(["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], ondelete="CASCADE"),)

    fan_id: int = Field(primary_key=True, sa_type=BigInt)
    group_id: int = ref()
    brand_id: int = ref()
    length: int
    tags: str | None = Field(default=None, sa_type=Text)
    weighed: str | None = Field(default=None, sa_type=Text)
