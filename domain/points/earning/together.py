"""What services say that fans earned, gathered: calls of one caller that come together share a transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import Database
from domain.errors import Conflict, DomainError, NotFound
from domain.fans.holding import find_fans, held_among, hold_heirs
from domain.gather import Gathered
from domain.idempotency import Once, by_key, known_among
from domain.looks import look
from domain.points.earning import queries
from domain.points.earning.by_call import Call, Earned, earn_by_calls
from domain.points.earning.models import PointGrant
from domain.points.programme.queries import by_brand, programmes_among
from domain.points.programme.rules import Programme
from domain.scope import Scope

EARN, MUTATION = "points:earn", "earnPoints"
# SQLite has one writer at a time, and PostgreSQL reads for one batch while it makes another durable
LANES_OF_SQLITE, LANES = 1, 2


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
Outcome = Answered | DomainError


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

    A transaction for each of their brands, which for most callers is one.
    """
    answers: dict[str, Outcome] = {}
    left: Sequence[Asked] = asked
    while left:
        some = await _earn_some(database, left, dry_run=dry_run)
        answers |= some
        left = [one for one in left if one.key not in some]
    return [answers[one.key] for one in asked]


async def _earn_some(database: Database, asked: Sequence[Asked], *, dry_run: bool) -> dict[str, Outcome]:
    async def once() -> dict[str, Outcome]:
        async with database.writing(asked[0].scope, dry_run=dry_run) as session:
            return await _earn_in_a_brand(session, asked)

    try:
        return await once()
    except Conflict as conflict:
        if not isinstance(conflict.__cause__, IntegrityError):
            raise
        # somebody else's transaction had one of the keys for another fan: it is over, and the key is known now
        return await once()


async def _earn_in_a_brand(session: AsyncSession, asked: Sequence[Asked]) -> dict[str, Outcome]:
    """Answer, by their keys, the calls about fans of one brand, and refuse those about no fan of the caller's."""
    scope = asked[0].scope
    found = await find_fans(session, scope, {one.fan_id for one in asked}, EARN)
    said: dict[str, Outcome] = {one.key: _no_such_fan() for one in asked if one.fan_id not in found}
    if not found:
        return said
    brand_id = min(fan.brand_id for fan in found.values())
    mine = [one for one in asked if one.fan_id in found and found[one.fan_id].brand_id == brand_id]
    seen = await look(
        session,
        # kept there from here on
        held_among(scope, {found[one.fan_id].id for one in mine}, EARN),
        queries.rules_among(scope, brand_id, {one.code for one in mine}),
        programmes_among([brand_id]),
        known_among(scope.principal, MUTATION, [one.key for one in mine]),
    )
    held, rules, programmes, known = seen.rows
    fans = {one.id: one.id for one in held}
    gone = {found[one.fan_id].id for one in mine} - fans.keys()
    fans |= await hold_heirs(session, scope, sorted(gone), EARN) if gone else {}
    programme, by_code = by_brand(programmes)[brand_id], {rule.code: rule for rule in rules}
    now, answers, calls = clock.now(), by_key(known), list[Call]()
    for one in mine:
        fan_id = fans.get(found[one.fan_id].id)
        if fan_id is None:
            said[one.key] = _no_such_fan()
        elif one.code not in by_code:
            said[one.key] = _no_such_rule()
        else:
            once = Once(scope.principal, programme.group_id, MUTATION, one.key, one.request)
            calls.append(Call(by_code[one.code], fan_id, one.at or now, once, answers.get(one.key)))
    return said | (await _earn(session, scope, programme, calls) if calls else {})


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
