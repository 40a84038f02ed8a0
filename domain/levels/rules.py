"""Which level growth reaches, and which one a fan keeps. Pure."""

import calendar
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from domain.levels.models import Demotion


@dataclass(frozen=True)
class Rung:
    """A level as the ladder knows it. The level everybody has reaches at 0 and has the rank 0."""

    id: int
    code: str
    growth: int
    rank: int


@dataclass(frozen=True)
class Standing:
    """Where a fan stands: the level held above the one everybody has, and what of their growth counts no more."""

    level_id: int | None = None
    since: datetime | None = None
    valid_until: datetime | None = None
    deducted: int = 0


NOWHERE = Standing()
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Ladder:
    """A brand's levels in force, lowest first, those archived, and how levels are kept."""

    rungs: Sequence[Rung]
    archived: Sequence[Rung]
    demotion: Demotion
    valid_months: int | None
    zone: ZoneInfo

    @cached_property
    def base(self) -> Rung | None:
        """The level that everybody has, where there is one."""
        return self.rungs[0] if self.rungs and self.rungs[0].growth == 0 else None

    @cached_property
    def above(self) -> Sequence[Rung]:
        """The levels that have to be reached."""
        return [rung for rung in self.rungs if rung.growth > 0]

    @cached_property
    def _thresholds(self) -> list[int]:
        return [rung.growth for rung in self.above]

    @cached_property
    def by_id(self) -> dict[int, Rung]:
        """Every level there ever was, by its id."""
        return {rung.id: rung for rung in (*self.rungs, *self.archived)}

    def reached(self, growth: int) -> Rung | None:
        """Return the highest level that so much growth reaches, or None for the one everybody has."""
        place = bisect_right(self._thresholds, growth)
        return self.above[place - 1] if place else None

    def after(self, growth: int) -> Rung | None:
        """Return the lowest level that so much growth does not reach, or None at the top."""
        place = bisect_right(self._thresholds, growth)
        return self.above[place] if place < len(self.above) else None

    def held(self, level_id: int | None) -> Rung | None:
        """Return the level of this id, or for one that is archived or everybody's now, what its threshold reaches."""
        rung = self.by_id.get(level_id or 0)
        return None if rung is None else self.reached(rung.growth)

    def code(self, level_id: int | None) -> str | None:
        """Return the code of the level shown for this one."""
        rung = self.by_id.get(level_id or 0) or self.base
        return None if rung is None else rung.code

    def until(self, moment: datetime) -> datetime | None:
        """Return when a level reached at the moment has been kept long enough: after months of whole natural days."""
        if self.valid_months is None:
            return None
        day = _months_after(moment.astimezone(self.zone).date(), self.valid_months) + timedelta(days=1)
        return datetime.combine(day, time(), self.zone).astimezone(moment.tzinfo)


def stand(ladder: Ladder, standing: Standing, growth: int, now: datetime) -> Standing:
    """Return where a fan of this growth stands: higher at once, lower only where the ladder says so."""
    standing = _as_kept(ladder, standing, now)
    if standing.valid_until is not None and standing.valid_until <= now:
        standing = _after_period(ladder, standing, growth, now)
    held, reached = ladder.held(standing.level_id), ladder.reached(growth - standing.deducted)
    if _rank(reached) > _rank(held) or (ladder.demotion is Demotion.AT_ONCE and _rank(reached) < _rank(held)):
        return _at(ladder, standing, reached, now)
    same = (None if held is None else held.id) == standing.level_id
    return standing if same else _at(ladder, standing, held, now)


def _as_kept(ladder: Ladder, standing: Standing, now: datetime) -> Standing:
    """Return the standing as the ladder keeps it now, whatever was kept under the one before."""
    if ladder.demotion is not Demotion.PERIODIC:
        return replace(standing, valid_until=None, deducted=0)
    if standing.level_id is not None and standing.valid_until is None:
        return replace(standing, valid_until=ladder.until(now))
    return standing


def _after_period(ladder: Ladder, standing: Standing, growth: int, now: datetime) -> Standing:
    """Deduct what the level cost, once a period that is over, and stand where the rest reaches."""
    while standing.valid_until is not None and standing.valid_until <= now:
        held = ladder.held(standing.level_id)
        # what was taken back since cannot be deducted too
        deducted = max(0, min(standing.deducted + (held.growth if held else 0), growth))
        reached = ladder.reached(growth - deducted)
        ended = standing.valid_until
        # counted from the end of the last day, which lies in that day
        until = None if reached is None else ladder.until(ended - timedelta(microseconds=1))
        level_id = None if reached is None else reached.id
        since = standing.since if level_id == standing.level_id else ended
        standing = Standing(level_id, None if reached is None else since, until, deducted)
    return standing


def _at(ladder: Ladder, standing: Standing, rung: Rung | None, now: datetime) -> Standing:
    if rung is None:
        return Standing(deducted=standing.deducted)
    return Standing(rung.id, now, ladder.until(now), standing.deducted)


def _rank(rung: Rung | None) -> int:
    return 0 if rung is None else rung.rank


def _months_after(day: date, months: int) -> date:
    """Return the day so many months later, or the last of its month where that has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def united(ladder: Ladder, standings: Sequence[Standing]) -> Standing:
    """Return where somebody stands who was several: at the highest level, with all that was deducted."""
    deducted = sum(standing.deducted for standing in standings)
    highest = max(
        standings, key=lambda one: (_rank(ladder.held(one.level_id)), one.valid_until or one.since or _LONG_AGO)
    )
    return replace(highest, deducted=deducted)
