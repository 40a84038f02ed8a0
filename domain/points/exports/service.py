"""Asking for a report of a brand's ledger."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.errors import BadInput, RateLimited
from domain.ids import BrandId
from domain.inputs import said
from domain.jobs.models import JobKind, JobState
from domain.jobs.service import jobs, submit
from domain.points.exports.reports import Report
from domain.privacy.service import EXPORTS_KEPT
from domain.tenancy.models import Brand

EXPORT = "points:export"
EXPORTS_A_DAY, MAX_DAYS = 50, 366
FIRST_DAY = date(2000, 1, 1)


@dataclass(frozen=True)
class PointsExport:
    """A report of a brand's ledger over some of its natural days, which have all ended."""

    brand_id: BrandId = said("The brand.")
    report: Report = said("What is written down.")
    since: date = said("The first day.")
    until: date = said("The last day, which lies before today; at most 366 days in all.")


async def ask(session: AsyncSession, principal: str, brand: Brand, wanted: PointsExport) -> int:
    """Ask for a report and return the job's id: that of the same report, where the caller has one already.

    Days that have ended say the same whenever they are asked for. Raises BadInput, and RateLimited after 50 in a day.
    """
    _check(wanted, ZoneInfo(brand.time_zone))
    said_so = {name: str(getattr(wanted, name)) for name in ("report", "since", "until")}
    recent = await _recent(session, brand)
    same = [row for row in recent if row.principal == principal and row.input == said_so]
    if same:
        return int(same[0].id)
    day = clock.now() - timedelta(days=1)
    if sum(row.created_at > day for row in recent) >= EXPORTS_A_DAY:
        raise RateLimited(f"A brand's ledger is exported at most {EXPORTS_A_DAY} times a day.")
    kind, place = JobKind.EXPORT_POINTS, {"group_id": brand.group_id, "brand_id": brand.id}
    job_id = await submit(session, kind, **place, fan_id=None, principal=principal, input=said_so)
    deed = audit.Deed(brand.group_id, brand.id, EXPORT, f"Job:{job_id}", said_so)
    await audit.record(session, principal, [deed])
    return job_id


async def _recent(session: AsyncSession, brand: Brand) -> list[Any]:
    """Return the exports of the brand that are under way, or whose document is there, newest first."""
    mine = (
        jobs.c.brand_id == brand.id,
        jobs.c.kind == JobKind.EXPORT_POINTS.value,
        jobs.c.state != JobState.FAILED.value,
        # one that goes soon is made anew
        jobs.c.created_at > clock.now() - EXPORTS_KEPT + timedelta(hours=1),
    )
    return list(await session.execute(select(jobs).where(*mine).order_by(jobs.c.id.desc())))


def _check(wanted: PointsExport, zone: ZoneInfo) -> None:
    if wanted.until >= clock.now().astimezone(zone).date():
        raise BadInput("until must lie before today: a day that goes on is not complete.", field=("input", "until"))
    if not FIRST_DAY <= wanted.since <= wanted.until:
        raise BadInput(f"since lies between {FIRST_DAY} and until.", field=("input", "since"))
    if (wanted.until - wanted.since).days >= MAX_DAYS:
        raise BadInput(f"A report has at most {MAX_DAYS} days.", field=("input", "since"))
