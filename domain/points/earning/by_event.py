"""What events earn: the rules about them, and who is the one to earn."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import among
from domain.events.definitions import definitions_of
from domain.events.models import FanEvent
from domain.fans.holding import hold_fans
from domain.points.earning.arrivals import point_rules
from domain.points.earning.granting import Earning, Granted, grant
from domain.points.earning.models import Beneficiary
from domain.points.earning.names import REGISTER
from domain.points.earning.rules import in_force, wanted
from domain.points.programme.rules import Programme
from domain.referrals.models import Referral
from domain.tables import table_of

ACTOR = "system:points"
events, referrals = table_of(FanEvent), table_of(Referral)


class Noted(NamedTuple):
    """An event as ingestion noted it."""

    event_id: int
    fan_id: int
    name: str
    at: datetime


async def earn_by_events(session: AsyncSession, programme: Programme, noted: Sequence[Noted]) -> list[Granted]:
    """Grant what the events earn, each once by each rule. A constant number of statements whatever the size."""
    rules = await rules_about(session, programme.brand_id, {one.name for one in noted})
    counted = [one for one in noted if any(in_force(rule, one.at) for rule in rules.get(one.name, ()))]
    if not counted:
        return []
    fans = await hold_fans(session, programme.brand_id, {one.fan_id for one in counted})
    known = [one._replace(fan_id=fans[one.fan_id]) for one in counted if one.fan_id in fans]
    brought = [one.fan_id for one in known if any(_is_for_two(rule) for rule in rules[one.name])]
    referred = await _referred(session, programme, brought) if brought else {}
    earnings = [
        earning
        for one in known
        for rule in rules[one.name]
        if in_force(rule, one.at)
        for earning in _earnings(rule, one, referred.get(one.fan_id))
    ]
    return await grant(session, programme, earnings, actor=ACTOR)


async def earn_by_referrals(session: AsyncSession, programme: Programme, fan_ids: Collection[int]) -> list[Granted]:
    """Grant what registrations earn of which it was said only later who brought the fan.

    Where a brand lets fans' own devices say that they registered, nobody can tell such an event from a server's, and
    it earns nothing here.
    """
    defined = (await definitions_of(session, programme.brand_id, [REGISTER])).get(REGISTER)
    if defined is not None and defined.from_fans:
        return []
    fans = sorted(set((await hold_fans(session, programme.brand_id, fan_ids)).values()))
    mine = (among(session, events.c.fan_id, fans), events.c.name == REGISTER)
    ranked = func.row_number().over(partition_by=events.c.fan_id, order_by=(events.c.occurred_at, events.c.id))
    told = select(events.c.id, events.c.fan_id, events.c.occurred_at, ranked.label("rank")).where(*mine).subquery()
    first = select(told.c.id, told.c.fan_id, told.c.occurred_at).where(told.c.rank == 1)
    noted = [Noted(row.id, row.fan_id, REGISTER, row.occurred_at) for row in await session.execute(first)]
    return await earn_by_events(session, programme, noted) if noted else []


async def rules_about(session: AsyncSession, brand_id: int, names: Iterable[str]) -> dict[str, list[Any]]:
    """Return the brand's rules that count, by the event they are about, oldest first."""
    mine = (point_rules.c.brand_id == brand_id, point_rules.c.event.in_(sorted(names)), point_rules.c.enabled)
    found: dict[str, list[Any]] = {}
    for row in await session.execute(select(point_rules).where(*mine).order_by(point_rules.c.id)):
        found.setdefault(row.event, []).append(row)
    return found


def _is_for_two(rule: Any) -> bool:
    return bool(rule.beneficiary != Beneficiary.FAN)


async def _referred(session: AsyncSession, programme: Programme, fan_ids: Sequence[int]) -> Mapping[int, Any]:
    """Return who brought each of the fans, where both are still there."""
    mine = (
        referrals.c.brand_id == programme.brand_id,
        among(session, referrals.c.invitee_fan_id, sorted(set(fan_ids))),
    )
    columns = (referrals.c.id, referrals.c.invitee_fan_id, referrals.c.referrer_fan_id)
    rows = (await session.execute(select(*columns).where(*mine))).all()
    there = await hold_fans(session, programme.brand_id, {row.referrer_fan_id for row in rows}) if rows else {}
    return {row.invitee_fan_id: row for row in rows if row.referrer_fan_id in there}


def _earnings(rule: Any, one: Noted, referral: Any) -> Iterator[Earning]:
    """Yield what the event earns by the rule. A fan registers once for who brought them, on however many platforms."""
    what = (one.at, wanted(rule), f"Event:{one.event_id}", one.event_id)
    if not _is_for_two(rule):
        yield Earning(rule, one.fan_id, f"rule:{rule.id}:event:{one.event_id}", *what)
        return
    if referral is None:
        return
    deed = f"referral:{referral.id}" if one.name == REGISTER else f"event:{one.event_id}"
    source = f"rule:{rule.id}:{deed}"
    if rule.beneficiary == Beneficiary.BOTH:
        yield Earning(rule, one.fan_id, source, *what, referral_id=referral.id)
    yield Earning(rule, referral.referrer_fan_id, f"{source}:referrer", *what, referral_id=referral.id)
