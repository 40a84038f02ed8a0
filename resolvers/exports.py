"""Reports of ledgers: asked for, and fetched behind a link."""

from collections.abc import Sequence
from typing import Any, Final

from authz.granted import scope_of
from authz.templates import Templates
from domain import clock
from domain.access.rules import Node
from domain.errors import Forbidden, NotFound
from domain.jobs.models import Job
from domain.jobs.queries import jobs_by_id
from domain.jobs.queue import Work
from domain.points.exports import service
from domain.points.exports.queries import kept_until
from domain.points.exports.service import EXPORT, PointsExport
from domain.points.exports.steps import MayExport
from domain.tenancy.queries import brands_by_id
from resolvers.context import Context
from resolvers.privacy import LINK_LASTS, Download

REPORTS: Final = "/reports"


async def export_points(context: Context, input: PointsExport) -> dict[str, Any]:
    """Have a brand's ledger written down as CSV for finance; the job's document is there for seven days.

    Asked for again, it answers the job there is, with another link.
    """
    if not context.services.tokens.makes_links:
        raise Forbidden("This deployment has no secret to sign links with.")
    async with context.transaction() as session:
        brand = (await brands_by_id(session, context.scope, [input.brand_id])).get(input.brand_id)
        if brand is None:
            raise NotFound("No such brand.", field=("input", "brandId"))
        if not context.scope.holds(EXPORT, Node(brand.group_id, brand.id)):
            raise Forbidden("A brand's ledger is exported by those who may export all of it.")
        job_id = await service.ask(session, context.viewer.principal, brand, input)
        return {"job": (await jobs_by_id(session, context.scope, [job_id], EXPORT)).get(job_id)}


async def downloads_of(context: Context, jobs: Sequence[Job]) -> Sequence[Download | None]:
    """Where its report is, for five minutes: a link that needs no token. Null but for who asked for it."""
    return [_download(context, job) for job in jobs]


def _download(context: Context, job: Job) -> Download | None:
    until, principal = kept_until(job), context.viewer.principal
    if until is None or job.principal != principal or not context.scope.holds(EXPORT, Node(job.group_id, job.brand_id)):
        return None
    token = context.services.tokens.mint_report(job.id, principal, LINK_LASTS)
    return Download(f"{REPORTS}/{token}", min(clock.now() + LINK_LASTS, until))


def may_export(templates: Templates) -> MayExport:
    """Return what says whether who asked for a report may have it now."""

    async def may(session: Any, work: Work | Job) -> bool:
        scope = await scope_of(session, templates, work.principal, work.group_id)
        return scope is not None and scope.holds(EXPORT, Node(work.group_id, work.brand_id))

    return may
