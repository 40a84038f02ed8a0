"""The table of what is busy."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, SmallInteger, String
from sqlmodel import Field, SQLModel

from domain.columns import UtcDateTime
from domain.events.models import REFERENCE_LENGTH
from domain.tables import ref

MAX_MINUTES = 24 * 60  # the longest window that is answered


class HotKind(StrEnum):
    """What events are counted by: the campaign (活动), the content (内容) or the channel account (渠道号) they name."""

    CAMPAIGN = "CAMPAIGN"
    CONTENT = "CONTENT"
    CHANNEL = "CHANNEL"


class HotCount(SQLModel, table=True):
    """How many events of one minute named an item. Writers of one item take different slots and do not wait."""

    __tablename__ = "hot_counts"
    __table_args__ = (
        CheckConstraint("count > 0", name="count"),
        CheckConstraint(f"kind IN ({', '.join(repr(k.value) for k in HotKind)})", name="kind"),
        Index("ix_hot_counts_minute", "minute"),
    )

    brand_id: int = Field(primary_key=True, sa_type=ref().sa_type)
    kind: HotKind = Field(primary_key=True, sa_type=String(8))
    minute: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    item: str = Field(primary_key=True, sa_type=String(REFERENCE_LENGTH))
    slot: int = Field(primary_key=True, sa_type=SmallInteger)
    group_id: int = ref()
    count: int
