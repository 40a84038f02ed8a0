from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlmodel import Field, SQLModel

from domain.columns import BigInt, Json
from domain.tables import moment, ref, within


class ExportPart(SQLModel, table=True):
    """A piece of the document an export makes, sealed; the pieces one after another are the document.

    A document about a fan names them; one about a brand names none.
    """

    __tablename__ = "export_parts"
    __table_args__ = (Index("ix_export_parts_fan_id", "fan_id"), Index("ix_export_parts_created_at", "created_at"))

    job_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_args=[ForeignKey("jobs.id")])
    position: int = Field(primary_key=True)
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int | None = ref(nullable=True)
    sealed: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = moment(now=True)


class Erasure(SQLModel, table=True):
    """That a fan asked to be erased, by which job, and when it was done.

    `fans` are the ids they were known by and `persons` the uids of who they were: a restored backup is searched for
    both.
    """

    __tablename__ = "erasures"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        Index("ix_erasures_brand_id_job_id", "brand_id", "job_id"),
        Index("ix_erasures_fan_id", "fan_id"),
    )

    job_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_args=[ForeignKey("jobs.id")])
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    fans: list[int] = Field(default_factory=list, sa_type=Json)
    persons: list[str] = Field(default_factory=list, sa_type=Json)
    asked_at: datetime = moment(now=True)
    erased_at: datetime | None = moment(nullable=True)
