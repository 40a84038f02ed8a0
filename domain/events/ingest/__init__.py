"""Ingestion: from what a channel says happened to stored, counted events of the right fans, exactly once."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.events.ingest.claiming import claim_keys, without_nobodies
from domain.events.ingest.finding import find_fans
from domain.events.ingest.judging import judge
from domain.events.ingest.results import EventOutcome, EventResult, Sender
from domain.events.ingest.storing import store
from domain.events.rules import EventContent
from domain.tenancy.models import Brand
from domain.vault import Vault

__all__ = ["MAX_EVENTS", "EventOutcome", "EventResult", "Sender", "track"]

MAX_EVENTS = 1_000


async def track(
    session: AsyncSession, vault: Vault, brand: Brand, batch: Sequence[EventContent], sender: Sender
) -> list[EventResult]:
    """Store a batch of at most 1,000 events and say what came of each.

    A constant number of statements whatever the size. To be called first in its transaction: it locks the keys, then
    the identities, then the fans, in one order for all.
    """
    keys, received = await vault.of_group(session, brand.group_id), clock.now()
    results, accepted = await judge(session, keys, brand, batch, sender, received)
    fresh = await claim_keys(session, brand, await without_nobodies(session, keys, accepted), received)
    known = await find_fans(session, keys, brand, fresh, sender)
    if known:
        await store(session, brand, known, received)
    return results
