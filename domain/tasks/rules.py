"""What a rule still has for a fan today. Pure, and judged by the very function that judges an earning."""

from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from domain.points.earning.models import Basis, Period
from domain.points.earning.rules import (
    UNUSED,
    Amounts,
    Cap,
    Cut,
    Rule,
    Usage,
    Used,
    day_of,
    frequency_cut,
    judge,
    limits,
    resets_at,
    wanted,
)


@dataclass(frozen=True)
class Room:
    """A cap that a rule has: how high it is, how much the fan may still earn under it, and when it starts anew."""

    cap: Cap
    limit: int
    left: int
    resets_at: datetime | None


@dataclass(frozen=True)
class Progress:
    """What a fan earned by a rule in the periods that lie around a moment, and what one more deed would give.

    `next_at` is when it gives something again: None where it does now, and where it never does while it lasts.
    """

    today: Used
    this_month: Used
    ever: Used
    next: Amounts
    cuts: tuple[Cut, ...]
    caps: tuple[Room, ...]
    available: bool
    next_at: datetime | None


def progress(rule: Rule, usage: Usage, now: datetime, zone: tzinfo) -> Progress:
    """Say how far a fan is with a rule that is in force, by what they have earned by it."""
    day = day_of(now, zone)
    verdict = judge(rule, one_deed(rule), usage, day, zone)
    today, this_month, ever = (usage.get(period, UNUSED) for period in (Period.DAY, Period.MONTH, Period.EVER))
    return Progress(
        today,
        this_month,
        ever,
        verdict.granted,
        verdict.cuts,
        _rooms(rule, usage, day, zone),
        bool(verdict.granted),
        None if verdict.granted else _next_at(rule, usage, day, zone),
    )


def one_deed(rule: Rule) -> Amounts:
    """Return what the rule wants to give for one deed, by amount for the least that earns."""
    return wanted(rule, rule.per_amount if rule.basis == Basis.AMOUNT else None)


def _rooms(rule: Rule, usage: Usage, day: date, zone: tzinfo) -> tuple[Room, ...]:
    return tuple(
        Room(cap, limit, max(0, limit - used[place + 1]), resets_at(period, day, zone))
        for cap, place, limit, used, period in limits(rule, usage)
    )


def _next_at(rule: Rule, usage: Usage, day: date, zone: tzinfo) -> datetime | None:
    """Return the first moment at which the rule has room again, for points or for growth, while it counts."""
    gives = [place for place, amount in enumerate(one_deed(rule)) if amount]
    moments = [_room_at(rule, usage, place, day, zone) for place in gives]
    soonest = min((moment for moment in moments if moment is not None), default=None)
    return soonest if soonest is not None and (rule.ends_at is None or soonest < rule.ends_at) else None


def _room_at(rule: Rule, usage: Usage, place: int, day: date, zone: tzinfo) -> datetime | None:
    """Return when all that keeps points (0) or growth (1) from a fan is over; None where something never is."""
    often = frequency_cut(rule, usage, day, zone)
    ends = [] if often is None else [often.resets_at]
    for _, kept, limit, used, period in limits(rule, usage):
        if kept == place and used[place + 1] >= limit:
            # a cap of nothing at all never has room
            ends.append(resets_at(period, day, zone) if limit else None)
    moments = [end for end in ends if end is not None]
    return max(moments) if len(moments) == len(ends) else None
