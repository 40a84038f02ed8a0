"""What services say that fans earned, gathered: calls of one caller that come together share a transaction."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import Database
from domain.errors import Conflict, NotFound
from domain.fans.holding import find_fans, held_among, whom_they_lead_to
from domain.gather import Gathered
from domain.idempotency import Once, by_key, known_among
from domain.looks import look
from domain.places import places
from domain.points.earning import queries
from domain.points.earning.by_call import Call, Earned, earn_by_calls
from domain.points.earning.models import PointGrant
from domain.points.programme.queries import by_brand, programmes_among
from domain.points.programme.rules import Programme
from domain.scope import Scope

EARN, MUTATION = "points:earn", "earnPoints"
# SQLite has one writer at a time, and PostgreSQL reads for one batch while it makes another durable
LANES_OF_SQLITE, LANES = 1, 2
# of a pool of ten connections, which others need too
ALONE_AT_ONCE = 4


@dataclass(frozen=True)
class Asked:
    """A call as it came: by whom, with which rights, and what makes the same request the same."""

    scope: Scope
    fan_id: int
    code: str
    at: datetime | None
    key: str
    request: Any


Answered = dict[str, Any]
Outcome = Answered | Exception


def gathered(database: Database) -> Gathered[Asked, Answered]:
    """Return where calls wait for each other. Those with the same caller's same rights share a transaction."""

    async def write(asked: Sequence[Asked]) -> Sequence[Outcome]:
        return await earn_each(database, asked)

    return Gathered(
        write,
        alike=lambda one: (one.scope.principal, one.scope.digest),
        # the second with a key is answered what the first was, after it
        apart=lambda one: one.key,
        width=lanes(database),
    )


def lanes(database: Database) -> int:
    """Return how many transactions at once are worth it."""
    return LANES_OF_SQLITE if database.dialect == "sqlite" else LANES


async def earn_each(database: Database, asked: Sequence[Asked], *, dry_run: bool = False) -> list[Outcome]:
    """Answer calls of one caller's same rights, each with its own key, or refuse some.

    A transaction for each of their brands, which for most callers is one, and one more where somebody is not found by
    the id asked for: fans who were merged away have to be followed.
    """
    answers: dict[str, Outcome] = {}
    left: Sequence[Asked] = asked
    while left:
        try:
            some = await _earn_some(database, left, follow=left is not asked, dry_run=dry_run)
        except Exception:
            if not answers:
                raise
            # the others are written, and were they done again with these they would be told as replays
            some_at_once = asyncio.Semaphore(ALONE_AT_ONCE)
            alone = await asyncio.gather(*(_earn_alone(database, one, some_at_once, dry_run=dry_run) for one in left))
            some = {one.key: said for one, said in zip(left, alone, strict=True)}
        answers |= some
        left = [one for one in left if one.key not in some]
    return [answers[one.key] for one in asked]


async def _earn_alone(database: Database, asked: Asked, place: asyncio.Semaphore, *, dry_run: bool) -> Outcome:
    try:
        async with place:
            (said,) = await earn_each(database, [asked], dry_run=dry_run)
    except Exception as fault:  # noqa: BLE001 (whatever it was, it is said to whom it concerns)
        return fault
    return said


async def _earn_some(database: Database, asked: Sequence[Asked], *, follow: bool, dry_run: bool) -> dict[str, Outcome]:
    async def once() -> dict[str, Outcome]:
        async with database.writing(asked[0].scope, dry_run=dry_run) as session:
            return await _earn_in_a_brand(session, asked, follow=follow)

    try:
        return await once()
    except Conflict as conflict:
        if not isinstance(conflict.__cause__, IntegrityError):
            raise
        # somebody else's transaction had one of the keys for another fan: it is over, and the key is known now
        return await once()


