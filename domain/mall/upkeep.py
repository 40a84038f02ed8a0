"""Giving back what was ordered and not paid in time."""

import structlog
from sqlalchemy import select

from domain import clock
from domain.database import Database
from domain.errors import DomainError
from domain.mall.models import RedemptionState
from domain.mall.redemptions import cancel, redemptions
from domain.scope import system_scope

PRINCIPAL, REASON = "system:mall", "not paid in time"
AT_ONCE = 500

log = structlog.get_logger(__name__)


async def expire_unpaid(database: Database, *, limit: int = AT_ONCE) -> int:
    """Cancel redemptions whose time to pay is over and return how many were; each for itself, whoever else does it.

    One that was paid or ended meanwhile stays as it is.
    """
    scope = system_scope("mall")
    over = (redemptions.c.state == RedemptionState.CREATED.value, redemptions.c.pay_until <= clock.now())
    due = select(redemptions).where(*over).order_by(redemptions.c.pay_until, redemptions.c.id).limit(limit)
    async with database.reading(scope) as session:
        rows = (await session.execute(due)).all()
    done = 0
    for row in rows:
        try:
            async with database.writing(scope) as session:
                await cancel(session, PRINCIPAL, row, reason=REASON, paid_too=False)  # type: ignore[arg-type]
            done += 1
        except DomainError as refusal:
            log.info("redemption_not_expired", redemption=row.id, reason=refusal.code)
        except Exception:
            # the others are not to wait for this one
            log.exception("redemption_not_expired", redemption=row.id)
    return done
