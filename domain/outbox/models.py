"""The outbox table, and the event that becomes one of its rows."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, text
from sqlmodel import Field, SQLModel

from domain.columns import Json
from domain.tables import key, moment, ref

_PENDING = text("sent_at IS NULL AND dead_at IS NULL")
_DEAD = text("dead_at IS NOT NULL")


class Outbox(SQLModel, table=True):
    """One event on its way to one consumer. Rows of one `key` are delivered in the order of their ids."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_pending", "consumer", "id", sqlite_where=_PENDING, postgresql_where=_PENDING),
        Index("ix_outbox_pending_key", "consumer", "key", "id", sqlite_where=_PENDING, postgresql_where=_PENDING),
        Index("ix_outbox_dead", "consumer", "id", sqlite_where=_DEAD, postgresql_where=_DEAD),
    )

    id: int = key()
    group_id: int = ref("groups.id")
    brand_id: int | None = ref(nullable=True)
    consumer: str = Field(sa_type=String(16))
    kind: str = Field(sa_type=String(32))
    key: str = Field(sa_type=String(128))
    version: int
    payload: dict[str, Any] = Field(sa_type=Json)
    attempts: int = Field(default=0)
    next_at: datetime = moment(now=True)
    claimed_until: datetime | None = moment(nullable=True)
    sent_at: datetime | None = moment(nullable=True)
    dead_at: datetime | None = moment(nullable=True)
    error: str | None = Field(default=None, sa_type=String(500))
    created_at: datetime = moment(now=True)


@dataclass(frozen=True)
class Event:
    """A change another store must learn."""

    group_id: int
    brand_id: int | None
    consumer: str
    kind: str
    key: str
    version: int
    payload: dict[str, Any] = field(default_factory=dict)
