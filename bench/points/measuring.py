"""The measurements: ours and the database alone in turns, with a look after each for what was lost or doubled.

The collector is set as the server sets it: without that Python looks again and again at what the bench has noted.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.points import checks, sends
from bench.points.clients import Crowd, Send, crowd
from bench.points.data import SCOPE, fill
from bench.points.peers import pgbench, raw_sqlite
from bench.points.soak import Part, soak
from domain.database import Database
from domain.points.ledger import service as ledger
from domain.points.ledger.rules import Earn
from domain.points.programme.rules import Programme
from server import collector

WARM_SECONDS = 2
EARN, CALL, SPEND = "earn", "call", "spend"
RICH, EACH = 1_000, 1_000


class Options(NamedTuple):
    """What was asked for."""

    seconds: float
    rounds: int
    clients: int
    fans: int
    soak: float
    write: bool
    plans: bool


class Beside(NamedTuple):
    """Medians of the rounds: ours, and the database alone with the same statement where it was measured.

    The ratio is the median of the rounds' own: what the machine does meanwhile changes from round to round.
    """

    rate: float
    p99: float
    alone: float | None = None
    ratio: float | None = None


@dataclass
class Found:
    """What one database came to."""

    lines: dict[str, Beside] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    acknowledged: int = 0
    faults: list[str] = field(default_factory=list)


Alone = Callable[[str, str, float], Awaitable[float]]
Tidy = Callable[[], Awaitable[None]]


async def _leave_it() -> None:
    """Do nothing: SQLite plans without statistics."""


class Measuring:
    """The measurements on one database, which has nothing but the bench's fans."""

    def __init__(
        self, database: Database, programme: Programme, given: Options, alone: Alone, tidy: Tidy = _leave_it
    ) -> None:
        self._database = database
        self._programme = programme
        self._given = given
        self._alone = alone
        self._tidy = tidy
        self.found = Found()

    async def beside(self, sends_of: dict[str, Send]) -> None:
        """Measure each way of earning and the database alone, in turns; the first turn only warms up."""
        rounds: dict[str, list[Beside]] = {name: [] for name in sends_of}
        collector.tune()
        for number in range(self._given.rounds + 1):
            seconds = self._given.seconds if number else WARM_SECONDS
            for name, send in sends_of.items():
                # as autovacuum would soon, and before both: plans made while the tables were empty look through them,
                # and who comes second would find what the first left to clean
                await self._tidy()
                alone = await self._alone(name, f"alone{number}{name}", seconds)
                await self._tidy()
                ours = await self._crowd(send, f"ours{number}{name}", seconds)
                ratio = ours.rate / alone
                rounds[name] += [Beside(ours.rate, ours.p99(), alone, ratio)] if number else []
                said = f"{ours.rate:,.0f}/s, the database alone {alone:,.0f}/s, {ratio:.2f}x"
                print(f"round {number}, {name}: {said}", flush=True)
        for name, measured in rounds.items():
            self.found.lines[name] = Beside(*(statistics.median(column) for column in zip(*measured, strict=True)))

    async def spend(self) -> None:
        """Measure spending, of fans who have enough."""
        gifts = [Earn(fan, f"gift-{fan}", EACH) for fan in range(1, min(RICH, self._given.fans) + 1)]
        async with self._database.writing(SCOPE) as session:
            await ledger.earn(session, self._programme, gifts, actor="bench")
        send = sends.spends(self._database, self._programme)
        await self._tidy()
        spent = await self._crowd(send, "spend", self._given.seconds, fans=len(gifts), kind="SPEND")
        self.found.lines[SPEND] = Beside(spent.rate, spent.p99())

    async def soak(self, send: Send, admin_url: str) -> None:
        """Earn over two checkpoints."""
        size = {"clients": self._given.clients, "fans": self._given.fans}
        before = await checks.transfers(self._database)
        earned, self.found.parts = await soak(send, admin_url, seconds=self._given.soak, **size)
        await self._note(earned, before, "soak")

    async def finish(self) -> Found:
        """Look through the books."""
        self.found.faults += await checks.faults(self._database)
        return self.found

    async def _crowd(
        self, send: Send, run: str, seconds: float, *, fans: int | None = None, kind: str = "EARN"
    ) -> Crowd:
        before = await checks.transfers(self._database, kind)
        size = {"clients": self._given.clients, "fans": fans or self._given.fans}
        came = await crowd(send, run=run, seconds=seconds, **size)
        await self._note(came, before, run, kind)
        return came

    async def _note(self, came: Crowd, before: int, run: str, kind: str = "EARN") -> None:
        there = await checks.transfers(self._database, kind) - before
        self.found.acknowledged += came.made
        if there != came.made:
            self.found.faults.append(f"{run}: {came.made} were acknowledged and {there} are there")


async def on_postgresql(app_url: str, admin_url: str, given: Options) -> Found:
    """Measure on a fresh, migrated PostgreSQL."""
    database = Database(app_url)

    async def alone(name: str, run: str, seconds: float) -> float:
        size: dict[str, Any] = {"clients": given.clients, "fans": given.fans}
        return await asyncio.to_thread(pgbench, admin_url, name, run=run, seconds=seconds, **size)

    try:
        programme = await fill(database, given.fans)
        measuring = Measuring(database, programme, given, alone, lambda: checks.tidy(admin_url))
        earning = sends.earns(database, programme)
        await measuring.beside({EARN: earning, CALL: sends.calls(database)})
        await measuring.spend()
        if given.soak:
            await measuring.soak(earning, admin_url)
        return await measuring.finish()
    finally:
        await database.dispose()


async def on_sqlite(url: str, path: Path, given: Options) -> Found:
    """Measure on a fresh, migrated SQLite; what the ledger writes of an earn beside one bare connection."""
    database = Database(url)

    async def alone(name: str, run: str, seconds: float) -> float:
        return await asyncio.to_thread(raw_sqlite, path, run=run, fans=given.fans, seconds=seconds)

    try:
        programme = await fill(database, given.fans)
        measuring = Measuring(database, programme, given, alone)
        await measuring.beside({EARN: sends.earns(database, programme)})
        await measuring.spend()
        return await measuring.finish()
    finally:
        await database.dispose()
