"""Taking back what a registration earned that was made only for its points (恶意注册)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.errors import BadInput, NotFound
from domain.events.rules import is_name
from domain.fans.holding import hold_fans
from domain.fans.models import Fan
from domain.points.earning.granting import grants
from domain.points.earning.names import ORDER_EVENTS
from domain.points.earning.rules import Amounts
from domain.points.earning.taking import Taking, take
from domain.points.ledger.accounts import lock_of_fans
from domain.points.ledger.models import REASON_LENGTH
from domain.points.programme.rules import Programme
from domain.referrals.models import Referral
from domain.tables import table_of

referrals = table_of(Referral)
# who registered more than that is reversed in several steps
MOST_AT_ONCE = 250


@dataclass(frozen=True)
class Registration:
    """What was registered: the name of the events, one of them where only that one is meant, and why it goes back."""

    event: str
    event_id: int | None
    reason: str


@dataclass(frozen=True)
class Reversed:
    """What came of a reversal: the grants, and what the ledger took, cancelled or made a debt of."""

    grant_ids: list[int]
    points: int
    growth: int
    left_points: int
    left_growth: int


async def reverse_registration(
    session: AsyncSession, principal: str, programme: Programme, fan: Fan, wanted: Registration
) -> Reversed:
    """Take back all that a fan's registration earned them, and whoever brought them. What was reversed stays so.

    What waits is cancelled; of the rest the programme's policy decides. Raises BadInput, and NotFound where nothing
    of it was granted or it was all reversed before.
    """
    _check(wanted)
    there = await hold_fans(session, programme.brand_id, [fan.id])
    if fan.id not in there:
        raise NotFound("No such fan.", field=("input", "fanId"))
    rows = await _granted(session, programme, there[fan.id], wanted)
    if not rows:
        raise NotFound("Nothing was granted for this that is not taken back.", field=("input", "fanId"))
    subject = f"Fan:{there[fan.id]}"
    takings = [Taking(row, _left(row), wanted.reason, subject) for row in rows]
    done = await take(session, programme, takings, actor=principal, reversed_at=clock.now())
    made = Reversed(
        [row.id for row in rows],
        sum(one.points for one in done),
        sum(one.growth for one in done),
        sum(one.left_points for one in done),
        sum(one.left_growth for one in done),
    )
    detail = {"event": wanted.event, "reason": wanted.reason, **vars(made)}
    deed = audit.Deed(programme.group_id, programme.brand_id, "points:reverse", subject, detail)
    await audit.record(session, principal, [deed])
    return made


async def _granted(session: AsyncSession, programme: Programme, fan_id: int, wanted: Registration) -> Sequence[Any]:
    """Return what was granted for the registration and is not reversed, with the accounts of both and it locked."""
    referral = await _referral(session, fan_id)
    both = {fan_id} if referral is None else {fan_id, referral.referrer_fan_id}
    living = await hold_fans(session, programme.brand_id, both)
    await lock_of_fans(session, programme, set(living.values()))
    of = _of(programme, fan_id, referral, wanted)
    locked = select(grants).where(*of).order_by(grants.c.id).limit(MOST_AT_ONCE).with_for_update()
    return (await session.execute(locked)).all()


def _left(grant: Any) -> Amounts:
    return Amounts(grant.granted_points - grant.taken_points, grant.granted_growth - grant.taken_growth)


async def _referral(session: AsyncSession, fan_id: int) -> Any:
    columns = (referrals.c.id, referrals.c.referrer_fan_id)
    return (await session.execute(select(*columns).where(referrals.c.invitee_fan_id == fan_id))).one_or_none()


def _of(programme: Programme, fan_id: int, referral: Any, wanted: Registration) -> tuple[ColumnElement[bool], ...]:
    """Build the condition that a grant is of the registration: the fan's own, or for having brought them.

    What the fan was granted for bringing others is not of it.
    """
    brought = None if referral is None else referral.id
    own = and_(grants.c.fan_id == fan_id, or_(grants.c.referral_id.is_(None), grants.c.referral_id == brought))
    whose = own
    if referral is not None:
        whose = or_(own, and_(grants.c.fan_id == referral.referrer_fan_id, grants.c.referral_id == referral.id))
    of = (
        grants.c.brand_id == programme.brand_id,
        grants.c.event == wanted.event,
        grants.c.reversed_at.is_(None),
        whose,
    )
    return of if wanted.event_id is None else (*of, grants.c.event_id == wanted.event_id)


def _check(wanted: Registration) -> None:
    if not 1 <= len(wanted.reason.strip()) <= len(wanted.reason) <= REASON_LENGTH:
        raise BadInput(f"reason has 1 to {REASON_LENGTH} characters.", field=("input", "reason"))
    if not is_name(wanted.event) or wanted.event in ORDER_EVENTS:
        raise BadInput("What orders earn goes back with their money.", field=("input", "event"))
