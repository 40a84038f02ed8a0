"""What a rule gives, how much of it a fan has room for, and when it counts. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, Protocol

from domain.points.earning.models import Basis, Frequency, Period

EVER = date(1970, 1, 1)
# far above any earning, and a thousand of them are far below what the ledger holds
MOST = 10**12


class Rule(Protocol):
    """What is asked of a rule here: its row has it."""

    basis: Basis
    points: int
    growth: int
    per_amount: int | None
    frequency: Frequency
    daily_points_cap: int | None
    daily_growth_cap: int | None
    monthly_points_cap: int | None
    monthly_growth_cap: int | None
    delay_days: int
    starts_at: datetime
    ends_at: datetime | None
    enabled: bool


class Amounts(NamedTuple):
    """Points and growth."""

    points: int
    growth: int

    def __bool__(self) -> bool:
        return self.points > 0 or self.growth > 0

    def less(self, other: "Amounts") -> "Amounts":
        """Return what is left when another is taken off, never below nothing."""
        return Amounts(max(0, self.points - other.points), max(0, self.growth - other.growth))

    def at_most(self, other: "Amounts") -> "Amounts":
        """Return the lesser of each."""
        return Amounts(min(self.points, other.points), min(self.growth, other.growth))


NOTHING = Amounts(0, 0)


class Cap(StrEnum):
    """What made an earning smaller than its rule wanted."""

    FREQUENCY = "FREQUENCY"
    DAILY_POINTS = "DAILY_POINTS"
    DAILY_GROWTH = "DAILY_GROWTH"
    MONTHLY_POINTS = "MONTHLY_POINTS"
    MONTHLY_GROWTH = "MONTHLY_GROWTH"


class Cut(NamedTuple):
    """A cap that cut an earning, and when it gives room again; never (None) for what is earned once."""

    cap: Cap
    resets_at: datetime | None


class Used(NamedTuple):
    """How often and how much was earned in a period."""

    times: int = 0
    points: int = 0
    growth: int = 0

    def plus(self, granted: Amounts) -> "Used":
        """Return the same after an earning; one that gave nothing does not count."""
        return Used(self.times + bool(granted), self.points + granted.points, self.growth + granted.growth)


UNUSED = Used()
Usage = Mapping[Period, Used]


@dataclass(frozen=True)
class Verdict:
    """What a rule wanted to give, what it gives, and what cut it."""

    desired: Amounts
    granted: Amounts
    cuts: tuple[Cut, ...] = ()


def in_force(rule: Rule, at: datetime) -> bool:
    """Tell whether the rule counts what happened at the moment."""
    return rule.enabled and rule.starts_at <= at and (rule.ends_at is None or at < rule.ends_at)


def wanted(rule: Rule, amount: int | None = None) -> Amounts:
    """Return what the rule wants to give, for so much money (in minor units) where it goes by it: rounded down."""
    if rule.basis == Basis.EVENT:
        return Amounts(rule.points, rule.growth)
    assert rule.per_amount is not None
    units = max(0, amount or 0) // rule.per_amount
    return Amounts(min(units * rule.points, MOST), min(units * rule.growth, MOST))


def judge(rule: Rule, desired: Amounts, usage: Usage, day: date, zone: tzinfo) -> Verdict:
    """Hold an earning of a day against how often and how much the fan has earned by the rule."""
    again = frequency_cut(rule, usage, day, zone)
    if again is not None:
        return Verdict(desired, NOTHING, (again,))
    left = list(desired)
    cuts = []
    for cap, place, limit, used, period in limits(rule, usage):
        room = max(0, limit - used[place + 1])
        if left[place] > room:
            left[place] = room
            cuts.append(Cut(cap, resets_at(period, day, zone)))
    return Verdict(desired, Amounts(*left), tuple(cuts))


def frequency_cut(rule: Rule, usage: Usage, day: date, zone: tzinfo) -> Cut | None:
    """Return what keeps a fan from earning by the rule again, where they have as often as they may."""
    if rule.frequency == Frequency.ONCE and usage.get(Period.EVER, UNUSED).times:
        return Cut(Cap.FREQUENCY, None)
    if rule.frequency == Frequency.DAILY and usage.get(Period.DAY, UNUSED).times:
        return Cut(Cap.FREQUENCY, resets_at(Period.DAY, day, zone))
    return None


def limits(rule: Rule, usage: Usage) -> Iterator[tuple[Cap, int, int, Used, Period]]:
    """Yield each cap the rule has: of points (0) or growth (1), how high, what is used of it, and its period."""
    caps = (
        (Cap.DAILY_POINTS, 0, rule.daily_points_cap, Period.DAY),
        (Cap.DAILY_GROWTH, 1, rule.daily_growth_cap, Period.DAY),
        (Cap.MONTHLY_POINTS, 0, rule.monthly_points_cap, Period.MONTH),
        (Cap.MONTHLY_GROWTH, 1, rule.monthly_growth_cap, Period.MONTH),
    )
    for cap, place, limit, period in caps:
        if limit is not None:
            yield cap, place, limit, usage.get(period, UNUSED), period


def remaining(rule: Rule, usage: Usage) -> Amounts:
    """Return how much an earning of this day could give at most."""
    most = [MOST, MOST]
    for _, place, limit, used, _ in limits(rule, usage):
        most[place] = min(most[place], max(0, limit - used[place + 1]))
    spent = frequency_cut(rule, usage, EVER, UTC) is not None
    return NOTHING if spent else Amounts(*most)


def day_of(at: datetime, zone: tzinfo) -> date:
    """Return the natural day of a moment."""
    return at.astimezone(zone).date()


def starts_of(day: date) -> dict[Period, date]:
    """Return the first day of each period the day lies in."""
    return {Period.DAY: day, Period.MONTH: day.replace(day=1), Period.EVER: EVER}


class Key(NamedTuple):
    """Whose counter of which rule and period."""

    fan_id: int
    rule_id: int
    period: Period
    starts_on: date


def keys_of(fan_id: int, rule_id: int, day: date) -> list[Key]:
    """Name the counters that an earning of a day counts in."""
    return [Key(fan_id, rule_id, period, first) for period, first in starts_of(day).items()]


@lru_cache(maxsize=1_000)
def midnight(day: date, zone: tzinfo) -> datetime:
    """Return the moment a natural day begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def resets_at(period: Period, day: date, zone: tzinfo) -> datetime | None:
    """Return when the period the day lies in is over; None for what is never over."""
    if period is Period.EVER:
        return None
    if period is Period.DAY:
        return midnight(day + timedelta(days=1), zone)
    return midnight((day.replace(day=1) + timedelta(days=32)).replace(day=1), zone)


def available_at(rule: Rule, at: datetime, zone: tzinfo) -> datetime | None:
    """Return when what is earned at a moment can be spent: at once (None), or as the Nth natural day after begins."""
    if not rule.delay_days:
        return None
    return midnight(day_of(at, zone) + timedelta(days=rule.delay_days), zone)


def kept(granted: Amounts, desired: Amounts, units: int, units_left: int) -> Amounts:
    """Return what stays of a grant for an order of which only so many of its units are left: never more than it was.

    By amount a unit is what earns once, such as 10 yuan, so that what stays is what the part that was kept would have
    earned; by event a unit is a minor unit of money, so that it is the share of that part, rounded down.
    """
    left = max(0, min(units_left, units))
    share = Amounts(*(amount * left // units for amount in desired)) if units else NOTHING
    return granted.at_most(share)
