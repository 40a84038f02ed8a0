"""Writes of what the timeline shows beside events and orders: a change of tags, level, identities or profile."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.tables import table_of
from domain.timeline.models import ChangeAct, ChangeKind, FanChange


@dataclass(frozen=True)
class Change:
    """One change of one fan. `detail` is for ids, codes and names of fields; a fan reads it too."""

    group_id: int
    brand_id: int
    fan_id: int
    kind: ChangeKind
    act: ChangeAct
    principal: str
    tag_id: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None


async def record(session: AsyncSession, rows: Sequence[Change]) -> None:
    """Write the changes into the caller's transaction, in one statement. A row without a moment is of now."""
    if rows:
        now = clock.now()
        written = [{**vars(row), "kind": row.kind.value, "act": row.act.value, "at": row.at or now} for row in rows]
        await session.execute(insert(table_of(FanChange)), written)
