"""Ingestion: from what a channel says happened to stored, counted events of the right fans, exactly once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import bulk, clock
from domain.batches import Problem
from domain.errors import Conflict
from domain.events import counters, follows
from domain.events.arrivals import Arrival, announce
from domain.events.definitions import definitions_of
from domain.events.models import EventKey, FanEvent, FollowKind, SchemaMode
from domain.events.rules import (
    FOLLOW,
    REFERENCES,
    UNFOLLOW,
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
from domain.fans.models import Fan
from domain.fans.service import NewFan, fans_of_persons, lock_fans
from domain.persons.resolution import Claim, resolve
from domain.persons.service import IdentityRef
from domain.tables import table_of
from domain.tenancy.models import Brand, ChannelAccount
from domain.vault import GroupVault, Vault

MAX_EVENTS = 1_000
events, event_keys = table_of(FanEvent), table_of(EventKey)
fans, accounts = table_of(Fan), table_of(ChannelAccount)
_KINDS = {FOLLOW: FollowKind.FOLLOW, UNFOLLOW: FollowKind.UNFOLLOW}


class EventOutcome(StrEnum):
    """What came of an event: STORED now, known already (DUPLICATE), or REJECTED."""

    STORED = "STORED"
    DUPLICATE = "DUPLICATE"
    REJECTED = "REJECTED"


@dataclass(frozen=True)
class Sender:
    """Who says what happened; `fan_id` where it is a fan, who speaks of themselves only."""

    principal: str
    fan_id: int | None = None


@dataclass(slots=True)
class EventResult:
    """What came of the event at `index`. `violations` are of an event that was stored though it is not as defined."""

    index: int
    outcome: EventOutcome = EventOutcome.REJECTED
    id: int | None = None
    clamped: bool = False
    violations: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Accepted:
    """An event that is to be stored, with what is found out on the way."""

    event: EventContent
    who: Sequence[EventIdentity]
    result: EventResult
    at: datetime
    key: bytes | None
    fan_id: int = 0


async def track(
    session: AsyncSession, vault: Vault, brand: Brand, batch: Sequence[EventContent], sender: Sender
) -> list[EventResult]:
    """Store a batch of at most 1,000 events and say what came of each.

    A constant number of statements whatever the size. To be called first in its transaction: it locks the keys, then
    the identities, then the fans, in one order for all.
    """
    keys, received = await vault.of_group(session, brand.group_id), clock.now()
    results, accepted = await _judge(session, keys, brand, batch, sender, received)
    fresh = await _claim_keys(session, brand, accepted, received)
    known = await _find_fans(session, keys, brand, fresh, sender)
    if known:
        await _store(session, brand, known, received)
    return results


async def _judge(
    session: AsyncSession,
    keys: GroupVault,
    brand: Brand,
    batch: Sequence[EventContent],
    sender: Sender,
    received: datetime,
) -> tuple[list[EventResult], list[_Accepted]]:
    defined = await definitions_of(session, brand.id, {event.name for event in batch})
    places = await _known_accounts(session, brand, batch)
    results, space = [EventResult(index) for index in range(len(batch))], f"event@{brand.id}"
    accepted: list[_Accepted] = []
    for event, result in zip(batch, results, strict=True):
        who = event.identities if isinstance(event, EventInput) else []
        result.problems = _what_is_wrong(event, who, places, sender)
        _hold_to(defined.get(event.name), event, result, sender)
        if not result.problems:
            at, result.clamped = moment_of(event, received)
            text = key_text(event, who, sender.fan_id)
            key = None if text is None else keys.short_hash(text, space)
            accepted.append(_Accepted(event, who, result, at, key))
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


async def _claim_keys(
    session: AsyncSession, brand: Brand, accepted: list[_Accepted], received: datetime
) -> list[_Accepted]:
    """Return the events whose key nobody has used; of two with one key in the batch, the first."""
    first = {one.key: one for one in reversed(accepted) if one.key is not None}
    # in one order for all, so that two transactions wait for each other and do not deadlock
    wanted = sorted(first)
    made = await _insert_keys(session, brand, wanted, received) if wanted else set()
    fresh = []
    for one in accepted:
        if one.key is None or (one.key in made and first[one.key] is one):
            fresh.append(one)
        else:
            one.result.outcome, one.result.violations, one.result.clamped = EventOutcome.DUPLICATE, [], False
    return fresh


async def _insert_keys(session: AsyncSession, brand: Brand, wanted: list[bytes], received: datetime) -> set[bytes]:
    shared = {"brand_id": brand.id, "group_id": brand.group_id, "received_at": received}
    return await bulk.insert_new(session, bulk.Bulk(event_keys, shared, {"key": wanted}), "key")


async def _find_fans(
    session: AsyncSession, keys: GroupVault, brand: Brand, fresh: list[_Accepted], sender: Sender
) -> list[_Accepted]:
    """Give each event its fan, made where the brand has none; reject those whose identities name nobody."""
    if sender.fan_id is not None:
        await _hold_fan(session, sender.fan_id)
        for one in fresh:
            one.fan_id = sender.fan_id
        return fresh
    people = await resolve(session, keys, [_claim(one) for one in fresh], principal=sender.principal) if fresh else []
    found = {one.result.index: person for one, person in zip(fresh, people, strict=True)}
    known = [one for one in fresh if found[one.result.index] is not None]
    await _reject(session, brand, [one for one in fresh if found[one.result.index] is None])
    first: dict[int, _Accepted] = {}
    for one in known:
        person = found[one.result.index] or 0
        if person not in first or one.at < first[person].at:
            first[person] = one
    fan_of = await fans_of_persons(session, keys, brand, first, lambda person: _newcomer(first[person]))
    for one in known:
        one.fan_id = fan_of[found[one.result.index] or 0]
    return known


async def _hold_fan(session: AsyncSession, fan_id: int) -> None:
    """Keep the fan from being merged or erased until the transaction ends. Raises Conflict where that was sooner."""
    found = select(fans.c.id).where(fans.c.id == fan_id).with_for_update(read=True, key_share=True)
    if (await session.execute(found)).first() is None:
        raise Conflict


def _claim(one: _Accepted) -> Claim:
    refs = [(IdentityRef(who.kind, who.value, who.issuer), who.verified) for who in one.who]
    evidence = f"event:{one.key.hex() if one.key else one.event.name}"
    return Claim(tuple(ref for ref, _ in refs), frozenset(ref for ref, verified in refs if verified), evidence)


def _newcomer(one: _Accepted) -> NewFan:
    who = one.who[0]
    return NewFan(
        IdentityRef(who.kind, who.value, who.issuer),
        source_account_id=one.event.account_id,
        source_scene=one.event.scene,
        created_at=one.at,
    )


async def _reject(session: AsyncSession, brand: Brand, nobodies: list[_Accepted]) -> None:
    """Reject the events of nobody, and leave their keys to whoever sends them again."""
    for one in nobodies:
        one.result.problems = [Problem("identities", "name nobody: these values are shared by many")]
        one.result.violations, one.result.clamped = [], False
    used = [one.key for one in nobodies if one.key is not None]
    if used:
        mine = (event_keys.c.brand_id == brand.id, event_keys.c.key.in_(used))
        await session.execute(delete(event_keys).where(*mine))


async def _store(session: AsyncSession, brand: Brand, known: list[_Accepted], received: datetime) -> None:
    ids = await bulk.insert_all(session, _rows(brand, known, received))
    for one, event_id in zip(known, ids, strict=True):
        one.result.id, one.result.outcome = event_id, EventOutcome.STORED
    await counters.add(session, brand, ((one.fan_id, one.event.name, one.at) for one in known))
    await _follow(session, brand, [one for one in known if one.event.name in _KINDS])
    await announce(session, brand, [_arrival(one, received) for one in known])


def _rows(brand: Brand, known: list[_Accepted], received: datetime) -> bulk.Bulk:
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


async def _follow(session: AsyncSession, brand: Brand, moved: list[_Accepted]) -> None:
    if moved:
        await lock_fans(session, {one.fan_id for one in moved})
        steps = [
            follows.Step(one.fan_id, _KINDS[one.event.name], one.at, one.event.account_id, one.event.scene)
            for one in moved
        ]
        await follows.record(session, brand, steps)


def _arrival(one: _Accepted, received: datetime) -> Arrival:
    event = one.event
    told = (event.account_id, event.content, event.product, event.campaign, event.scene)
    return Arrival(one.result.id or 0, one.fan_id, event.name, one.at, received, *told)
