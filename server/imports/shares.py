"""Importing share cascades."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.batches import RowOutcome
from domain.database import Database
from domain.persons.models import IdentityKind
from domain.shares.models import Cascade
from domain.shares.service import ShareInput, record_shares
from domain.tables import table_of
from domain.vault import Vault, normalise
from server.imports.columns import SHARE_COLUMNS
from server.imports.feed import BATCH, Numbered, Outcome, Target, decided, feed, find_target
from server.imports.layout import Layout, Times
from server.imports.lines import Line, opened
from server.imports.report import Report, reporting
from server.imports.rows import fan_of, share_row
from server.imports.waiting import MAX_WAITING, Released, Waiting
from server.progress import Progress

Row = Numbered[ShareInput]
cascades = table_of(Cascade)


async def import_shares(
    database: Database,
    vault: Vault,
    brand_id: int,
    path: Path,
    layout: Layout,
    progress: Progress,
    rejects: Path | None = None,
    max_waiting: int = MAX_WAITING,
) -> Report:
    """Grow cascades by the shares of a file; those that are there already stay as they are.

    A share may come before the one that brought its sharer: it waits, in memory, `max_waiting` shares at most. The
    first sharer of a cascade is its seed, unless the layout names the seed. Raises BadInput for a file or layout that
    cannot be read or where too many shares wait, NotFound for a brand that is not there.
    """
    layout.check(SHARE_COLUMNS)
    target = await find_target(database, vault, brand_id)
    with opened(path) as file, reporting(rejects) as report:
        sink = _Shares(target, layout, layout.times(target.brand.time_zone), max_waiting)
        await feed(file, layout, sink, report, progress)
    return report


class _Shares:
    def __init__(self, target: Target, layout: Layout, times: Times, max_waiting: int) -> None:
        self._target = target
        self._layout = layout
        self._times = times
        self._waiting = Waiting(max_waiting)
        self._seed = normalise(IdentityKind.EXTERNAL_ID, layout.seed or "")

    def read(self, line: Line) -> ShareInput:
        return share_row(line.values, self._layout, self._times)

    async def write(self, rows: Sequence[Row]) -> Iterable[Outcome]:
        async def work(session: AsyncSession) -> tuple[list[Outcome], Released]:
            released = self._waiting.released()
            return await self._settle(session, rows, released), released

        outcomes, released = await self._target.commit(work)
        self._waiting.apply(released)
        return outcomes

    async def _settle(self, session: AsyncSession, rows: Sequence[Row], released: Released) -> list[Outcome]:
        """Write the rows and, in the same transaction, all rows that waited for them.

        So after each transaction no row that was read could be placed and is not: a run that is cut off and started
        again meets at each line the state that an uninterrupted run meets, and ends with the same trees.
        """
        outcomes: list[Outcome] = []
        queue = deque(rows)
        while queue:
            part = [queue.popleft() for _ in range(min(BATCH, len(queue)))]
            outcomes += await self._record(session, part, released, queue)
        return outcomes

    async def _record(
        self, session: AsyncSession, part: Sequence[Row], released: Released, queue: deque[Row]
    ) -> list[Outcome]:
        ready, held = await self._ready(session, part)
        for row in held:
            released.hold(row)
        if not ready:
            return []
        target = self._target
        batch = [row.value for row in ready]
        recorded = await record_shares(session, target.vault, target.brand, self._layout.source, batch)
        for index in recorded.waiting:
            released.hold(ready[index])
        there = {RowOutcome.CREATED, RowOutcome.UNCHANGED}
        placed = [ready[result.index].value for result in recorded.results if result.outcome in there]
        queue.extend(released.freed_by(placed))
        return list(decided(ready, recorded.results, {}))

    async def _ready(self, session: AsyncSession, part: Sequence[Row]) -> tuple[list[Row], list[Row]]:
        """Part the rows whose cascade may grow now from those that come before the seed which the layout names."""
        if self._layout.seed is None:
            return list(part), []
        seeds = [row for row in part if self._is_from_seed(row.value)]
        rest = [row for row in part if not self._is_from_seed(row.value)]
        wanted = {row.value.cascade for row in rest}
        mine = (cascades.c.brand_id == self._target.brand.id, cascades.c.source == self._layout.source)
        known = await session.execute(select(cascades.c.code).where(*mine, cascades.c.code.in_(wanted)))
        is_open = {row.value.cascade for row in seeds} | set(known.scalars())
        ready = [row for row in rest if row.value.cascade in is_open]
        return seeds + ready, [row for row in rest if row.value.cascade not in is_open]

    def _is_from_seed(self, share: ShareInput) -> bool:
        return share.sharer == fan_of(self._layout, share.cascade, self._seed)

    async def finish(self) -> Iterable[Outcome]:
        """Try once more what still waits, for another import may have brought it; refuse the rest."""
        rows = iter(self._waiting.take_all())
        outcomes: list[Outcome] = []
        while part := list(islice(rows, BATCH)):
            outcomes += await self.write(part)
        left = self._waiting.take_all()
        reason = "sharer: no share brings the cascade to this fan"
        return outcomes + [Outcome(row.line, RowOutcome.REJECTED, reason) for row in left]
