from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, String
from sqlmodel import Field, SQLModel

from domain.columns import Json
from domain.tables import key, moment, ref, within


class ChangeKind(StrEnum):
    """What of a fan changed."""

    TAG = "TAG"
    LEVEL = "LEVEL"
    IDENTITY = "IDENTITY"
    PROFILE = "PROFILE"


class ChangeAct(StrEnum):
    """What was done to it. MERGED and UNMERGED say that two fans became one, and came apart again."""

    ADDED = "ADDED"
    REMOVED = "REMOVED"
    CHANGED = "CHANGED"
    MERGED = "MERGED"
    UNMERGED = "UNMERGED"


class FanChange(SQLModel, table=True):
    """A change of a fan that is no event and no order. `detail` holds ids, codes and names of fields, never what a
    profile or an identity says.
    """

    __tablename__ = "fan_changes"
    __table_args__ = (
        within("fans", "brand_id", "fan_id"),
        within("tags", "group_id", "tag_id"),
        Index("ix_fan_changes_fan_at", "fan_id", "at", "id"),
        CheckConstraint(f"kind IN ({', '.join(repr(k.value) for k in ChangeKind)})", name="kind"),
        CheckConstraint(f"act IN ({', '.join(repr(a.value) for a in ChangeAct)})", name="act"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    kind: ChangeKind = Field(sa_type=String(16))
    act: ChangeAct = Field(sa_type=String(16))
    tag_id: int | None = ref(nullable=True)
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    principal: str = Field(sa_type=String(255))
    at: datetime = moment(now=True)
