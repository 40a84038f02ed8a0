"""Reads of timelines, activity and fans among many events, as the server's role and behind the walls.

In process, without HTTP: each read is what its resolver asks, under the rights of a brand's or a dealer's staff, with
random fans and places. No read may look through a whole table, and a page of a timeline takes three statements at most.

The collector is set as the server sets it: without that every tenth read waits a tenth of a second for Python to look
through the modules it has loaded.
"""

import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from authz.permissions import PERMISSIONS
from bench.bars import Bars
from bench.data.cluster import Filled, console
from bench.events.fill import fill_events
from domain import clock
from domain.database import Database
from domain.events.queries import EventFilter, list_events
from domain.fans.filters import FanFilter
from domain.fans.queries import get_fan, list_fans
from domain.fans.sorts import FanSort
from domain.page import PageArgs
from domain.ranges import TimeRange
from domain.scope import Scope, TenantSet, system_scope
from domain.timeline.queries import activity_by_fan, list_timeline
from domain.timeline.sources import TimelineKind
from domain.vault import Vault, VaultError
from server import collector
from server.progress import Bars as Progress

TIMES, BAR_MS, MAX_STATEMENTS = 100, 100.0, 3
LARGE_ROWS = 10_000
BRANDS, DEALERS = 5, 200
GROUP = frozenset({1})
EVERY_KIND = frozenset(TimelineKind)
# as `bench.data` names its fans: a part that few of them have, and one that all have
FEW, ALL = "丝77", "粉丝"

Ask = Callable[[AsyncSession, "Chance"], Awaitable[Any]]


