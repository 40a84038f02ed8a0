"""What jobs and idempotency keep of a fan's own doing: sealed documents, and answers to what they sent."""

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.idempotency import Idempotency
from domain.jobs.models import Job, JobKind
from domain.privacy.models import ExportPart
from domain.privacy.subject import Erasing, Holding, deletes
from domain.tables import table_of

jobs, parts, answers = table_of(Job), table_of(ExportPart), table_of(Idempotency)


async def _delete_jobs(session: AsyncSession, erasing: Erasing, limit: int) -> int:
    """Delete the fan's jobs, a running one too, but not the erasure itself: it names an id that leads nowhere."""
    some = select(jobs.c.id).where(jobs.c.fan_id == erasing.fan_id, jobs.c.kind != JobKind.ERASE_FAN.value)
    result: Any = await session.execute(delete(jobs).where(jobs.c.id.in_(some.limit(limit))))
    return int(result.rowcount)


async def _delete_answers(session: AsyncSession, erasing: Erasing, limit: int) -> int:
    mine = answers.c.principal == f"fan:{erasing.fan_id}"
    result: Any = await session.execute(delete(answers).where(mine))
    return min(int(result.rowcount), limit - 1)


HOLDING = Holding(
    tables=("jobs", "export_parts", "erasures"),
    erase=(deletes(parts), _delete_jobs, _delete_answers),
    why="an erasure and its job name the id that was erased, or it could not be done again after a backup is restored",
)
