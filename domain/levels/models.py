from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from domain.columns import BigInt, Json
from domain.tables import key, moment, ref, within

_UNSETTLED, _HELD, _ENDING = (text(f"{name} IS NOT NULL") for name in ("settled_to", "rank", "valid_until"))

_GIVEN = {"autoincrement": False}


class Demotion(StrEnum):
    """What becomes of a level that growth does not carry any more.

    NEVER keeps it for ever. AT_ONCE takes it in the transaction that takes the growth. PERIODIC keeps it for some
    months; then the level's own threshold is deducted from the growth that counts, and what is left decides anew.
    """

    NEVER = "NEVER"
    AT_ONCE = "AT_ONCE"
    PERIODIC = "PERIODIC"


class LevelProgramme(SQLModel, table=True):
    """How a brand's levels are kept. `version` grows with every change.

    `settled_to` is the last fan who was looked at since the newest change, and null when all were.
    """

    __tablename__ = "level_programmes"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        CheckConstraint(f"demotion IN ({', '.join(repr(d.value) for d in Demotion)})", name="demotion"),
        CheckConstraint("(demotion = 'PERIODIC') = (valid_months IS NOT NULL)", name="valid_months"),
        Index("ix_level_programmes_unsettled", "brand_id", sqlite_where=_UNSETTLED, postgresql_where=_UNSETTLED),
    )

    brand_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_kwargs=_GIVEN)
    group_id: int = ref()
    demotion: Demotion = Field(default=Demotion.NEVER, sa_type=String(8))
    valid_months: int | None = None
    version: int = Field(default=1)
    settled_to: int | None = Field(default=None, sa_type=BigInt)
    updated_at: datetime = moment(now=True)


class Level(SQLModel, table=True):
    """A level (等级) of a brand, reached with `growth`. One that is archived is on the ladder no more.

    `rank` is its place on the ladder: 0 for the level without a threshold, which everybody has, and 1 and up.
    """

    __tablename__ = "levels"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        UniqueConstraint("brand_id", "code"),
        UniqueConstraint("brand_id", "id"),
        Index("ix_levels_brand_growth", "brand_id", "growth", "id"),
        CheckConstraint("growth >= 0", name="growth"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    code: str = Field(sa_type=String(32))
    name: str = Field(sa_type=String(100))
    growth: int = Field(sa_type=BigInt)
    rank: int
    description: str | None = Field(default=None, sa_type=String(500))
    benefits: list[dict[str, Any]] = Field(default_factory=list, sa_type=Json)
    archived_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)


class FanLevel(SQLModel, table=True):
    """Where a fan stands above the level everybody has. Who never stood there has no row.

    `rank` is the level's, for sorting. `deducted` is the growth that does not count any more (`Demotion.PERIODIC`).
    """

    __tablename__ = "fan_levels"
    __table_args__ = (
        within("fans", "brand_id", "fan_id"),
        within("levels", "brand_id", "level_id"),
        CheckConstraint("(level_id IS NULL) = (rank IS NULL)", name="rank"),
        CheckConstraint("deducted >= 0", name="deducted"),
        Index("ix_fan_levels_level", "level_id", "fan_id", sqlite_where=_HELD, postgresql_where=_HELD),
        Index("ix_fan_levels_brand_rank", "brand_id", "rank", "fan_id", sqlite_where=_HELD, postgresql_where=_HELD),
        Index("ix_fan_levels_group_rank", "group_id", "rank", "fan_id", sqlite_where=_HELD, postgresql_where=_HELD),
        Index("ix_fan_levels_valid_until", "valid_until", "fan_id", sqlite_where=_ENDING, postgresql_where=_ENDING),
    )

    fan_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_kwargs=_GIVEN)
    group_id: int = ref()
    brand_id: int = ref()
    level_id: int | None = ref(nullable=True)
    rank: int | None = None
    since: datetime | None = moment(nullable=True)
    valid_until: datetime | None = moment(nullable=True)
    deducted: int = Field(default=0, sa_type=BigInt)
