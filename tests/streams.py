"""A plain in-memory model of what streams of events come to. It knows nothing of the product but what it must show."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
WINDOWS = (1, 7, 30)
Name = tuple[int, str]


@dataclass(frozen=True)
class State:
    """All that is compared of a fan: what they did, how often by the day and in the windows, and how they follow."""

    timeline: list[tuple[datetime, str]]
    days: dict[tuple[str, date], int]
    windows: dict[int, dict[str, int]]
    follow: tuple[bool, int, datetime | None, datetime | None, datetime | None]
    active: datetime | None


@dataclass(frozen=True)
class Said:
    """An event as a channel sends it: who did what, how many hours ago, and the channel's id of it or none."""

    name: str
    who: frozenset[Name]
    hours: int
    number: int | None

    @property
    def at(self) -> datetime:
        return NOW - timedelta(hours=self.hours)

    @property
    def key(self) -> object:
        return (self.name, self.who, self.hours) if self.number is None else self.number


@dataclass(frozen=True)
class Batch:
    """Events of one brand sent together: taken at once, after a crash, or again because the answer was lost.

    The process crashes before its statement of the number `crash`, or before it commits where there are not so many.
    """

    brand: str
    events: tuple[Said, ...]
    fate: str
    crash: int


@dataclass
class Model:
    """What the streams come to: names said together are one person, and each key of a brand counts once."""

    persons: list[set[Name]] = field(default_factory=list)
    keys: set[tuple[str, object]] = field(default_factory=set)
    happened: list[tuple[str, Said]] = field(default_factory=list)

    def take(self, batch: Batch) -> None:
        for said in batch.events:
            if (batch.brand, said.key) in self.keys:
                continue
            self.keys.add((batch.brand, said.key))
            self.happened.append((batch.brand, said))
            met = [person for person in self.persons if person & said.who]
            self.persons = [person for person in self.persons if not person & said.who]
            self.persons.append(set(said.who).union(*met))

    def of(self, brand: str, person: set[Name]) -> list[Said]:
        """Return what a person did in a brand, newest first; of one moment what came last is first."""
        done = [said for where, said in self.happened if where == brand and said.who & person]
        ordered = sorted(enumerate(done), key=lambda numbered: (numbered[1].at, numbered[0]), reverse=True)
        return [said for _, said in ordered]

    def state(self, brand: str, person: set[Name]) -> State | None:
        """Return what a fan comes to, None where the person did nothing in the brand."""
        done = self.of(brand, person)
        if not done:
            return None
        days = Counter((said.name, day_of(said.at)) for said in done)
        windows = {n: Counter(s.name for s in done if day_of(s.at) > day_of(NOW) - timedelta(days=n)) for n in WINDOWS}
        steps = [said for said in done if said.name in ("follow", "unfollow")]
        came, left = ([said.at for said in steps if said.name == name] for name in ("follow", "unfollow"))
        subscribed = bool(steps) and steps[0].name == "follow"
        follow = (subscribed, len(came), min(came, default=None), max(came, default=None), max(left, default=None))
        timeline = [(said.at, said.name) for said in done]
        return State(timeline, dict(days), {n: dict(c) for n, c in windows.items()}, follow, done[0].at)


def day_of(moment: datetime) -> date:
    """Return the day of Shanghai, which is always eight hours ahead."""
    return (moment + timedelta(hours=8)).date()
