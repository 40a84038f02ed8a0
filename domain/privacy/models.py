from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.columns import BigInt
from domain.tables import key, moment, ref, within


class ExportPart(SQLModel, table=True):
    """A piece of the document an export makes, sealed; the pieces one after another are the document."""

    __tablename__ = "export_parts"
    __table_args__ = (Index("ix_export_parts_fan_id", "fan_id"), Index("ix_export_parts_created_at", "created_at"))

    job_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_args=[ForeignKey("jobs.id")])
    position: int = Field(primary_key=True)
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    sealed: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = moment(now=True)


class Erasure(SQLModel, table=True):
    """That a fan asked to be erased, and when it was done. After a restored backup the erasure is done again.

    `fan_made_at` tells the fan from another that got the same number after the restoration.
    """

    __tablename__ = "erasures"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        UniqueConstraint("brand_id", "fan_id", "fan_made_at"),
        Index("ix_erasures_brand_id_id", "brand_id", "id"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    fan_made_at: datetime = moment()
    asked_at: datetime = moment(now=True)
    erased_at: datetime | None = moment(nullable=True)
