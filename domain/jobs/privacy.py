"""What jobs and idempotency keep of a fan's own doing: sealed documents, and answers to what they sent."""

from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from domain.idempotency import Idempotency
from domain.jobs.models import Job, JobKind
from domain.privacy.models import ExportPart
from domain.privacy.subject import Erasing, Holding
from domain.tables import table_of

jobs, parts, answers = table_of(Job), table_of(ExportPart), table_of(Idempotency)


async def _delete_jobs(session: AsyncSession, erasing: Erasing, limit: int) -> int:
    """Delete the fan's jobs, a running one too, but not the erasure itself: it names an id that leads nowhere."""
    some = select(jobs.c.id).where(jobs.c.fan_id.in_(erasing.known_as), jobs.c.kind != JobKind.ERASE_FAN.value)
    result: Any = await session.execute(delete(jobs).where(jobs.c.id.in_(some.limit(limit))))
    return int(result.rowcount)


async def _delete_answers(session: AsyncSession, erasing: Erasing, limit: int) -> int:
    mine = answers.c.principal.in_([f"fan:{fan_id}" for fan_id in erasing.known_as])
    result: Any = await session.execute(delete(answers).where(mine))
    return min(int(result.rowcount), limit - 1)


async def _delete_parts(session: AsyncSession, erasing: Erasing, limit: int) -> int:
    # what was exported before a merge stays under the id of then
    key = tuple_(parts.c.job_id, parts.c.position)
    some = select(parts.c.job_id, parts.c.position).where(parts.c.fan_id.in_(erasing.known_as)).limit(limit)
    result: Any = await session.execute(delete(parts).where(key.in_(some)))
    return int(result.rowcount)


HOLDING = Holding(
    tables=("jobs", "export_parts", "erasures"),
    erase=(_delete_parts, _delete_jobs, _delete_answers),
    why="an erasure and its job name the id that was erased, or it could not be done again after a backup is restored",
)
