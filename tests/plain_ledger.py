"""A ledger of points as plain as it can be said: purses of lots, promises with a day, and who took what from which lot.

It is written from what the product promises (SPEC 7, decision 0018), not from its code: a balance here is whatever the
lots, promises and holds of a purse come to. Every operation takes the moment it happens at and returns what the product
should answer, or raises `Refused` with the code of the refusal, having changed what nobody may look at any more.
"""

from calendar import monthrange
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Answer = tuple[int, ...]
FOR_EVER = datetime.max.replace(tzinfo=ZoneInfo("UTC"))


class Refused(Exception):
    """The product refuses this, with this code."""


@dataclass(eq=False)
class Lot:
    """Points that came together. `by` is the source they were given for, `parent` the lot of a purse they left."""

    number: int
    purse: "Purse"
    left: int
    since: datetime
    until: datetime | None
    made: datetime
    by: str
    parent: "Lot | None" = None


@dataclass(eq=False)
class Purse:
    """What one fan had when they were one. A former one's fan was merged away, and lives on as its owner."""

    owner: str
    former: bool = False
    debt: int = 0
    growth: int = 0
    spent: int = 0
    expired: int = 0
    lots: list[Lot] = field(default_factory=list)
    grown: list[tuple[datetime, int]] = field(default_factory=list)

    @property
    def spendable(self) -> int:
        return sum(lot.left for lot in self.lots)

    @property
    def free(self) -> int:
        return self.spendable - self.debt

    def grow(self, now: datetime, growth: int) -> None:
        self.growth += growth
        self.grown.append((now, growth))

    def in_turn(self) -> list[Lot]:
        full = [lot for lot in self.lots if lot.left]
        return sorted(full, key=lambda lot: (lot.until or FOR_EVER, lot.since, lot.number))


@dataclass(eq=False)
class Wait:
    """Points and growth that were promised for a day."""

    number: int
    purse: Purse
    points: int
    growth: int
    day: datetime
    made: datetime


@dataclass(eq=False)
class Given:
    """What was given under a source, and how much of it was taken back."""

    purse: Purse
    points: int
    growth: int
    back: tuple[int, int] = (0, 0)


@dataclass(eq=False)
class Taken:
    """What was spent or held, and out of which lots."""

    purse: Purse
    points: int
    lots: list[tuple[Lot, int]]
    held: bool


@dataclass
class Said:
    """What was answered under a source: asked again it is said again, and asked otherwise it is refused."""

    what: Any
    purse: Purse
    answer: Answer
    posted: Answer


@dataclass(eq=False)
class Merge:
    """What a merge brought: purses, promises, growth and debt. What came since is told by the moment `at`."""

    into: str
    gone: str
    at: datetime
    purses: list[Purse]
    current: Purse | None
    waits: set[str] = field(default_factory=set)
    growth: int = 0
    debt: int = 0
    undone: bool = False

    def brought(self, lot: Lot) -> bool:
        """Tell whether the points of a lot came out of the purses of who was merged away."""
        line: Lot | None = lot
        while line is not None and line.parent is not None:
            if line.parent.purse in self.purses and line.made >= self.at:
                return True
            line = line.parent
        return False


