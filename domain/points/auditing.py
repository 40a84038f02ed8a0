"""All ledgers looked through by the worker each night: what is wrong is told to whoever watches the log."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from sqlalchemy import exists, func, select

from domain import chores, clock
from domain.database import Database
from domain.points.ledger.accounts import accounts
from domain.points.ledger.audit import audit_accounts
from domain.points.ledger.sealing import seals
from domain.points.ledger.verifying import Fault, slipped_in, verify_chain
from domain.scope import system_scope
from domain.tables import table_of
from domain.tenancy.models import Brand
from domain.vault import Vault

AT_ONCE, SECONDS, TOLD = 1_000, 60, 20
IDS_AT_ONCE = 10_000
SCOPE: Final = system_scope("points")
# when most fans sleep; and how long a worker has a brand, before another takes it for ended
NIGHT_BEGINS, CLAIMED = timedelta(hours=3), timedelta(hours=1)
BETWEEN = "ledger:between"

brands = table_of(Brand)
log = structlog.get_logger(__name__)


async def audit_due(database: Database, vault: Vault, stop: asyncio.Event | None = None) -> int:
    """Audit the ledger and the chain of each brand whose night has begun; return how many brands those were.

    Each is looked at once a night, by one worker; what one was at who ended is taken up by another an hour later, and
    what takes longer than that may be told twice. What goes wrong with one keeps none of the others waiting.
    """
    done = 0
    for name, night, brand_id in await _due(database):
        if stop is not None and stop.is_set():
            break
        if brand_id is None:
            await _once(database, name, night, partial(look_between, database))
        else:
            done += await _once(database, name, night, partial(_look_at, database, vault, brand_id))
    if done:
        log.info("ledgers_audited", brands=done)
    return done


async def _look_at(database: Database, vault: Vault, brand_id: int) -> None:
    await audit(database, brand_id)
    await verify(database, vault, brand_id)


async def _once(database: Database, name: str, night: date, look: Callable[[], Awaitable[object]]) -> bool:
    """Do what is due and return True, unless another is at it or it cannot be done: that is told."""
    try:
        async with database.writing(SCOPE) as session:
            if not await chores.claim(session, name, night, CLAIMED):
                return False
        await look()
        async with database.writing(SCOPE) as session:
            await chores.finish(session, name, night)
    except Exception:
        log.exception("ledger_not_audited", chore=name)
        return False
    return True


async def audit(database: Database, brand_id: int, *, at_once: int = AT_ONCE) -> tuple[int, int]:
    """Recompute every account of a brand, so many a transaction; return how many, and how many differences."""
    looked_at = wrong = after = 0
    while True:
        async with database.reading(SCOPE, statement_seconds=SECONDS) as session:
            found = await audit_accounts(session, brand_id, after=after, limit=at_once)
        for difference in found.differences[: max(0, TOLD - wrong)]:
            log.error("ledger_differs", brand=brand_id, **vars(difference))
        looked_at, wrong = looked_at + found.count, wrong + len(found.differences)
        if found.last_id is None or found.count < at_once:
            log.info("ledger_audited", brand=brand_id, accounts=looked_at, differences=wrong)
            return looked_at, wrong
        after = found.last_id


async def verify(database: Database, vault: Vault, brand_id: int, *, at_once: int = AT_ONCE) -> tuple[int, int]:
    """Make the chain of a brand again; return how many links there are, and how much is wrong with them.

    Where the chain ends is said to the log: that is kept apart from the database, and a chain that was cut off at its
    end would still look whole here.
    """
    links = wrong = after = 0
    head = None
    while True:
        async with database.reading(SCOPE, statement_seconds=SECONDS) as session:
            found = await verify_chain(session, vault, brand_id, after=after, limit=at_once)
        for fault in found.faults[: max(0, TOLD - wrong)]:
            log.error("chain_broken", brand=brand_id, **vars(fault))
        links, wrong, head = links + found.count, wrong + len(found.faults), found.head or head
        if found.last is None or found.count < at_once:
            log.info("chain_ends", brand=brand_id, links=links, faults=wrong, head=head and head.hex())
            return links, wrong
        after = found.last


async def look_between(database: Database) -> int:
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
    log.info("between_links", upto=last, faults=wrong)
    return wrong


async def _due(database: Database) -> list[tuple[str, date, int | None]]:
    """Return what was not done in the night there is, or was last: the brands that have accounts, and all at once last.

    What stands between the links is looked for in all brands at once, in the night of those where it begins first.
    """
    now = clock.now()
    nights: dict[date, dict[str, int | None]] = {}
    async with database.reading(SCOPE, statement_seconds=SECONDS) as session:
        kept = select(brands.c.id, brands.c.time_zone).where(exists().where(accounts.c.brand_id == brands.c.id))
        for row in await session.execute(kept.order_by(brands.c.id)):
            nights.setdefault(night_of(now, _zone(row.time_zone)), {})[f"ledger:{row.id}"] = row.id
        if nights:
            nights[max(nights)][BETWEEN] = None
        due: list[tuple[str, date, int | None]] = []
        for night in sorted(nights):
            taken = await chores.taken(session, nights[night], night)
            due += [(name, night, brand_id) for name, brand_id in nights[night].items() if name not in taken]
    return due


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        return UTC  # known where the brand was made and not here; a night at another time is better than none


def night_of(now: datetime, zone: tzinfo) -> date:
    """Return the day whose night has begun last in the time zone: from three in the morning it is today's."""
    return (now.astimezone(zone).replace(tzinfo=None) - NIGHT_BEGINS).date()
