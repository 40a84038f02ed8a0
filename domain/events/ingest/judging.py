"""Which events of a batch can be stored as they are."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.batches import Problem
from domain.events.definitions import definitions_of
from domain.events.ingest.results import Accepted, EventResult, Sender
from domain.events.models import SchemaMode
from domain.events.rules import (
    Definition,
    EventContent,
    EventIdentity,
    EventInput,
    identity_problems,
    key_text,
    moment_of,
    problems,
    violations,
)
from domain.tables import table_of
from domain.tenancy.models import Brand, ChannelAccount
from domain.vault import GroupVault

accounts = table_of(ChannelAccount)


async def judge(
    session: AsyncSession,
    keys: GroupVault,
    brand: Brand,
    batch: Sequence[EventContent],
    sender: Sender,
    received: datetime,
) -> tuple[list[EventResult], list[Accepted]]:
    """Return a result for each event, and the events that nothing is wrong with."""
    defined = await definitions_of(session, brand.id, {event.name for event in batch})
    places = await _known_accounts(session, brand, batch)
    results, mark = [EventResult(index) for index in range(len(batch))], keys.marker(f"event@{brand.id}")
    accepted: list[Accepted] = []
    for event, result in zip(batch, results, strict=True):
        who = event.identities if isinstance(event, EventInput) else []
        result.problems = _what_is_wrong(event, who, places, sender)
        _hold_to(defined.get(event.name), event, result, sender)
        if not result.problems:
            at, result.clamped = moment_of(event, received)
            text = key_text(event, who, sender.fan_id)
            key = None if text is None else mark(text)
            accepted.append(Accepted(event, who, result, at, key))
    return results, accepted


def _what_is_wrong(
    event: EventContent, who: Sequence[EventIdentity], places: set[int], sender: Sender
) -> list[Problem]:
    found = problems(event)
    if sender.fan_id is None:
        found += identity_problems(who)
    if event.account_id is not None and event.account_id not in places:
        found.append(Problem("accountId", "no such channel account of this brand", "NOT_FOUND"))
    return found


def _hold_to(definition: Definition | None, event: EventContent, result: EventResult, sender: Sender) -> None:
    """Note where the event is not as defined: a problem where that refuses it, else a violation."""
    if definition is None or (sender.fan_id is not None and not definition.from_fans):
        result.problems = [problem for problem in result.problems if problem.field != "name"]
        result.problems.append(Problem("name", "is not an event that is taken here", "EVENT_NOT_DEFINED"))
    elif not result.problems:
        broken = violations(event.properties, definition)
        if definition.mode is SchemaMode.STRICT:
            result.problems = broken
        else:
            result.violations = broken


async def _known_accounts(session: AsyncSession, brand: Brand, batch: Sequence[EventContent]) -> set[int]:
    wanted = {event.account_id for event in batch if event.account_id is not None}
    if not wanted:
        return set()
    mine = select(accounts.c.id).where(accounts.c.brand_id == brand.id, accounts.c.id.in_(sorted(wanted)))
    return set((await session.execute(mine)).scalars())
