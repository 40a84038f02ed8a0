"""Asking for jobs."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import dialect_insert
from domain.errors import Conflict
from domain.jobs.models import Job, JobKind, JobState
from domain.tables import table_of

OPEN = (JobState.QUEUED.value, JobState.RUNNING.value)
jobs = table_of(Job)


async def submit(
    session: AsyncSession,
    kind: JobKind,
    *,
    group_id: int,
    brand_id: int,
    fan_id: int | None,
    principal: str,
    input: dict[str, Any] | None = None,
) -> int:
    """Ask for a job and return its id: about a fan that of the one under way, where there is one of the kind."""
    now = clock.now()
    row = {
        "group_id": group_id,
        "brand_id": brand_id,
        "fan_id": fan_id,
        "kind": kind.value,
        "state": JobState.QUEUED.value,
        "principal": principal,
        "input": input or {},
        "progress": {},
        "done": 0,
        "attempts": 0,
        "waits": 0,
        "next_at": now,
        "created_at": now,
    }
    statement = dialect_insert(session, jobs).values(**row).on_conflict_do_nothing().returning(jobs.c.id)
    made = (await session.execute(statement)).scalar()
    known = made or await find_open(session, kind, fan_id)
    if known is None:
        # the one under way ended between the two statements
        raise Conflict
    return int(known)


async def find_open(session: AsyncSession, kind: JobKind, fan_id: int | None) -> int | None:
    """Return the job of a kind that is under way about a fan, or None."""
    mine = (jobs.c.kind == kind.value, jobs.c.fan_id == fan_id, jobs.c.state.in_(OPEN))
    return (await session.execute(select(jobs.c.id).where(*mine))).scalar()
