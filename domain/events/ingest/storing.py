"""Storing events, and in the same transaction what is counted, followed and told of them."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk
from domain.batches import Problem
from domain.events import counters, follows
from domain.events.arrivals import Arrival, announce
from domain.events.ingest.results import Accepted, EventOutcome
from domain.events.models import FanEvent, FollowKind
from domain.events.rules import FOLLOW, REFERENCES, UNFOLLOW
from domain.fans.service import lock_fans
from domain.tables import table_of
from domain.tenancy.models import Brand

events = table_of(FanEvent)
_KINDS = {FOLLOW: FollowKind.FOLLOW, UNFOLLOW: FollowKind.UNFOLLOW}


async def store(session: AsyncSession, brand: Brand, known: list[Accepted], received: datetime) -> None:
    """Store the events of known fans. What else follows from an event in its transaction is in `arrivals`."""
    ids = await bulk.insert_all(session, _rows(brand, known, received))
    for one, event_id in zip(known, ids, strict=True):
        one.result.id, one.result.outcome = event_id, EventOutcome.STORED
    await _follow(session, brand, [one for one in known if one.event.name in _KINDS])
    await announce(session, brand, [_arrival(one, received) for one in known])
    # batches at once share rows of these, and wait for each other from here to the end
    await counters.add(session, brand, [(one.fan_id, one.event.name, one.at) for one in known])


def _rows(brand: Brand, known: list[Accepted], received: datetime) -> bulk.Bulk:
    contents = [one.event for one in known]
    columns: dict[str, list[Any]] = {
        "fan_id": [one.fan_id for one in known],
        "account_id": [event.account_id for event in contents],
        "name": [event.name for event in contents],
        "occurred_at": [one.at for one in known],
        "clamped": [one.result.clamped for one in known],
        **{name: [getattr(event, name) for event in contents] for name in REFERENCES},
        "properties": [event.properties for event in contents],
        "violations": [_shown(one.result.violations) for one in known],
    }
    return bulk.Bulk(events, {"group_id": brand.group_id, "brand_id": brand.id, "received_at": received}, columns)


def _shown(found: list[Problem]) -> list[dict[str, str]] | None:
    return [{"field": one.field, "message": one.message} for one in found] or None


async def _follow(session: AsyncSession, brand: Brand, moved: list[Accepted]) -> None:
    if moved:
        await lock_fans(session, {one.fan_id for one in moved})
        steps = [
            follows.Step(one.fan_id, _KINDS[one.event.name], one.at, one.event.account_id, one.event.scene)
            for one in moved
        ]
        await follows.record(session, brand, steps)


def _arrival(one: Accepted, received: datetime) -> Arrival:
    event = one.event
    told = (event.account_id, event.content, event.product, event.campaign, event.scene)
    return Arrival(one.result.id or 0, one.fan_id, event.name, one.at, received, *told)
