"""What a service says a fan earned, by a rule it names: granted at once, once for each key of the caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.compiled import Among, Compiled
from domain.errors import BadInput, DomainError, IdempotencyConflict, NotFound
from domain.events.rules import CLOCK_SKEW
from domain.points.earning.granting import Earning, Granted, current_fans, grant, grants
from domain.points.earning.models import Beneficiary, PointRule
from domain.points.earning.names import ORDER_EVENTS
from domain.points.earning.rules import in_force, wanted
from domain.points.ledger.accounts import lock_of_fans
from domain.points.programme.rules import Programme

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class PointRuleNotInForce(DomainError):
    code = "POINT_RULE_NOT_IN_FORCE"
    default = "The rule does not count now, or did not then."


@dataclass(frozen=True)
class Call:
    """That a fan of the brand did what a rule is about, and the caller's own key of it."""

    rule: PointRule
    fan_id: int
    at: datetime
    key: str


async def earn_by_calls(
    session: AsyncSession, principal: str, programme: Programme, calls: Sequence[Call]
) -> list[int | DomainError]:
    """Grant what the rules give, as far as caps go, and return for each call the id of its grant or what refuses it.

    The calls are one caller's, each with its own key. A key that was used before, however long ago, is answered with
    the grant it made. A refusal is BadInput, NotFound, PointRuleNotInForce or, where that grant was another,
    IdempotencyConflict. A constant number of statements.
    """
    refused = await _refused(session, principal, programme, calls)
    there = await current_fans(session, programme.brand_id, {one.fan_id for one in calls if one.key not in refused})
    gone = {one.key: NotFound("No such fan.", field=("input", "fanId")) for one in calls if one.fan_id not in there}
    refused = gone | refused
    wanted = [_who_they_are(one, there) for one in calls if one.key not in refused]
    made = await _granted(session, principal, programme, wanted) if wanted else {}
    return [refused[one.key] if one.key in refused else made[one.key] for one in calls]


async def _refused(
    session: AsyncSession, principal: str, programme: Programme, calls: Sequence[Call]
) -> dict[str, DomainError]:
    """Return what refuses calls, by key. One that earned before is not refused: its rule may have ended since."""
    refused = {one.key: refusal for one in calls if (refusal := _refusal(one)) is not None}
    if not refused:
        return {}
    before = await _known(session, programme, principal, [one for one in calls if one.key in refused])
    return {key: refusal for key, refusal in refused.items() if key not in before}


async def _granted(
    session: AsyncSession, principal: str, programme: Programme, calls: Sequence[Call]
) -> dict[str, int | DomainError]:
    """Return, by the calls' keys, the grant each made now or before. The fans are kept there."""
    locked = await lock_of_fans(session, programme, {one.fan_id for one in calls})
    before = await _known(session, programme, principal, calls)
    fresh = [one for one in calls if one.key not in before]
    earnings = [_earning(principal, one) for one in fresh]
    given = await grant(session, programme, earnings, actor=principal, locked=locked, known=())
    await audit.record(session, principal, [_deed(programme, one) for one in given])
    now = {one.earning.source: one.id for one in given}
    return {call.key: now[earning.source] for call, earning in zip(fresh, earnings, strict=True)} | {
        one.key: _same(one, before[one.key]) for one in calls if one.key in before
    }


def _who_they_are(call: Call, now: Mapping[int, int]) -> Call:
    fan_id = now[call.fan_id]
    return call if fan_id == call.fan_id else replace(call, fan_id=fan_id)


def _same(call: Call, row: Any) -> int | DomainError:
    if (row.rule_id, row.fan_id) != (call.rule.id, call.fan_id):
        return IdempotencyConflict(field=("input", "idempotencyKey"))
    return int(row.id)


def _earning(principal: str, call: Call) -> Earning:
    reference = f"PointRule:{call.rule.id}"
    what = (call.rule, call.fan_id, source_of(principal, call.key), call.at, wanted(call.rule), reference)
    return Earning(*what, request_key=call.key)


def _deed(programme: Programme, given: Granted) -> audit.Deed:
    detail = {"rule": given.earning.rule.id, **given.verdict.granted._asdict()}
    return audit.Deed(programme.group_id, programme.brand_id, "points:earn", f"Fan:{given.fan_id}", detail)


def source_of(principal: str, key: str) -> str:
    """Name what a caller's key earns: a key is its caller's own, and no two of them share one."""
    owner = f"{principal}\0{key}".encode()
    return f"call:{blake2b(owner, digest_size=16).hexdigest()}"


def _refusal(call: Call) -> DomainError | None:
    if call.rule.event in ORDER_EVENTS:
        return BadInput("What this rule gives is read off the orders.", field=("input", "code"))
    if call.rule.beneficiary != Beneficiary.FAN:
        return BadInput("What this rule gives is for two, and comes by the event.", field=("input", "code"))
    if call.at > clock.now() + CLOCK_SKEW:
        return BadInput("occurredAt lies in the future.", field=("input", "occurredAt"))
    if call.at < EARLIEST:
        return BadInput(f"occurredAt lies before {EARLIEST:%Y}.", field=("input", "occurredAt"))
    return None if in_force(call.rule, call.at) else PointRuleNotInForce(field=("input", "code"))


async def _known(session: AsyncSession, programme: Programme, principal: str, calls: Sequence[Call]) -> dict[str, Any]:
    """Return, by the calls' keys, the grants they made."""
    keys = {source_of(principal, one.key): one.key for one in calls}
    found = await _select_by_source.rows(session, brand=programme.brand_id, sources=list(keys))
    return {keys[row.source]: row for row in found}


@Compiled
def _select_by_source(among: Among) -> Select[Any]:
    columns = (grants.c.source, grants.c.id, grants.c.rule_id, grants.c.fan_id)
    return select(*columns).where(grants.c.brand_id == bindparam("brand"), among(grants.c.source, "sources"))
