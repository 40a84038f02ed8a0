"""What services say that fans earned, gathered: calls of one caller that come together share a transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import Database
from domain.errors import DomainError, NotFound
from domain.fans.models import Fan
from domain.fans.queries import fans_by_any_id
from domain.gather import Gathered
from domain.idempotency import Answer, Once, run_each_once
from domain.points.earning import queries
from domain.points.earning.by_call import Call, earn_by_calls
from domain.points.earning.models import PointRule
from domain.points.ledger.service import balances_by_fan
from domain.points.programme.queries import programme_of
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
        async with database.writing(left[0].scope, dry_run=dry_run) as session:
            some = await _earn_in_a_brand(session, left)
        answers |= some
        left = [one for one in left if one.key not in some]
    return [answers[one.key] for one in asked]


async def _earn_in_a_brand(session: AsyncSession, asked: Sequence[Asked]) -> dict[str, Outcome]:
    """Answer, by their keys, the calls about fans of one brand, and refuse those about no fan of the caller's."""
    scope = asked[0].scope
    fans = await fans_by_any_id(session, scope, {one.fan_id for one in asked}, EARN)
    there = {one.key: fan for one in asked if (fan := fans.get(one.fan_id)) is not None and fan.erased_at is None}
    said: dict[str, Outcome] = {one.key: _no_such_fan() for one in asked if one.key not in there}
    if not there:
        return said
    brand_id = min(fan.brand_id for fan in there.values())
    mine = [one for one in asked if one.key in there and there[one.key].brand_id == brand_id]
    rules = await queries.rules_by_code(session, scope, brand_id, {one.code for one in mine})
    by_code = {rule.code: rule for rule in reversed(rules)}
    said |= {one.key: _no_such_rule() for one in mine if one.code not in by_code}
    known = [one for one in mine if one.code in by_code]
    return said | (await _earn(session, known, there, by_code) if known else {})


async def _earn(
    session: AsyncSession, asked: Sequence[Asked], fans: Mapping[str, Fan], rules: Mapping[str, PointRule]
) -> dict[str, Outcome]:
    scope, one = asked[0].scope, fans[asked[0].key]
    by_key = {one.key: one for one in asked}
    programme = await programme_of(session, one.brand_id)

    async def effect(fresh: Sequence[Once]) -> Sequence[Answer | DomainError]:
        calls = [_call(by_key[once.key], fans[once.key], rules) for once in fresh]
        made = await earn_by_calls(session, scope.principal, programme, calls)
        balances = await balances_by_fan(session, {call.fan_id for call in calls})
        return [
            given
            if isinstance(given, DomainError)
            else Answer({"grant": given, "balance": balances[of.fan_id].active, "growth": balances[of.fan_id].growth})
            for given, of in zip(made, calls, strict=True)
        ]

    onces = [Once(scope.principal, one.group_id, MUTATION, of.key, of.request) for of in asked]
    said = dict(zip(by_key, await run_each_once(session, onces, effect), strict=True))
    made = {key: answer[0]["grant"] for key, answer in said.items() if not isinstance(answer, DomainError)}
    grants = await queries.grants_by_id(session, scope, made.values(), EARN) if made else {}
    return {
        key: answer
        if isinstance(answer, DomainError)
        else answer[0] | {"grant": grants.get(made[key]), "replayed": answer[1]}
        for key, answer in said.items()
    }


def _call(asked: Asked, fan: Fan, rules: Mapping[str, PointRule]) -> Call:
    return Call(rules[asked.code], fan.id, asked.at or clock.now(), asked.key)


def _no_such_fan() -> NotFound:
    return NotFound("No such fan.", field=("input", "fanId"))


def _no_such_rule() -> NotFound:
    return NotFound("The fan's brand has no such rule.", field=("input", "code"))