async def _earn_in_a_brand(
    session: AsyncSession, asked: Sequence[Asked], *, follow: bool = False
) -> dict[str, Outcome]:
    """Answer, by their keys, the calls about fans of one brand, and refuse those about no fan of the caller's.

    Calls are left out about fans of other brands and, unless ids are to be followed, about those who are not there.
    """
    scope = asked[0].scope
    brand_id = None if follow else places(scope.nodes(EARN)).get("brand_id")
    if brand_id is not None:
        # mostly they are there, and to find them first costs a trip
        return await _earn_of(session, brand_id, {one.fan_id: one.fan_id for one in asked}, asked)
    found = await find_fans(session, scope, {one.fan_id for one in asked}, EARN)
    said: dict[str, Outcome] = {one.key: _no_such_fan() for one in asked if one.fan_id not in found}
    if found:
        brand_id = min(fan.brand_id for fan in found.values())
        fans = {old: fan.id for old, fan in found.items() if fan.brand_id == brand_id}
        said |= await _earn_of(session, brand_id, fans, [one for one in asked if one.fan_id in fans])
    return said


async def _earn_of(
    session: AsyncSession, brand_id: int, fans: Mapping[int, int], asked: Sequence[Asked]
) -> dict[str, Outcome]:
    """Answer the calls about those of the fans, by the ids asked for, who are there, in the brand and the caller's."""
    scope = asked[0].scope
    seen = await look(
        session,
        # kept there from here on; accounts are locked after that, and only of those who are seen to earn
        held_among(scope, set(fans.values()), EARN),
        queries.rules_among(scope, brand_id, {one.code for one in asked}),
        programmes_among([brand_id]),
        known_among(scope.principal, MUTATION, [one.key for one in asked]),
    )
    held, rules, programmes, known = seen.rows
    there, by_code, answers = {row.id for row in held}, {rule.code: rule for rule in rules}, by_key(known)
    back = await _back(session, fans)
    mine = [one for one in asked if fans[one.fan_id] in there and one.fan_id not in back]
    said: dict[str, Outcome] = {one.key: _no_such_rule() for one in mine if one.code not in by_code}
    if len(said) == len(mine):
        return said
    programme, now = by_brand(programmes)[brand_id], clock.now()

    def call(one: Asked) -> Call:
        once = Once(scope.principal, programme.group_id, MUTATION, one.key, one.request)
        return Call(by_code[one.code], fans[one.fan_id], one.at or now, once, answers.get(one.key))

    calls = [call(one) for one in mine if one.key not in said]
    return said | await _earn(session, scope, programme, calls)


async def _back(session: AsyncSession, fans: Mapping[int, int]) -> set[int]:
    """Return the ids whose fans came back before whom they led to was held: they are to be found again."""
    followed = {old for old, fan_id in fans.items() if old != fan_id}
    now = await whom_they_lead_to(session, followed) if followed else {}
    return {old for old, fan_id in now.items() if fan_id != fans[old]}


async def _earn(session: AsyncSession, scope: Scope, programme: Programme, calls: Sequence[Call]) -> dict[str, Outcome]:
    said = dict(zip((one.key for one in calls), await earn_by_calls(session, programme, calls), strict=True))
    earned = {key: one for key, one in said.items() if isinstance(one, Earned)}
    grants = {one.grant_id: one.made for one in earned.values() if one.made is not None}
    before = {one.grant_id for one in earned.values()} - grants.keys()
    grants |= await queries.grants_by_id(session, scope, before, EARN) if before else {}
    return {key: _answer(one, grants) if isinstance(one, Earned) else one for key, one in said.items()}


def _answer(earned: Earned, grants: Mapping[int, PointGrant]) -> Answered:
    left = {"balance": earned.balance, "growth": earned.growth, "replayed": earned.replayed}
    return {"grant": grants.get(earned.grant_id), **left}


def _no_such_fan() -> NotFound:
    return NotFound("No such fan.", field=("input", "fanId"))


def _no_such_rule() -> NotFound:
    return NotFound("The fan's brand has no such rule.", field=("input", "code"))
