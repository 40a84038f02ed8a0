"""What a service says a fan earned, by a rule it names: granted at once, once for each key of the caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.bulk import Bulk
from domain.errors import BadInput, DomainError, IdempotencyConflict
from domain.events.rules import CLOCK_SKEW
from domain.idempotency import Once, answer_of, by_key, kept_answers, known_among
from domain.points.earning.granting import Before, Earning, Granted, grant_new, look_before
from domain.points.earning.models import Beneficiary, PointGrant, PointRule
from domain.points.earning.names import ORDER_EVENTS
from domain.points.earning.rules import in_force, wanted
from domain.points.programme.rules import Programme

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class PointRuleNotInForce(DomainError):
    code = "POINT_RULE_NOT_IN_FORCE"
    default = "The rule does not count now, or did not then."


@dataclass(frozen=True)
class Call:
    """That a fan of the brand did what a rule is about, and the request under the caller's own key that says so.

    `known` is what was kept of the key, where it was used before.
    """

    rule: PointRule
    fan_id: int
    at: datetime
    once: Once
    known: Any = None

    @property
    def key(self) -> str:
        return self.once.key

    @cached_property
    def source(self) -> str:
        """What the caller's key earns, by its natural key."""
        return source_of(self.once.principal, self.once.key)


class Earned(NamedTuple):
    """What came of a call, now or before: its grant, whole where it was made now, and what the fan had after it."""

    grant_id: int
    balance: int
    growth: int
    made: PointGrant | None = None
    replayed: bool = False


async def earn_by_calls(
    session: AsyncSession, programme: Programme, calls: Sequence[Call]
) -> list[Earned | DomainError]:
    """Grant what the rules give, as far as caps go, and return for each call what it earned or what refuses it.

    The calls are one caller's, each with its own key, and their fans are the brand's and kept there. A key that was
    used before, however long ago, is answered with the grant it made, and waits for no account. A refusal is BadInput,
    PointRuleNotInForce or, where the key was used for something else, IdempotencyConflict. A constant number of
    statements.
    """
    said = {one.key: _again(one, one.known) for one in calls if one.known is not None}
    left = [one for one in calls if one.key not in said]
    said |= await _earned(session, programme, left) if left else {}
    return [said[one.key] for one in calls]


async def _earned(
    session: AsyncSession, programme: Programme, calls: Sequence[Call]
) -> dict[str, Earned | DomainError]:
    """Return, by the calls' keys, what each earned now or before, or what refuses it.

    One that earned before is not refused: its rule may have ended since. Whether it did is seen under the lock of the
    account, where somebody may be about to say so.
    """
    refused = {one.key: refusal for one in calls if (refusal := _refusal(one)) is not None}
    earnings = {one.key: _earning(one) for one in calls}
    sure, doubtful = _parted(earnings, refused)
    actor = calls[0].once.principal
    keys = known_among(actor, calls[0].once.mutation, list(earnings))
    before, (rows,) = await look_before(session, programme, sure, keys, doubtful=doubtful)
    known = by_key(rows)
    fresh = [one for one in sure if one.request_key not in known and one.source not in before.granted]
    said: dict[str, Earned | DomainError] = {}

    def beside(given: Sequence[Granted]) -> list[Bulk]:
        made = {one.earning.source: one.row for one in given}
        said.update({one.key: _said(one, before, known.get(one.key), made, refused.get(one.key)) for one in calls})
        deeds = [_deed(programme, one) for one in given]
        answered = [(one.once, said[one.key]) for one in calls if one.key not in known]
        anew = [(once, _response(earned)) for once, earned in answered if isinstance(earned, Earned)]
        # the keys last: PostgreSQL begins with what is written last, and so in the order of the keys
        return [*audit.entries_of(actor, deeds), *([kept_answers(anew)] if anew else [])]

    await grant_new(session, programme, fresh, before, actor=actor, beside=beside)
    return said


def _parted(earnings: Mapping[str, Earning], refused: Mapping[str, DomainError]) -> tuple[list[Earning], list[Earning]]:
    sure = [one for key, one in earnings.items() if key not in refused]
    return sure, [one for key, one in earnings.items() if key in refused]


def _said(
    call: Call, before: Before, known: Any, made: Mapping[str, PointGrant], refusal: DomainError | None
) -> Earned | DomainError:
    if known is not None:
        # by whoever held the account until now
        return _again(call, known)
    source = call.source
    row = made.get(source) or before.granted.get(source)
    if row is None:
        assert refusal is not None, "what is not refused is granted, now or before"
        return refusal
    if (row.rule_id, row.fan_id) != (call.rule.id, call.fan_id):
        return IdempotencyConflict(field=("input", "idempotencyKey"))
    holds = before.accounts[call.fan_id].balances
    # one granted before whose key is forgotten is a replay too
    return Earned(row.id, holds.active, holds.growth, made.get(source), replayed=source not in made)


def _again(call: Call, known: Any) -> Earned | DomainError:
    response = answer_of(call.once, known)
    if isinstance(response, DomainError):
        return response
    return Earned(response["grant"], response["balance"], response["growth"], replayed=True)


def _response(earned: Earned) -> dict[str, int]:
    return {"grant": earned.grant_id, "balance": earned.balance, "growth": earned.growth}


def _earning(call: Call) -> Earning:
    reference = f"PointRule:{call.rule.id}"
    what = (call.rule, call.fan_id, call.source, call.at, wanted(call.rule), reference)
    return Earning(*what, request_key=call.key)


def _deed(programme: Programme, given: Granted) -> audit.Deed:
    detail = {"rule": given.earning.rule.id, **given.verdict.granted._asdict()}
    return audit.Deed(programme.group_id, programme.brand_id, "points:earn", f"Fan:{given.row.fan_id}", detail)


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
