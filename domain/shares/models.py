from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.tables import key, moment, ref, within


class Cascade(SQLModel, table=True):
    """One content's way from its seed through a brand's fans (传播). `size` counts the fans it has, the seed too."""

    __tablename__ = "cascades"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        within("fans", "brand_id", "seed_fan_id"),
        UniqueConstraint("brand_id", "source", "code"),
        UniqueConstraint("brand_id", "id"),
        CheckConstraint("size >= 1", name="size"),
        Index("ix_cascades_seed_fan_id", "seed_fan_id"),
        Index("ix_cascades_group_size", "group_id", "size", "id"),
        Index("ix_cascades_brand_size", "brand_id", "size", "id"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    source: str = Field(sa_type=String(64))
    code: str = Field(sa_type=String(128))
    seed_fan_id: int = ref()
    size: int = Field(default=1)
    created_at: datetime = moment(now=True)


class Share(SQLModel, table=True):
    """How a cascade first reached a fan. One row a fan and cascade, so a cascade is a tree."""

    __tablename__ = "shares"
    __table_args__ = (
        within("cascades", "brand_id", "cascade_id"),
        within("fans", "brand_id", "from_fan_id"),
        within("fans", "brand_id", "to_fan_id"),
        UniqueConstraint("cascade_id", "to_fan_id"),
        CheckConstraint("from_fan_id <> to_fan_id", name="not_self"),
        Index("ix_shares_brand_id_id", "brand_id", "id"),
        Index("ix_shares_from_fan_id", "from_fan_id"),
        Index("ix_shares_to_fan_id", "to_fan_id"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    cascade_id: int = ref()
    from_fan_id: int = ref()
    to_fan_id: int = ref()
    channel: str | None = Field(default=None, sa_type=String(32))
    shared_at: datetime = moment()
    created_at: datetime = moment(now=True)
