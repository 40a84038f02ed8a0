"""Reads of documents and erasures."""

import base64
import binascii
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import Database
from domain.errors import NotFound
from domain.fans.models import Fan
from domain.jobs.models import Job, JobKind, JobState
from domain.page import Page, PageArgs, Sort, paginate
from domain.privacy.exporting import label
from domain.privacy.models import Erasure, ExportPart
from domain.privacy.service import EXPORTS_KEPT
from domain.reads import rows
from domain.scope import Scope, system_scope
from domain.tables import table_of
from domain.vault import GroupVault, Vault

READ, ERASE = "erasure:read", "fan:erase"
MAC_BYTES = 15
jobs, parts, erasures, fans = table_of(Job), table_of(ExportPart), table_of(Erasure), table_of(Fan)


def kept_until(job: Job) -> datetime | None:
    """Return until when the job's document is there, or None where there is none."""
    if job.kind != JobKind.EXPORT_FAN or job.state != JobState.DONE or job.finished_at is None:
        return None
    # counted from the first piece, which is the first to go
    until = job.created_at + EXPORTS_KEPT
    return until if until > clock.now() else None


@dataclass(frozen=True)
class Document:
    """A document that is ready, by the job that made it."""

    job_id: int
    group_id: int


async def find_document(database: Database, job_id: int, fan_id: int) -> Document:
    """Return the document of a fan who is still there. Raises NotFound."""
    wanted = select(jobs).join(fans, fans.c.id == jobs.c.fan_id).where(jobs.c.id == job_id, jobs.c.fan_id == fan_id)
    async with database.reading(system_scope("download")) as session:
        found = await rows(session, wanted, Job)
    if not found or kept_until(found[0]) is None:
        raise NotFound
    return Document(found[0].id, found[0].group_id)


async def stream_document(database: Database, vault: Vault, document: Document) -> AsyncIterator[bytes]:
    """Yield the document a piece at a time; each is read and opened when the one before was taken."""
    scope, position = system_scope("download", group_id=document.group_id), 0
    while True:
        wanted = select(parts.c.sealed).where(parts.c.job_id == document.job_id, parts.c.position == position)
        async with database.reading(scope) as session:
            keys = await vault.of_group(session, document.group_id)
            sealed = (await session.execute(wanted)).scalar()
        if sealed is None:
            return
        yield keys.open(sealed, label(document.job_id, position)).encode()
        position += 1


def receipt_of(keys: GroupVault, job_id: int) -> str:
    """Return what proves to whoever holds it that they asked for this erasure, when no token of theirs works more."""
    mac = keys.find_hash(str(job_id), "erasure receipt")[:MAC_BYTES]
    return base64.urlsafe_b64encode(keys.group_id.to_bytes(8, "big") + job_id.to_bytes(8, "big") + mac).decode()


async def find_erasure(session: AsyncSession, vault: Vault, receipt: str) -> Erasure:
    """Return the erasure of a receipt. Raises NotFound for whatever is wrong with it."""
    try:
        plain = base64.b64decode(receipt, altchars=b"-_", validate=True)
        group_id, job_id = int.from_bytes(plain[:8], "big"), int.from_bytes(plain[8:16], "big")
    except (binascii.Error, ValueError) as error:
        raise NotFound from error
    if max(group_id, job_id) >= 2**63:
        raise NotFound
    wanted = select(erasures).where(erasures.c.job_id == job_id, erasures.c.group_id == group_id)
    found = await rows(session, wanted, Erasure)
    if not found:
        raise NotFound
    if not hmac.compare_digest(receipt_of(await vault.of_group(session, group_id), job_id), receipt):
        raise NotFound
    return found[0]


async def newest_erasure(session: AsyncSession, scope: Scope, fan_id: int) -> Erasure | None:
    """Return the last erasure that was asked for about an id, where the caller may erase fans."""
    asked = select(erasures).where(erasures.c.fan_id == fan_id, scope.where(ERASE, erasures))
    found = await rows(session, asked.order_by(erasures.c.job_id.desc()).limit(1), Erasure)
    return found[0] if found else None


async def list_erasures(session: AsyncSession, scope: Scope, args: PageArgs) -> Page[Erasure]:
    """Return a page of who asked to be erased, newest first."""
    order = Sort("asked", (erasures.c.job_id,), descending=True)
    return await paginate(session, select(erasures).where(scope.where(READ, erasures)), order, args)
