"""Reads of jobs."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.errors import NotFound
from domain.ids import BrandId
from domain.inputs import said
from domain.jobs.models import Job, JobKind, JobState
from domain.page import Page, PageArgs, Sort, paginate
from domain.scope import Scope
from domain.tables import table_of

READ, OWN = "job:read", "me:read"
jobs = table_of(Job)
NEWEST = Sort("newest", (jobs.c.id,), descending=True)


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list; what is left out does not matter."""

    brand_id: BrandId | None = said("Jobs of this brand.", None)
    kind: JobKind | None = said("Jobs of this kind.", None)
    state: JobState | None = said("Jobs in this state.", None)


async def jobs_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = READ) -> dict[int, Job]:
    return await reads.by_id(session, scope.where(permission, jobs), Job, ids)


async def get_own_job(session: AsyncSession, scope: Scope, job_id: int) -> Job:
    """Return a job the caller asked for about themselves. Raises NotFound."""
    found = (await reads.by_id(session, scope.where(OWN, jobs), Job, [job_id])).get(job_id)
    if found is None:
        raise NotFound
    return found


async def list_jobs(session: AsyncSession, scope: Scope, args: PageArgs, wanted: JobFilter | None = None) -> Page[Job]:
    """Return a page of the jobs the caller may see, newest first."""
    statement = select(jobs).where(scope.where(READ, jobs))
    for name, value in vars(wanted).items() if wanted else ():
        if value is not None:
            statement = statement.where(jobs.c[name] == value)
    return await paginate(session, statement, NEWEST, args)


async def list_own_jobs(session: AsyncSession, scope: Scope, args: PageArgs) -> Page[Job]:
    """Return a page of the jobs about the caller, newest first."""
    return await paginate(session, select(jobs).where(scope.where(OWN, jobs)), NEWEST, args)


async def count_since(session: AsyncSession, kind: JobKind, fan_id: int, since: datetime) -> int:
    """Count the jobs of a kind asked for about a fan since the moment."""
    statement = select(func.count()).where(jobs.c.kind == kind.value, jobs.c.fan_id == fan_id)
    return int((await session.execute(statement.where(jobs.c.created_at >= since))).scalar_one())