@dataclass(frozen=True)
class Chance:
    """What one turn of a read asks about: drawn, and the same in every run."""

    number: int
    fans: int
    end: datetime
    vault: Vault = field(repr=False)

    @property
    def busy_fan(self) -> int:
        """One of those who do most."""
        return 1 + random.Random(self.number).randrange(max(self.fans // 1000, 1))

    @property
    def any_fan(self) -> int:
        return 1 + random.Random(self.number).randrange(self.fans)

    @property
    def brand(self) -> int:
        return 1 + self.number % BRANDS

    @property
    def days(self) -> TimeRange:
        """Three days of the last ninety."""
        since = self.end - timedelta(days=random.Random(self.number).randrange(3, 90))
        return TimeRange(since=since, before=since + timedelta(days=3))


def of_group(chance: Chance) -> Scope:
    return _scope(TenantSet(groups=GROUP, above_groups=GROUP))


def of_brand(chance: Chance) -> Scope:
    return _scope(TenantSet(brands=frozenset({chance.brand}), above_groups=GROUP))


def of_dealer(chance: Chance) -> Scope:
    dealer = 1 + chance.number % DEALERS
    above = frozenset({1 + (dealer - 1) % BRANDS})
    return _scope(TenantSet(dealers=frozenset({dealer}), above_brands=above, above_groups=GROUP))


def _scope(nodes: TenantSet) -> Scope:
    return Scope("bench", 1, dict.fromkeys(PERMISSIONS, nodes))


async def timeline(session: AsyncSession, chance: Chance, **more: Any) -> Any:
    """Ask for a page of 50 of a busy fan's timeline."""
    scope = session.info["scope"]
    fan = await get_fan(session, scope, chance.busy_fan)
    return await list_timeline(
        session, scope, fan, PageArgs(first=50, after=more.get("after")), more.get("kinds", EVERY_KIND), more.get("at")
    )


async def deep_timeline(session: AsyncSession, chance: Chance) -> Any:
    """Ask for a page and the page after it."""
    first = await timeline(session, chance)
    return await timeline(session, chance, after=first.cursors[-1])


async def timeline_of_days(session: AsyncSession, chance: Chance) -> Any:
    return await timeline(session, chance, at=chance.days, kinds=frozenset({TimelineKind.EVENT}))


async def activity(session: AsyncSession, chance: Chance) -> Any:
    """Ask what 50 fans did in 1, 7 and 30 days."""
    found = await list_fans(session, session.info["scope"], chance.vault, PageArgs(first=50))
    return await activity_by_fan(session, found.rows)


def search(order: FanSort = FanSort.ID_ASC, deep: int = 0, **wanted: Any) -> Ask:
    """Ask for a page of 50 fans, or for one that comes after some pages."""

    async def ask(session: AsyncSession, chance: Chance) -> Any:
        given = {name: value(chance) if callable(value) else value for name, value in wanted.items()}
        page, after = None, None
        for _ in range(deep + 1):
            args = PageArgs(first=50, after=after)
            page = await list_fans(
                session, session.info["scope"], chance.vault, args, wanted=FanFilter(**given), order=order
            )
            after = page.cursors[-1] if page.rows else None
        return page

    return ask


async def named_events(session: AsyncSession, chance: Chance) -> Any:
    wanted = EventFilter(chance.brand, "scan", chance.days)
    return await list_events(session, session.info["scope"], PageArgs(first=50), wanted)


READS: dict[str, tuple[Callable[[Chance], Scope], Ask]] = {
    "timeline, newest 50": (of_group, timeline),
    "timeline, two pages": (of_group, deep_timeline),
    "timeline, events of 3 days": (of_group, timeline_of_days),
    "1, 7 and 30 days of 50 fans": (of_brand, activity),
    "events of a name in 3 days": (of_brand, named_events),
    "fans by a part few have": (of_brand, search(nickname=FEW)),
    "fans by a part all have": (of_brand, search(nickname=ALL)),
    "fans by phone": (of_brand, search(phone="13800000000")),
    "fans by last activity, brand": (of_brand, search(FanSort.LAST_ACTIVE_AT_DESC)),
    "fans by last activity, two pages": (of_brand, search(FanSort.LAST_ACTIVE_AT_DESC, deep=1)),
    "fans by last activity, group": (of_group, search(FanSort.LAST_ACTIVE_AT_DESC)),
    "fans by last activity, dealer": (of_dealer, search(FanSort.LAST_ACTIVE_AT_DESC)),
    "fans active in 3 days": (of_brand, search(last_active_at=lambda chance: chance.days)),
    "fans of a tag and a city": (of_brand, search(FanSort.LAST_ORDER_AT_DESC, tag_id=3, city="上海")),
}


async def judge(data: Filled, bars: Bars) -> None:
    """Fill what is missing, ask each read a hundred times, and judge time, statements and plan."""
    with Progress(console) as progress:
        end = await fill_events(data.admin_url, data.size, progress)
    database, vault = Database(data.app_url), Vault(bytes(range(32)))
    try:
        await _with_key(database, vault)
        with clock.at(end):
            collector.tune()
            for name, (scope, ask) in READS.items():
                chances = [Chance(number, data.size.fans, end, vault) for number in range(TIMES + 5)]
                await _judge(bars, name, [await _once(database, scope(one), ask, one) for one in chances][5:])
    finally:
        await database.dispose()


async def _with_key(database: Database, vault: Vault) -> None:
    """Give the group a key, under which phones are looked for; the rows of `bench.data` have none."""
    system = system_scope("bench")
    try:
        async with database.reading(system) as session:
            await vault.of_group(session, 1)
    except VaultError:
        async with database.writing(system) as session:
            await vault.create_key(session, 1)


@dataclass(frozen=True)
class Turn:
    """One turn of a read: how long it took, how many statements it was, and which large tables it looked through."""

    ms: float
    statements: int
    scanned: frozenset[str]


async def _once(database: Database, scope: Scope, ask: Ask, chance: Chance) -> Turn:
    async with database.reading(scope) as session:
        with _noted(database) as asked:
            started = time.perf_counter()
            await ask(session, chance)
            taken = (time.perf_counter() - started) * 1000
        # a plan is asked for now and then: it costs as much as the read
        plans = [await _scanned(session, *one) for one in asked] if chance.number % 25 == 0 else []
    return Turn(taken, len(asked), frozenset().union(*plans))


@contextmanager
def _noted(database: Database) -> Iterator[list[tuple[str, Any]]]:
    asked: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, statement: str, parameters: Any, *rest: object) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")) and "set_config" not in statement[:20]:
            asked.append((statement, parameters))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def _scanned(session: AsyncSession, statement: str, parameters: Any) -> frozenset[str]:
    """Return the large tables that the statement's plan reads from end to end."""
    connection = await session.connection()
    # what a plan holds in reserve and does not run is no scan
    asked = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    answer = (await connection.exec_driver_sql(asked, parameters)).scalar_one()
    plan = json.loads(answer) if isinstance(answer, str) else answer
    ran = [node for node in _nodes(plan[0]["Plan"]) if node["Actual Loops"]]
    read = {node["Relation Name"] for node in ran if node["Node Type"].endswith("Seq Scan")}
    large = "SELECT relname FROM pg_class WHERE relname = ANY (:names) AND reltuples > :rows"
    found = await session.execute(text(large), {"names": sorted(read), "rows": LARGE_ROWS})
    return frozenset(found.scalars())


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


async def _judge(bars: Bars, name: str, turns: list[Turn]) -> None:
    times = sorted(turn.ms for turn in turns)
    p50, p95 = times[len(times) // 2], times[len(times) * 95 // 100]
    statements = max(turn.statements for turn in turns)
    scanned = sorted(frozenset().union(*(turn.scanned for turn in turns)))
    measured = f"p95 {p95:.1f} ms, p50 {p50:.1f} ms, {statements} statements"
    measured += f", looks through {', '.join(scanned)}" if scanned else ""
    few = not name.startswith("timeline, newest") or statements <= MAX_STATEMENTS
    bar = f"p95 {BAR_MS:.0f} ms, no scan" + (f", {MAX_STATEMENTS} statements" if name.startswith("timeline, n") else "")
    bars.judge(name, measured, bar, holds=p95 <= BAR_MS and not scanned and few)
