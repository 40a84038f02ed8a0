"""Reads of reports that are ready."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.errors import NotFound
from domain.jobs.models import Job, JobKind, JobState
from domain.jobs.service import jobs
from domain.privacy.service import EXPORTS_KEPT
from domain.reads import one


def kept_until(job: Job) -> datetime | None:
    """Return until when the job's report is there, or None where there is none."""
    if job.kind != JobKind.EXPORT_POINTS or job.state != JobState.DONE:
        return None
    # counted from the first piece, which is the first to go
    until = job.created_at + EXPORTS_KEPT
    return until if until > clock.now() else None


async def find_report(session: AsyncSession, job_id: int, principal: str) -> Job:
    """Return the job whose report is ready for who asked for it. Raises NotFound."""
    wanted = select(jobs).where(jobs.c.id == job_id, jobs.c.principal == principal)
    found = await one(session, wanted, Job)
    if found is None or kept_until(found) is None:
        raise NotFound
    return found


def name_of(job: Job) -> str:
    """Return what a file with the job's report is called."""
    return f"points-{job.input['report'].lower()}-{job.input['since']}-{job.input['until']}.csv"
