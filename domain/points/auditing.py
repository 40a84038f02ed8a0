"""All ledgers looked through by the worker: what is wrong is told to whoever watches the log."""

from typing import Final

import structlog
from sqlalchemy import func, select

from domain.database import Database
from domain.points.ledger.accounts import accounts
from domain.points.ledger.audit import audit_accounts
from domain.points.ledger.sealing import seals
from domain.points.ledger.verifying import Fault, slipped_in, verify_chain
from domain.scope import system_scope
from domain.vault import Vault

AT_ONCE, SECONDS, TOLD = 1_000, 60, 20
IDS_AT_ONCE = 10_000
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


async def verify_all(database: Database, vault: Vault, *, at_once: int = AT_ONCE) -> tuple[int, int]:
    """Make the chain of every brand again; return how many links there are, and how much is wrong with them.

    Where each chain ends is said to the log: that is kept apart from the database, and a chain that was cut off at its
    end would still look whole here.
    """
    async with database.reading(SCOPE, statement_seconds=SECONDS) as session:
        brands = (await session.execute(select(accounts.c.brand_id).distinct().order_by(accounts.c.brand_id))).scalars()
    links = wrong = 0
    for brand_id in brands:
        count, faults = await _verify(database, vault, brand_id, at_once)
        links, wrong = links + count, wrong + faults
    wrong += await _look_between(database)
    log.info("chains_verified", links=links, faults=wrong)
    return links, wrong


async def _verify(database: Database, vault: Vault, brand_id: int, at_once: int) -> tuple[int, int]:
    links = wrong = after = 0
    head = None
    while True:
        async with database.reading(SCOPE, statement_seconds=SECONDS) as session:
            found = await verify_chain(session, vault, brand_id, after=after, limit=at_once)
        for fault in found.faults[: max(0, TOLD - wrong)]:
            log.error("chain_broken", brand=brand_id, **vars(fault))
        links, wrong, head = links + found.count, wrong + len(found.faults), found.head or head
        if found.last is None or found.count < at_once:
            log.info("chain_ends", brand=brand_id, links=links, head=head and head.hex())
            return links, wrong
        after = found.last


async def _look_between(database: Database) -> int:
    """Tell of transfers that have no link although later ones have; return how many, at most so many a range of ids."""
    async with database.reading(SCOPE, statement_seconds=SECONDS) as session:
        last = (await session.execute(select(func.coalesce(func.max(seals.c.transfer_id), 0)))).scalar_one()
    wrong = 0
    for after in range(0, last, IDS_AT_ONCE):
        async with database.reading(SCOPE, statement_seconds=SECONDS) as session:
            found = await slipped_in(session, after=after, upto=min(last, after + IDS_AT_ONCE), limit=TOLD)
        for row in found[: max(0, TOLD - wrong)]:
            log.error("chain_broken", brand=row.brand_id, transfer_id=row.id, what=Fault.UNSEALED)
        wrong += len(found)
    return wrong
