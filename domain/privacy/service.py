"""What fans ask for about their own data, and the lists kept of it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.consents.models import Purpose
from domain.consents.service import ConsentChoice, record_consents
from domain.database import Database, insert_ignore
from domain.errors import BadInput, RateLimited
from domain.fans.models import Fan
from domain.jobs.models import JobKind
from domain.jobs.queries import count_since
from domain.jobs.service import find_open, submit
from domain.persons.models import Person
from domain.privacy.erasing import Erased
from domain.privacy.holdings import SECTIONS
from domain.privacy.models import Erasure, ExportPart
from domain.scope import system_scope
from domain.tables import table_of

EXPORTS_A_DAY = 3
EXPORTS_KEPT = timedelta(days=7)
ROWS_PER_PRUNE = 500
WITHDRAWN = "erasure"
fans, persons = table_of(Fan), table_of(Person)
parts, erasures = table_of(ExportPart), table_of(Erasure)


async def export_my_data(session: AsyncSession, principal: str, fan: Fan, sections: Sequence[str] | None) -> int:
    """Ask for a fan's document and return the job's id. Raises RateLimited after three in a day."""
    unknown = [name for name in sections or () if name not in SECTIONS]
    if unknown or (sections is not None and not 1 <= len(sections) == len(set(sections))):
        raise BadInput(f"sections takes some of {', '.join(SECTIONS)}.", field=("input", "sections"))
    known = await find_open(session, JobKind.EXPORT_FAN, fan.id)
    if known is not None:
        return known
    if await count_since(session, JobKind.EXPORT_FAN, fan.id, clock.now() - timedelta(days=1)) >= EXPORTS_A_DAY:
        raise RateLimited(f"A fan may ask for {EXPORTS_A_DAY} exports a day.")
    place = {"group_id": fan.group_id, "brand_id": fan.brand_id, "fan_id": fan.id}
    wanted = {"sections": list(sections)} if sections is not None else {}
    job_id = await submit(session, JobKind.EXPORT_FAN, **place, principal=principal, input=wanted)
    await audit.record(session, principal, [audit.Deed(fan.group_id, fan.brand_id, "fan:export", f"Fan:{fan.id}")])
    return job_id


async def erase(session: AsyncSession, principal: str, fan: Fan, reason: str | None = None) -> int:
    """Ask for a fan's erasure and return the job's id. What they agreed to is taken back at once."""
    refusals = [ConsentChoice(purpose, granted=False) for purpose in Purpose]
    await record_consents(session, principal, [fan], refusals, WITHDRAWN)
    return await ask_to_erase(session, principal, fan, reason)


async def ask_to_erase(session: AsyncSession, principal: str, fan: Any, reason: str | None = None) -> int:
    """Write down that a fan is to be erased, and the job that does it."""
    place = {"group_id": fan.group_id, "brand_id": fan.brand_id, "fan_id": fan.id}
    job_id = await submit(session, JobKind.ERASE_FAN, **place, principal=principal)
    row = {"job_id": job_id, **place, "fans": [fan.id], "persons": [], "asked_at": clock.now()}
    await session.execute(insert_ignore(session, erasures, [row]))
    why = {} if reason is None else {"reason": reason}
    deed = audit.Deed(fan.group_id, fan.brand_id, "fan:ask_to_erase", f"Fan:{fan.id}", {"job": job_id, **why})
    await audit.record(session, principal, [deed])
    return job_id


async def erase_again(session: AsyncSession, principal: str, erased: Erased) -> list[int]:
    """Ask for the erasure of whom a restored backup brought back; return the jobs that do it.

    An id and a uid must meet in one fan: that of another who got the number since has another uid.
    """
    back = (
        select(fans.c.id, fans.c.group_id, fans.c.brand_id)
        .join(persons, persons.c.id == fans.c.person_id)
        .where(fans.c.brand_id == erased.brand_id, fans.c.id.in_(erased.fans))
        .where(persons.c.uid.in_([UUID(uid) for uid in erased.persons]))
    )
    found = (await session.execute(back)).all()
    return [await ask_to_erase(session, principal, fan) for fan in found]


async def prune_exports(database: Database) -> int:
    """Delete the documents that are older than they are kept; return of how many pieces they were."""
    old = select(parts.c.job_id, parts.c.position).where(parts.c.created_at < clock.now() - EXPORTS_KEPT)
    some = tuple_(parts.c.job_id, parts.c.position).in_(old.limit(ROWS_PER_PRUNE))
    deleted = 0
    while True:
        async with database.writing(system_scope("exports")) as session:
            result: Any = await session.execute(delete(parts).where(some))
        deleted += int(result.rowcount)
        if result.rowcount < ROWS_PER_PRUNE:
            return deleted
