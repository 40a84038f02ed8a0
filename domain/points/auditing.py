"""All ledgers looked through by the worker: what is wrong is told to whoever watches the log."""

from typing import Final

import structlog
from sqlalchemy import select

from domain.database import Database
from domain.points.ledger.accounts import accounts
from domain.points.ledger.audit import audit_accounts
from domain.scope import system_scope

AT_ONCE, SECONDS, TOLD = 1_000, 60, 20
SCOPE: Final = system_scope("points")

log = structlog.get_logger(__name__)


async def audit_all(database: Database, *, at_once: int = AT_ONCE) -> tuple[int, int]:
    """Recompute every account of every brand, so many a transaction; return how many, and how many differences."""
    async with database.reading(SCOPE, statement_seconds=SECONDS) as session:
        brands = (await session.execute(select(accounts.c.brand_id).distinct().order_by(accounts.c.brand_id))).scalars()
    looked_at = wrong = 0
    for brand_id in brands:
        count, differing = await _audit(database, brand_id, at_once)
        looked_at, wrong = looked_at + count, wrong + differing
    log.info("ledgers_audited", accounts=looked_at, differences=wrong)
    return looked_at, wrong


async def _audit(database: Database, brand_id: int, at_once: int) -> tuple[int, int]:
    looked_at = wrong = after = 0
    while True:
        async with database.reading(SCOPE, statement_seconds=SECONDS) as session:
            found = await audit_accounts(session, brand_id, after=after, limit=at_once)
        for difference in found.differences[: max(0, TOLD - wrong)]:
            log.error("ledger_differs", brand=brand_id, **vars(difference))
        looked_at, wrong = looked_at + found.count, wrong + len(found.differences)
        if found.last_id is None or found.count < at_once:
            return looked_at, wrong
        after = found.last_id
