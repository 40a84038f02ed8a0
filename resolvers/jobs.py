"""Jobs."""

from domain.ids import JobId
from domain.jobs import queries
from domain.jobs.models import Job
from domain.jobs.queries import JobFilter
from domain.page import Page, PageArgs
from resolvers.context import Context


async def list_jobs(context: Context, *, page: PageArgs, filter: JobFilter | None = None) -> Page[Job]:
    """List the jobs of brands where the caller may see them, newest first."""
    async with context.reading() as session:
        return await queries.list_jobs(session, context.scope, page, filter)


async def my_job(context: Context, *, id: JobId) -> Job:
    """Return a job the caller asked for about themselves."""
    async with context.reading() as session:
        return await queries.get_own_job(session, context.scope, id)


async def my_jobs(context: Context, *, page: PageArgs) -> Page[Job]:
    """List the jobs the caller asked for about themselves, newest first."""
    async with context.reading() as session:
        return await queries.list_own_jobs(session, context.scope, page)
