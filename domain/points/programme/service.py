"""Writes of programmes."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.database import insert_ignore
from domain.errors import BadInput, Conflict
from domain.ids import ABSENT, Absent, BrandId, Int64
from domain.inputs import said
from domain.points.programme.models import MAX_MONTHS, ClawBackPolicy, ExpiryPolicy
from domain.points.programme.queries import programmes
from domain.points.programme.rules import Programme

_SETTINGS = ("expiry", "expiry_months", "claw_back", "four_eyes_limit")


@dataclass(frozen=True)
class ProgrammeChange:
    """What changes of a brand's points programme. A field that is left out stays. What was granted stays as it was."""

    brand_id: BrandId = said("The brand.")
    version: int | None = said("The version you saw: where there is a newer one, nothing is changed.", None)
    expiry: ExpiryPolicy | Absent = said("When points that are granted from now on expire.", ABSENT)
    expiry_months: int | Absent | None = said("For ROLLING_MONTHS: after how many months, 1 to 120.", ABSENT)
    claw_back: ClawBackPolicy | Absent = said("What is taken back of points that were granted already.", ABSENT)
    four_eyes_limit: Int64 | Absent | None = said(
        "How much one person may adjust alone within 24 hours; null for as much as they like.", ABSENT
    )


async def update_programme(
    session: AsyncSession, principal: str, programme: Programme, change: ProgrammeChange
) -> None:
    """Change a programme. Raises Conflict where it is newer than the caller saw, and BadInput naming the field."""
    now = clock.now()
    place = {"brand_id": programme.brand_id, "group_id": programme.group_id}
    settings = {name: getattr(programme.settings, name) for name in _SETTINGS}
    new = {**place, **settings, "version": 0, "created_at": now, "updated_at": now}
    await session.execute(insert_ignore(session, programmes, [new]))
    mine = programmes.c.brand_id == programme.brand_id
    before: Any = (await session.execute(select(programmes).where(mine).with_for_update())).mappings().one()
    if change.version is not None and change.version != before["version"]:
        raise Conflict(f"The programme has version {before['version']} by now.")
    given = {name: getattr(change, name) for name in _SETTINGS if not isinstance(getattr(change, name), Absent)}
    if given.get("expiry", ExpiryPolicy.ROLLING_MONTHS) is not ExpiryPolicy.ROLLING_MONTHS:
        given.setdefault("expiry_months", None)
    anew = {name: value for name, value in given.items() if before[name] != value}
    if not anew and before["version"]:
        return
    _check({**before, **anew})
    stamps = {"version": before["version"] + 1, "updated_at": now}
    await session.execute(update(programmes).where(mine).values(**anew, **stamps))
    detail = {"before": {name: before[name] for name in anew}, "after": anew}
    deed = audit.Deed(
        programme.group_id, programme.brand_id, "points_programme:update", f"Brand:{programme.brand_id}", detail
    )
    await audit.record(session, principal, [deed])


def _check(row: Any) -> None:
    months, rolling = row["expiry_months"], row["expiry"] == ExpiryPolicy.ROLLING_MONTHS
    if rolling and (months is None or not 1 <= months <= MAX_MONTHS):
        raise BadInput(f"expiryMonths must be between 1 and {MAX_MONTHS}.", field=("input", "expiryMonths"))
    if not rolling and months is not None:
        raise BadInput("expiryMonths is for ROLLING_MONTHS only.", field=("input", "expiryMonths"))
    limit = row["four_eyes_limit"]
    if limit is not None and limit < 0:
        raise BadInput("fourEyesLimit must be at least 0.", field=("input", "fourEyesLimit"))
