from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, String, Uuid, text
from sqlmodel import Field, SQLModel

from domain.columns import Json
from domain.tables import key, moment, ref, within

_OPEN = text("state IN ('QUEUED', 'RUNNING')")


class JobKind(StrEnum):
    """What a job does."""

    EXPORT_FAN = "EXPORT_FAN"
    ERASE_FAN = "ERASE_FAN"
    EXPORT_POINTS = "EXPORT_POINTS"


class JobState(StrEnum):
    """Where a job stands. One that could not go on for now is QUEUED again; FAILED has no tries left."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class Job(SQLModel, table=True):
    """A piece of long work. `progress` is where the next step goes on, written in the transaction of the last one.

    `claim` names who has it until `claimed_until`; a step of another is refused. `total` is null until it is known.
    `attempts` and `waits` count the tries that failed, and those that found something not there, since the last step.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        CheckConstraint(f"kind IN ({', '.join(repr(k.value) for k in JobKind)})", name="kind"),
        CheckConstraint(f"state IN ({', '.join(repr(s.value) for s in JobState)})", name="state"),
        Index("ix_jobs_brand_id_id", "brand_id", "id"),
        Index("ix_jobs_fan_id_id", "fan_id", "id"),
        Index("ix_jobs_open", "next_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
        # asking again while it is under way asks for nothing new
        Index("uq_jobs_open", "kind", "fan_id", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int | None = ref(nullable=True)
    kind: JobKind = Field(sa_type=String(16))
    state: JobState = Field(default=JobState.QUEUED, sa_type=String(8))
    principal: str = Field(sa_type=String(255))
    input: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    progress: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    done: int = Field(default=0, sa_type=BigInteger)
    total: int | None = Field(default=None, sa_type=BigInteger)
    attempts: int = Field(default=0)
    waits: int = Field(default=0)
    error: str | None = Field(default=None, sa_type=String(200))
    next_at: datetime = moment(now=True)
    claim: UUID | None = Field(default=None, sa_type=Uuid)
    claimed_until: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)
    finished_at: datetime | None = moment(nullable=True)
