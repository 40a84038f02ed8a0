"""Taking back what was granted: by refunds in proportion, for cheating all of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import BadInput
from domain.points.earning.granting import grants
from domain.points.earning.rules import Amounts
from domain.points.ledger.rules import ClawBack, ClawedBack
from domain.points.ledger.service import claw_back
from domain.points.programme.rules import Programme

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Taking:
    """How much more is to be taken back of a (locked) grant, and why."""

    grant: Any
    amounts: Amounts
    reason: str
    reference: str


async def take(
    session: AsyncSession,
    programme: Programme,
    takings: Sequence[Taking],
    *,
    actor: str,
    reversed_at: datetime | None = None,
) -> list[ClawedBack]:
    """Take the amounts back and say what came of each; with `reversed_at`, nothing more can be taken after.

    What still waits is cancelled, of the rest the ledger takes what the programme's policy says.
    """
    done = [await _claw_back(session, programme, taking, actor) for taking in takings if taking.amounts]
    rows = [
        {
            "grant": taking.grant.id,
            "points": taking.grant.taken_points + taking.amounts.points,
            "growth": taking.grant.taken_growth + taking.amounts.growth,
        }
        for taking in takings
    ]
    if rows:
        values: dict[str, Any] = {"taken_points": bindparam("points"), "taken_growth": bindparam("growth")}
        if reversed_at is not None:
            values["reversed_at"] = reversed_at
        statement = update(grants).where(grants.c.id == bindparam("grant")).values(**values)
        await session.execute(statement, rows)
    return done


async def _claw_back(session: AsyncSession, programme: Programme, taking: Taking, actor: str) -> ClawedBack:
    row, amounts = taking.grant, taking.amounts
    # how much is gone after it names the step: it only ever grows
    step = f"{row.taken_points + amounts.points}:{row.taken_growth + amounts.growth}"
    wanted = ClawBack(
        row.source, f"{row.source}:back:{step}", amounts.points, amounts.growth, taking.reason, taking.reference
    )
    try:
        return await claw_back(session, programme, wanted, actor=actor)
    except BadInput:
        # staff took it back in the ledger already
        log.warning("nothing_left_to_take", grant=row.id)
        return ClawedBack(0, 0)
