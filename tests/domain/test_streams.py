"""Random streams of events end as a plain model of them says: in persons, counts, follow states and timelines.

The model knows sets of names and lists of what happened, and nothing of the product. The streams are kept to what has
one exact outcome (decision 0012): each human has one unionid, one external id and one phone, always verified, and a
claim of several identities names a strong one of one human. So nothing is a conflict, nothing weak is weighed, and
persons are whatever names were said together. Timelines are compared by their events, not by the notes of merges.

Batches come in any order of their time, some twice since their answer was lost, some after a crash in the middle of
them. Whether the names of one human meet early, late or never is drawn too.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.events.activity import last_active_by_fan
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
from domain.timeline.queries import activity_by_fan, list_timeline
from domain.timeline.sources import TimelineKind
from tests.cast import EVERYTHING
from tests.streams import NOW, Batch, Model, Name, Said, State
from tests.world import World

brands, counts, fans = table_of(Brand), table_of(EventCount), table_of(Fan)
BRANDS = ("g1/b1", "g1/b2")
STRONG, OPENIDS = ("unionid", "external", "phone"), ("openid 1", "openid 2")
RUNS = itertools.count(1)


def claims() -> st.SearchStrategy[frozenset[Name]]:
    """Draw identities of one human: one of any kind, or a strong one with others."""
    one = st.sampled_from((*STRONG, *OPENIDS)).map(lambda kind: {kind})
    many = st.tuples(st.sampled_from(STRONG), st.sets(st.sampled_from((*STRONG, *OPENIDS)), max_size=3))
    kinds = st.one_of(one, many.map(lambda drawn: {drawn[0], *drawn[1]}))
    return st.tuples(st.integers(0, 2), kinds).map(lambda drawn: frozenset((drawn[0], kind) for kind in drawn[1]))


# around the borders of the brand's days, of which the windows are made, and far beyond the longest
HOURS = st.integers(0, 60) | st.sampled_from((12, 13, 156, 157, 708, 709, 900))
SAID = st.builds(
    Said,
    st.sampled_from(("scan", "h5_view", "follow", "unfollow")),
    claims(),
    HOURS,
    st.none() | st.integers(0, 12),
)
BATCH = st.builds(
    Batch,
    st.sampled_from(BRANDS),
    st.lists(SAID, min_size=1, max_size=6).map(tuple),
    st.sampled_from(("taken", "crashed", "answer lost")),
    st.integers(0, 20),
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
            with suppress(Crash), self._crashing(batch.crash):
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

    @contextmanager
    def _crashing(self, place: int) -> Iterator[None]:
        """End the process, as it were, before its statement of this number."""
        engine, left = self._services.database.engine.sync_engine, itertools.count(place, -1)

        def crash(*_: object) -> None:
            if next(left) == 0:
                raise Crash

        event.listen(engine, "before_cursor_execute", crash)
        try:
            yield
        finally:
            event.remove(engine, "before_cursor_execute", crash)

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

    async def fan(self, brand: str, person: int | None) -> State | None:
        """Return how a person's fan stands in a brand, None where they are none."""
        mine = select(fans).where(fans.c.person_id == person, fans.c.brand_id == self._ids[brand])
        with clock.at(NOW):
            async with self._services.database.reading(EVERYTHING) as session:
                found: Any = (await session.execute(mine)).one_or_none()
                return None if found is None else await _state(session, found)


async def _state(session: AsyncSession, fan: Any) -> State:
    page = await list_timeline(session, EVERYTHING, fan, PageArgs(first=50), frozenset({TimelineKind.EVENT}), None)
    days = await session.execute(select(counts).where(counts.c.fan_id == fan.id))
    windows = (await activity_by_fan(session, [fan]))[fan.id]
    return State(
        [(row.at, row.name) for row in page.rows],
        {(row.name, row.day): row._mapping["count"] for row in days},
        {window.days: {one.name: one.count for one in window.names} for window in windows},
        (fan.subscribed, fan.follow_count, fan.followed_at, fan.last_followed_at, fan.unfollowed_at),
        (await last_active_by_fan(session, EVERYTHING, [fan.id])).get(fan.id),
    )


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
            assert await stream.fan(brand, people[next(iter(person))]) == model.state(brand, person)
