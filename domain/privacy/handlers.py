"""Which jobs there are and who does their steps."""

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from domain.jobs.models import JobKind
from domain.jobs.queue import Step, Work
from domain.jobs.runner import Handler
from domain.privacy.erasing import ErasureList, erase_step
from domain.privacy.exporting import export_step
from domain.vault import Vault


def handlers(vault: Vault, list_: ErasureList) -> Mapping[JobKind, Handler]:
    """Return the handlers of a fan's own jobs, with what they need beside the database."""

    async def export(session: AsyncSession, work: Work) -> Step:
        return await export_step(session, work, vault)

    async def erase(session: AsyncSession, work: Work) -> Step:
        return await erase_step(session, work, list_)

    return {JobKind.EXPORT_FAN: export, JobKind.ERASE_FAN: erase}
