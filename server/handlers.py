"""Which jobs there are and who does their steps."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from domain.jobs.models import JobKind
from domain.jobs.queue import Step, Work
from domain.jobs.runner import Handler
from domain.points.exports.steps import export_step
from domain.privacy.handlers import handlers
from resolvers.context import Services
from resolvers.exports import may_export


def all_handlers(services: Services) -> Mapping[JobKind, Handler]:
    """Return the handlers of every kind of job, with what they need beside the database."""
    may = may_export(services.templates)

    async def export_points(session: AsyncSession, work: Work) -> Step:
        return await export_step(session, work, vault=services.vault, may=may)

    return {**handlers(services.vault, services.erasure_list), JobKind.EXPORT_POINTS: export_points}
