"""A fan's own data: taking it along, having it erased, and what is known of that afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from domain import clock
from domain.access.rules import Node
from domain.errors import BadInput, Forbidden, NotFound
from domain.fans.changing import fans_to_change
from domain.fans.models import Fan
from domain.fans.queries import get_fan
from domain.ids import FanId
from domain.inputs import said
from domain.jobs.models import Job
from domain.jobs.queries import get_own_job
from domain.page import Page, PageArgs
from domain.privacy import queries, service
from domain.privacy.models import Erasure
from domain.scope import system_scope
from resolvers.context import Context
from resolvers.fans import own_fan_id

DOWNLOADS: Final = "/fan/exports"
LINK_LASTS: Final = timedelta(minutes=5)
REASON_LENGTH: Final = 500


@dataclass(frozen=True)
class Download:
    """Where a document can be fetched, and until when."""

    path: str
    expires_at: datetime


@dataclass(frozen=True)
class ExportWish:
    """What the caller wants to have written down."""

    sections: list[str] | None = said("Some sections of the document by name; all of them without it.", None)


@dataclass(frozen=True)
class ErasureWish:
    """That the caller means it."""

    confirm: bool = said("Must be true: an erasure cannot be taken back.")


@dataclass(frozen=True)
class FanErasure:
    """Whom to erase, and why."""

    fan_id: FanId = said("The fan.")
    reason: str = said("Why, for the audit log, 1 to 500 characters; no personal data.")
    confirm: bool = said("Must be true: an erasure cannot be taken back.")


async def export_my_data(context: Context, input: ExportWish) -> dict[str, Any]:
    """Have everything the brand holds about the caller written down; the job's document is there for seven days."""
    async with context.transaction() as session:
        fan = await get_fan(session, context.scope, own_fan_id(context))
        job_id = await service.export_my_data(session, context.viewer.principal, fan, input.sections)
        return {"job": await get_own_job(session, context.scope, job_id)}


async def erase_me(context: Context, input: ErasureWish) -> dict[str, Any]:
    """Have the caller erased at the brand for good. What they agreed to ends at once, the rest within a day."""
    _check_confirmed(input.confirm)
    async with context.transaction() as session:
        fan = await get_fan(session, context.scope, own_fan_id(context))
        job_id = await service.erase(session, context.viewer.principal, fan)
        keys = await context.services.vault.of_group(session, fan.group_id)
        job = await get_own_job(session, context.scope, job_id)
    return {"job": job, "receipt": queries.receipt_of(keys, job_id)}


async def erase_fan(context: Context, input: FanErasure) -> dict[str, Any]:
    """Have a fan erased at their brand for good, as eraseMe does for who asks themselves.

    Asked again it does nothing more and answers the same receipt, also when it is done. The right must be held for the
    whole brand.
    """
    _check_confirmed(input.confirm)
    if not 1 <= len(input.reason.strip()) <= len(input.reason) <= REASON_LENGTH:
        raise BadInput(f"reason has 1 to {REASON_LENGTH} characters.", field=("input", "reason"))
    scope = context.scope
    async with context.transaction() as session:
        fan = (await fans_to_change(session, scope, [input.fan_id], queries.ERASE)).get(input.fan_id)
        if fan is not None:
            _require_brand(context, fan)
            await service.erase(session, context.viewer.principal, fan, input.reason)
        erasure = await queries.newest_erasure(session, scope, input.fan_id if fan is None else fan.id)
        if erasure is None:
            raise NotFound(field=("input", "fanId"))
        keys = await context.services.vault.of_group(session, erasure.group_id)
    return {"erasure": erasure, "receipt": queries.receipt_of(keys, erasure.job_id)}


def _require_brand(context: Context, fan: Fan) -> None:
    if not context.scope.holds(queries.ERASE, Node(fan.group_id, fan.brand_id)):
        raise Forbidden("Erasing a fan needs the permission fan:erase for the whole brand.")


def _check_confirmed(confirm: bool) -> None:
    if not confirm:
        raise BadInput("confirm must be true.", field=("input", "confirm"))


async def downloads_of(context: Context, jobs: Sequence[Job]) -> Sequence[Download | None]:
    """Where the document is, for five minutes: a link that needs no token. Null where there is none, or not yet."""
    return [_download(context, job) for job in jobs]


def _download(context: Context, job: Job) -> Download | None:
    until = queries.kept_until(job)
    if until is None or job.fan_id is None:
        return None
    token = context.services.tokens.mint_download(job.id, job.fan_id, LINK_LASTS)
    return Download(f"{DOWNLOADS}/{token}", min(clock.now() + LINK_LASTS, until))


async def erasure(context: Context, *, receipt: str) -> Erasure:
    """Say how far an erasure is, to whoever holds its receipt: who was erased has no token any more."""
    services = context.services
    async with services.database.reading(system_scope("receipt")) as session:
        return await queries.find_erasure(session, services.vault, receipt)


async def list_erasures(context: Context, *, page: PageArgs) -> Page[Erasure]:
    """List who asked to be erased, newest first."""
    async with context.reading() as session:
        return await queries.list_erasures(session, context.scope, page)
