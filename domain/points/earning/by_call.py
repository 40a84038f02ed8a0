"""What a service says a fan earned, by a rule it names: granted at once, once for each key of the caller."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.errors import BadInput, DomainError, IdempotencyConflict, NotFound
from domain.events.rules import CLOCK_SKEW
from domain.fans.models import Fan
from domain.points.earning.granting import Earning, current_fans, grant, grants
from domain.points.earning.models import Beneficiary, PointRule
from domain.points.earning.names import ORDER_EVENTS
from domain.points.earning.rules import in_force, wanted
from domain.points.ledger.accounts import lock_of_fans
from domain.points.programme.rules import Programme


class PointRuleNotInForce(DomainError):
    code = "POINT_RULE_NOT_IN_FORCE"
    default = "The rule does not count now, or did not then."


@dataclass(frozen=True)
class Call:
    """That a fan did what a rule is about, and the caller's own key of it."""

    rule: PointRule
    at: datetime | None
    key: str


async def earn_by_call(session: AsyncSession, principal: str, programme: Programme, fan: Fan, call: Call) -> int:
    """Grant what the rule gives, as far as its caps go, and return the id of the grant.

    A key that was used before, however long ago, is answered with the grant it made. Raises BadInput,
    PointRuleNotInForce and, where that grant was another, IdempotencyConflict.
    """
    at = call.at or clock.now()
    _check(call.rule, at)
    source = source_of(principal, call.key)
    there = await current_fans(session, programme.brand_id, [fan.id])
    if fan.id not in there:
        raise NotFound("No such fan.", field=("input", "fanId"))
    locked = await lock_of_fans(session, programme, [there[fan.id]])
    fan_id = locked[there[fan.id]].fan_id
    known = await _known(session, programme, source)
    if known is not None:
        if (known.rule_id, known.fan_id) != (call.rule.id, fan_id):
            raise IdempotencyConflict(field=("input", "idempotencyKey"))
        return int(known.id)
    one = Earning(call.rule, fan_id, source, at, wanted(call.rule), f"PointRule:{call.rule.id}")
    (given,) = await grant(session, programme, [one], actor=principal, request_key=call.key)
    detail = {"rule": call.rule.id, **given.verdict.granted._asdict()}
    deed = audit.Deed(programme.group_id, programme.brand_id, "points:earn", f"Fan:{fan_id}", detail)
    await audit.record(session, principal, [deed])
    made = await _known(session, programme, source)
    assert made is not None
    return int(made.id)


def source_of(principal: str, key: str) -> str:
    """Name what a caller's key earns: a key is its caller's own, and no two of them share one."""
    owner = f"{principal}\0{key}".encode()
    return f"call:{blake2b(owner, digest_size=16).hexdigest()}"


def _check(rule: PointRule, at: datetime) -> None:
    if rule.event in ORDER_EVENTS:
        raise BadInput("What this rule gives is read off the orders.", field=("input", "code"))
    if rule.beneficiary != Beneficiary.FAN:
        raise BadInput("What this rule gives is for two, and comes by the event.", field=("input", "code"))
    if at > clock.now() + CLOCK_SKEW:
        raise BadInput("occurredAt lies in the future.", field=("input", "occurredAt"))
    if not in_force(rule, at):
        raise PointRuleNotInForce(field=("input", "code"))


async def _known(session: AsyncSession, programme: Programme, source: str) -> Any:
    mine = (grants.c.brand_id == programme.brand_id, grants.c.source == source)
    return (await session.execute(select(grants.c.id, grants.c.rule_id, grants.c.fan_id).where(*mine))).one_or_none()