@dataclass
class PlainLedger:
    """The points of one brand."""

    zone: ZoneInfo
    expiry: str
    months: int
    claw_back_policy: str
    purses: list[Purse] = field(default_factory=list)
    alias: dict[str, str] = field(default_factory=dict)
    said: dict[str, Said] = field(default_factory=dict)
    waits: dict[str, Wait] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)
    taken: dict[str, Taken] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)
    adjusted: int = 0
    numbers: int = 0

    def name(self, fan: str) -> str:
        """Return who a fan is now."""
        while fan in self.alias:
            fan = self.alias[fan]
        return fan

    def free(self, fan: str) -> int:
        """Return what a fan may spend, what has expired and is not taken out yet among it."""
        return sum(purse.free for purse in self.purses if purse.owner == self.name(fan) and not purse.former)

    def earn(self, now: datetime, fan: str, source: str, points: int, growth: int, days: int) -> Answer:
        purse, what = self._purse(fan), ("EARN", points, growth)
        if (before := self._before(source, purse, what)) is not None:
            return before.answer
        if days:
            self.waits[source] = Wait(self._number(), purse, points, growth, now + timedelta(days=days), now)
        else:
            self._credit(now, purse, points, now, source)
            purse.grow(now, growth)
        self.given[source] = Given(purse, points, growth)
        return self._say(source, purse, what, points, growth)

    def spend(self, now: datetime, fan: str, source: str, points: int) -> Answer:
        return self._take(now, fan, source, points, held=False)

    def hold(self, now: datetime, fan: str, source: str, points: int) -> Answer:
        return self._take(now, fan, source, points, held=True)

    def post_hold(self, now: datetime, of: str) -> Answer:
        taken, end = self.taken[of], f"end:{of}"
        if end in self.said:
            return self._ended(end, "SPEND")
        taken.held = False
        taken.purse.spent += taken.points
        self.taken[end] = Taken(taken.purse, taken.points, taken.lots, held=False)
        return self._say(end, taken.purse, "SPEND", -taken.points, 0)

    def void_hold(self, now: datetime, of: str) -> Answer:
        taken, end = self.taken[of], f"end:{of}"
        if end in self.said:
            return self._ended(end, "VOID")
        taken.held = False
        return self._give_back(now, taken, end, "VOID")

    def claw_back(self, now: datetime, of: str, source: str, points: int, growth: int) -> Answer:
        return self._claw(now, of, source, (points, growth)).answer

    def reverse(self, now: datetime, of: str) -> Answer:
        source = f"reverse:{of}"
        if of in self.given:
            return self._claw(now, of, source, None).posted
        if of not in self.taken or self.said[of].what[0] == "HOLD":
            raise Refused("NOT_REVERSIBLE")
        if source in self.said:
            return self.said[source].answer
        self.taken[of].purse.spent -= self.taken[of].points
        return self._give_back(now, self.taken[of], source, "REVERSE")

    def adjust(self, now: datetime, fan: str, number: int, points: int, growth: int) -> Answer:
        purse, source = self._purse(fan), f"adjust:{number}"
        if points < 0:
            self._expire(now, purse)
            self._need(purse, -points)
            _draw(purse, -points)
        else:
            self._credit(now, purse, points, now, source)
        if purse.growth + growth < 0:
            raise Refused("INSUFFICIENT_POINTS")
        purse.grow(now, growth)
        self.adjusted = max(self.adjusted, number)
        if points >= 0 and growth >= 0:
            self.given[source] = Given(purse, points, growth)
        return ()

    def release(self, now: datetime) -> Answer:
        due = sorted((wait.day, wait.number, source) for source, wait in self.waits.items() if wait.day <= now)
        for day, _, source in due:
            wait = self.waits.pop(source)
            self._credit(now, wait.purse, wait.points, day, source)
            wait.purse.grow(now, wait.growth)
        return ()

    def expire(self, now: datetime) -> Answer:
        for purse in self.purses:
            self._expire(now, purse)
        return ()

    def merge(self, now: datetime, into: str, gone: str, number: int) -> Answer:
        if into in self.alias or gone in self.alias:
            raise Refused("PERSON_MERGED")
        own = [purse for purse in self.purses if purse.owner == gone]
        current = next((purse for purse in own if not purse.former), None)
        merge = Merge(into, gone, now, own, current)
        if current is not None:
            merge.growth, merge.debt = current.growth, current.debt
            merge.waits = {source for source, wait in self.waits.items() if wait.purse is current}
            self._carry(now, current, self._purse(into), current.in_turn(), merge.waits, current.growth, current.debt)
        for purse in own:
            purse.owner, purse.former = into, True
        self.alias[gone] = into
        self.merges.append(merge)
        return ()

    def unmerge(self, now: datetime, number: int, absorbed: bool) -> Answer:
        merge = self.merges[number]
        if merge.undone:
            raise Refused("MERGE_UNDONE")
        if merge.into in self.alias:
            raise Refused("LATER_MERGE")
        merge.undone = True
        del self.alias[merge.gone]
        for purse in merge.purses:
            purse.owner = merge.gone
        if merge.current is not None:
            merge.current.former = False
        into = self._purse(merge.into)
        others = [m for m in self.merges[number + 1 :] if m.into == merge.into and not m.undone]

        def came_since(made: datetime) -> bool:
            return absorbed and made >= merge.at

        lots = [
            lot
            for lot in into.in_turn()
            if merge.brought(lot) or (came_since(lot.made) and not any(other.brought(lot) for other in others))
        ]
        handed = set().union(*(other.waits for other in others))
        waits = {
            source
            for source, wait in self.waits.items()
            if wait.purse is into and (source in merge.waits or (came_since(wait.made) and source not in handed))
        }
        growth = merge.growth + sum(growth for at, growth in into.grown if came_since(at))
        growth, debt = max(0, min(growth, into.growth)), min(merge.debt, into.debt)
        self._carry(now, into, self._purse(merge.gone), lots, waits, growth, debt)
        return ()

    def balances(self) -> dict[str, Answer]:
        """Return what everybody has: spendable, held, pending, debt, growth, growth pending, spent and expired."""
        found: dict[str, Answer] = {}
        for purse in self.purses:
            waits = [wait for wait in self.waits.values() if wait.purse is purse]
            held = sum(taken.points for taken in self.taken.values() if taken.held and taken.purse is purse)
            has: Answer = (purse.spendable, held, sum(wait.points for wait in waits), -purse.debt, purse.growth)
            has += (sum(wait.growth for wait in waits), purse.spent, purse.expired)
            found[purse.owner] = tuple(map(sum, zip(has, found.get(purse.owner, (0,) * 8), strict=True)))
        return found

    def lots(self) -> Counter[tuple[str, bool, datetime, datetime | None]]:
        """Return how many points of whom, on a former purse or not, were granted when and can be spent until when."""
        left: Counter[tuple[str, bool, datetime, datetime | None]] = Counter()
        for purse in self.purses:
            for lot in purse.in_turn():
                left[purse.owner, purse.former, lot.since, lot.until] += lot.left
        return left

    def growth(self) -> dict[str, int]:
        """Return the growth that decides everybody's level."""
        return {purse.owner: purse.growth for purse in self.purses if not purse.former}

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    def _purse(self, fan: str) -> Purse:
        owner = self.name(fan)
        found = next((purse for purse in self.purses if purse.owner == owner and not purse.former), None)
        if found is None:
            found = Purse(owner)
            self.purses.append(found)
        return found

    def _before(self, source: str, purse: Purse, what: Any) -> Said | None:
        before = self.said.get(source)
        if before is not None and (before.what != what or before.purse.owner != purse.owner):
            raise Refused("IDEMPOTENCY_CONFLICT")
        return before

    def _say(self, source: str, purse: Purse, what: Any, points: int, growth: int) -> Answer:
        posted = (points, growth, purse.free, purse.growth)
        self.said[source] = Said(what, purse, posted, posted)
        return posted

    def _ended(self, end: str, kind: str) -> Answer:
        if self.said[end].what != kind:
            raise Refused("HOLD_ENDED")
        return self.said[end].answer

    def _need(self, purse: Purse, points: int) -> None:
        if purse.free < points:
            raise Refused("INSUFFICIENT_POINTS")

    def _until(self, since: datetime) -> datetime | None:
        if self.expiry == "NEVER":
            return None
        day = since.astimezone(self.zone).date()
        if self.expiry == "END_OF_YEAR":
            return datetime.combine(day.replace(year=day.year + 1, month=1, day=1), time(), self.zone)
        for _ in range(self.months):
            first = day.replace(day=1) + timedelta(days=32)
            day = first.replace(day=min(since.astimezone(self.zone).day, monthrange(first.year, first.month)[1]))
        return datetime.combine(day + timedelta(days=1), time(), self.zone)

    def _credit(self, now: datetime, purse: Purse, points: int, since: datetime, by: str) -> None:
        settled = min(points, purse.debt)
        purse.debt -= settled
        if points > settled:
            self._lot(purse, points - settled, since, self._until(since), now, by)

    def _lot(
        self, purse: Purse, left: int, since: datetime, until: datetime | None, now: datetime, by: str, of: Any = None
    ) -> None:
        purse.lots.append(Lot(self._number(), purse, left, since, until, now, by, of))

    def _expire(self, now: datetime, purse: Purse) -> None:
        for lot in purse.lots:
            if lot.until is not None and lot.until <= now:
                paid = min(lot.left, purse.debt)
                purse.debt -= paid
                purse.expired += lot.left - paid
                lot.left = 0

    def _take(self, now: datetime, fan: str, source: str, points: int, *, held: bool) -> Answer:
        purse, what = self._purse(fan), ("HOLD" if held else "SPEND", points)
        if (before := self._before(source, purse, what)) is not None:
            return before.answer
        self._expire(now, purse)
        self._need(purse, points)
        self.taken[source] = Taken(purse, points, _draw(purse, points), held)
        purse.spent += 0 if held else points
        return self._say(source, purse, what, -points, 0)

    def _claw(self, now: datetime, of: str, source: str, asked: tuple[int, int] | None) -> Said:
        given = self.given[of]
        if source in self.said:
            said = self.said[source]
            # what was taken then is known, and what was asked for is not: it was as much, or more
            less = asked is not None and (asked[0] < -said.posted[0] or asked[1] < -said.posted[1])
            if said.what != ("CLAW", of) or less:
                raise Refused("IDEMPOTENCY_CONFLICT")
            return said
        left = (given.points - given.back[0], given.growth - given.back[1])
        points, growth = left if asked is None else asked
        if points > left[0] or growth > left[1]:
            raise Refused("BAD_USER_INPUT")
        cancelled, owed, took = (0, 0), 0, (points, growth)
        if of in self.waits:
            purse = self.waits[of].purse
            self._cancel(of, points, growth)
            cancelled = took
        else:
            purse = self._purse(given.purse.owner)
            self._expire(now, purse)
            took, owed = self._by_policy(now, purse, points, growth, of)
        given.back = (given.back[0] + took[0], given.back[1] + took[1])
        answer = (*took, *cancelled, owed, points - took[0], growth - took[1])
        self.said[source] = Said(("CLAW", of), purse, answer, (-took[0], -took[1], purse.free, purse.growth))
        return self.said[source]

    def _cancel(self, of: str, points: int, growth: int) -> None:
        wait = self.waits[of]
        wait.points -= points
        wait.growth -= growth
        if not wait.points and not wait.growth:
            del self.waits[of]

    def _by_policy(self, now: datetime, purse: Purse, points: int, growth: int, of: str) -> tuple[tuple[int, int], int]:
        if self.claw_back_policy == "ONLY_PENDING":
            return (0, 0), 0
        has = purse.spendable if self.claw_back_policy == "DEBT" else max(purse.free, 0)
        there, growth = min(points, has), min(growth, purse.growth)
        owed = points - there if self.claw_back_policy == "DEBT" else 0
        _draw(purse, there, first=of)
        purse.debt += owed
        purse.grow(now, -growth)
        return (there + owed, growth), owed

    def _give_back(self, now: datetime, taken: Taken, source: str, what: str) -> Answer:
        purse = taken.purse
        settled = min(taken.points, purse.debt)
        purse.debt -= settled
        left = taken.points - settled
        for lot, points in sorted(taken.lots, key=lambda pair: (pair[0].until or FOR_EVER, pair[0].number))[::-1]:
            back = min(left, points)
            lot.left += back
            left -= back
        answer = self._say(source, purse, what, taken.points, 0)
        self._expire(now, purse)
        if purse.former:
            self._carry(now, purse, self._purse(purse.owner), purse.in_turn(), set(), 0, 0)
        return answer

    def _carry(
        self, now: datetime, purse: Purse, to: Purse, lots: list[Lot], waits: set[str], growth: int, debt: int
    ) -> None:
        for lot in lots:
            self._lot(to, lot.left, lot.since, lot.until, now, "", lot)
            lot.left = 0
        for source in waits:
            self.waits[source].purse = to
        purse.growth, to.growth = purse.growth - growth, to.growth + growth
        purse.debt, to.debt = purse.debt - debt, to.debt + debt


def _draw(purse: Purse, points: int, first: str = "") -> list[tuple[Lot, int]]:
    """Take points out of what ends soonest, then what is oldest; out of what came for `first` before the others."""
    drawn = []
    for lot in sorted(purse.in_turn(), key=lambda lot: not first or lot.by != first):
        taken = min(points, lot.left)
        if taken:
            lot.left -= taken
            points -= taken
            drawn.append((lot, taken))
    assert points == 0
    return drawn
