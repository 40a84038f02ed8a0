"""The audit log: who changed what, from what to what, when and from where. Rows are never changed or deleted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel

from domain import clock
from domain.bulk import Bulk, insert_rows
from domain.columns import Json
from domain.page import Page, PageArgs, Sort, paginate
from domain.scope import Scope
from domain.tables import key, moment, ref, table_of


class AuditEntry(SQLModel, table=True):
    """One change, or one reading of personal data. Holds ids and codes, not the personal data itself."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_group_id_id", "group_id", "id"),
        Index("ix_audit_log_brand_id_id", "brand_id", "id"),
    )

    id: int = key()
    group_id: int = ref("groups.id")
    brand_id: int | None = ref(nullable=True)
    principal: str = Field(sa_type=String(255))
    action: str = Field(sa_type=String(64))
    subject: str = Field(sa_type=String(128))
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    at: datetime = moment(now=True)


@dataclass(frozen=True)
class Deed:
    """What is to be remembered; `subject` is `kind:id`, `detail` carries before and after."""

    group_id: int
    brand_id: int | None
    action: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)


async def record(session: AsyncSession, principal: str, deeds: Sequence[Deed]) -> None:
    """Write the deeds into the caller's transaction, in one statement for each brand."""
    for one in entries_of(principal, deeds):
        await insert_rows(session, one)


def entries_of(principal: str, deeds: Sequence[Deed]) -> list[Bulk]:
    """Return what `record` writes, for each brand, to be written together with other things."""
    now, places = clock.now(), {(deed.group_id, deed.brand_id): None for deed in deeds}
    entries = []
    for group_id, brand_id in places:
        told = [deed for deed in deeds if (deed.group_id, deed.brand_id) == (group_id, brand_id)]
        columns = {name: [getattr(deed, name) for deed in told] for name in ("action", "subject", "detail")}
        shared = {"group_id": group_id, "brand_id": brand_id, "principal": principal, "at": now}
        entries.append(Bulk(table_of(AuditEntry), shared, columns))
    return entries


async def list_entries(session: AsyncSession, scope: Scope, args: PageArgs) -> Page[AuditEntry]:
    """Return a page of the log where the caller may audit."""
    log = table_of(AuditEntry)
    statement = select(log).where(scope.where("audit:read", log))
    return await paginate(session, statement, Sort("id", (log.c.id,)), args)
