"""Random streams of events end as a plain model of them says: in persons, daily counts and timelines.

The model knows sets of names and lists of what happened, and nothing of the product. The streams are kept to what has
one exact outcome (decision 0012): each human has one unionid, one external id and one phone, always verified, and a
claim of several identities names a strong one of one human. So nothing is a conflict, nothing weak is weighed, and
persons are whatever names were said together. Timelines are compared by their events, not by the notes of merges.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from domain import clock
from domain.events.ingest import Sender, track
from domain.events.models import EventCount
from domain.events.rules import EventIdentity, EventInput
from domain.fans.models import Fan
from domain.page import PageArgs
from domain.persons.claims import Claim, IdentityRef
from domain.persons.models import IdentityKind
from domain.persons.resolution import resolve
from domain.tables import table_of
from domain.tenancy.models import Brand
from domain.timeline.queries import list_timeline
from domain.timeline.sources import TimelineKind
from tests.cast import EVERYTHING
from tests.world import World

brands, counts, fans = table_of(Brand), table_of(EventCount), table_of(Fan)
NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
BRANDS = ("g1/b1", "g1/b2")
STRONG, OPENIDS = ("unionid", "external", "phone"), ("openid 1", "openid 2")
RUNS = itertools.count(1)
Name = tuple[int, str]
Row = tuple[datetime, str]


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
    """Events of one brand sent together: taken at once, after a crash, or again because the answer was lost."""

    brand: str
    events: tuple[Said, ...]
    fate: str


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


def claims() -> st.SearchStrategy[frozenset[Name]]:
    """Draw identities of one human: one of any kind, or a strong one with others."""
    one = st.sampled_from((*STRONG, *OPENIDS)).map(lambda kind: {kind})
    many = st.tuples(st.sampled_from(STRONG), st.sets(st.sampled_from((*STRONG, *OPENIDS)), max_size=3))
    kinds = st.one_of(one, many.map(lambda drawn: {drawn[0], *drawn[1]}))
    return st.tuples(st.integers(0, 2), kinds).map(lambda drawn: frozenset((drawn[0], kind) for kind in drawn[1]))


SAID = st.builds(
    Said, st.sampled_from(("scan", "h5_view")), claims(), st.integers(0, 60), st.none() | st.integers(0, 12)
)
BATCH = st.builds(
    Batch,
    st.sampled_from(BRANDS),
    st.lists(SAID, min_size=1, max_size=6).map(tuple),
    st.sampled_from(("taken", "crashed", "answer lost")),
)


class Crash(Exception):
    """The process ends before it commits."""


class Stream:
    """Sends a stream to the product, whose names no other stream uses."""

    def __init__(self, world: World) -> None:
        self._services, self._run = world.services, next(RUNS)
        self._ids = {path: world.nodes[path] for path in BRANDS}

    async def send(self, batch: Batch) -> None:
        if batch.fate == "crashed":
            with suppress(Crash):
                await self._send(batch, crash=True)
        await self._send(batch)
        if batch.fate == "answer lost":
            await self._send(batch)

    async def _send(self, batch: Batch, *, crash: bool = False) -> None:
        rows = [self._event(said) for said in batch.events]
        with clock.at(NOW):
            async with self._services.database.writing(EVERYTHING) as session:
                await track(session, self._services.vault, await self._brand(session, batch.brand), rows, Sender("k"))
                if crash:
                    raise Crash

    def _event(self, said: Said) -> EventInput:
        who = [EventIdentity(*self._identity(name), verified=name[1] == "phone") for name in sorted(said.who)]
        number = None if said.number is None else f"{self._run}/{said.number}"
        return EventInput(name=said.name, occurred_at=said.at, event_id=number, identities=who)

    def _identity(self, name: Name) -> tuple[IdentityKind, str, str]:
        human, kind = name
        value = f"{self._run}/{human}"
        return {
            "unionid": (IdentityKind.UNIONID, value, ""),
            "external": (IdentityKind.EXTERNAL_ID, value, "stream"),
            "phone": (IdentityKind.PHONE, f"138{self._run:06}{human:02}", ""),
            "openid 1": (IdentityKind.OPENID, value, "wx1"),
            "openid 2": (IdentityKind.OPENID, value, "wx2"),
        }[kind]

    async def _brand(self, session: Any, path: str) -> Any:
        return (await session.execute(select(brands).where(brands.c.id == self._ids[path]))).one()

    async def people(self, names: Sequence[Name]) -> dict[Name, int | None]:
        """Return the person of each name, asked for by itself."""
        said = [Claim((IdentityRef(*self._identity(name)),)) for name in names]
        async with self._services.database.writing(EVERYTHING) as session:
            keys = await self._services.vault.of_group(session, (await self._brand(session, BRANDS[0])).group_id)
            return dict(zip(names, await resolve(session, keys, said, principal="test"), strict=True))

    async def fan(self, brand: str, person: int | None) -> tuple[list[Row], dict[tuple[str, date], int]] | None:
        """Return the timeline and the daily counts of a person's fan in a brand, None where they are none."""
        mine = select(fans).where(fans.c.person_id == person, fans.c.brand_id == self._ids[brand])
        async with self._services.database.reading(EVERYTHING) as session:
            found: Any = (await session.execute(mine)).one_or_none()
            if found is None:
                return None
            page = await list_timeline(
                session, EVERYTHING, found, PageArgs(first=50), frozenset({TimelineKind.EVENT}), None
            )
            days = await session.execute(select(counts).where(counts.c.fan_id == found.id))
            rows = [(row.at, row.name) for row in page.rows]
            return rows, {(row.name, row.day): row._mapping["count"] for row in days}


def counted(done: Sequence[Said]) -> dict[tuple[str, date], int]:
    """Count by the days of Shanghai, which is always eight hours ahead."""
    return dict(Counter((said.name, (said.at + timedelta(hours=8)).date()) for said in done))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(BATCH, min_size=1, max_size=7))
async def test_a_stream_ends_as_the_model_says(world: World, batches: list[Batch]) -> None:
    model, stream = Model(), Stream(world)

    for batch in batches:
        await stream.send(batch)
        model.take(batch)

    names = sorted(set().union(*model.persons))
    people = await stream.people(names)
    together = {frozenset(name for name in names if people[name] == person) for person in people.values()}
    assert together == {frozenset(person) for person in model.persons}
    for person in model.persons:
        for brand in BRANDS:
            done = model.of(brand, person)
            expected = ([(said.at, said.name) for said in done], counted(done)) if done else None
            assert await stream.fan(brand, people[next(iter(person))]) == expected
