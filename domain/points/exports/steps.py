"""The job that writes a report down, a range of ids a step: it may be killed at any time and goes on where it was."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.errors import Forbidden
from domain.jobs.models import Job
from domain.jobs.queue import Step, Work
from domain.points.exports.reports import (
    LIABILITY_HEAD,
    MARK,
    SIDES,
    TRANSFER_HEAD,
    Report,
    add_up,
    bounds,
    liability_rows,
    lines,
    month_of,
    transfer_row,
)
from domain.points.ledger.book import entries, transfers
from domain.points.ledger.sealing import seals
from domain.points.programme.queries import programme_of
from domain.privacy.exporting import label, parts
from domain.vault import Vault

IDS_AT_ONCE = 20_000
# Whether a principal may still export the ledger of a brand: rights may be taken while a job waits.
MayExport = Callable[[AsyncSession, Work | Job], Awaitable[bool]]


@dataclass(frozen=True)
class _Span:
    """What a report is about: the days, and the moments they begin at and end before."""

    since: date
    until: date
    begins: datetime
    ends: datetime
    zone: ZoneInfo


async def export_step(session: AsyncSession, work: Work, *, vault: Vault, may: MayExport) -> Step:
    """Write the next piece of a report. Raises Forbidden where who asked for it may not have it any more."""
    if not await may(session, work):
        raise Forbidden
    span = await _span(session, work)
    progress = work.progress or await _beginning(session, work, span)
    after, last = int(progress["after"]), int(progress["last"])
    upto = min(last, after + IDS_AT_ONCE)
    finished = upto >= last
    page = _Page(session, work.brand_id, span, after, upto)
    if work.input["report"] == Report.TRANSFERS:
        made, done = await page.transfers()
        more: dict[str, Any] = {}
    else:
        more = {"sums": await page.sums(progress["sums"])}
        made, done = lines(liability_rows(more["sums"], span.since, span.until)) if finished else "", upto - after
    head = "" if work.progress else MARK + lines([_HEADS[Report(work.input["report"])]])
    position = int(progress["position"])
    if head or made:
        await _keep(session, work, vault, position, head + made)
        position += 1
    return Step({**progress, **more, "position": position, "after": upto}, done, finished=finished)


_HEADS = {Report.TRANSFERS: TRANSFER_HEAD, Report.LIABILITY: LIABILITY_HEAD}


async def _span(session: AsyncSession, work: Work) -> _Span:
    zone = (await programme_of(session, work.brand_id)).zone
    since, until = (date.fromisoformat(work.input[name]) for name in ("since", "until"))
    return _Span(since, until, *bounds(since, until, zone), zone)


async def _beginning(session: AsyncSession, work: Work, span: _Span) -> dict[str, Any]:
    """Say which ids the report goes through: of transfers those of its days, for a liability all up to its end."""
    within = (transfers.c.recorded_at >= span.begins, transfers.c.recorded_at < span.ends)
    first, last = (
        await session.execute(select(func.min(transfers.c.id), func.max(transfers.c.id)).where(*within))
    ).one()
    if work.input["report"] == Report.TRANSFERS:
        return {"position": 0, "after": (first or 1) - 1, "last": last or 0}
    if last is None:
        earlier = select(func.max(transfers.c.id)).where(transfers.c.recorded_at < span.begins)
        last = (await session.execute(earlier)).scalar()
    return {"position": 0, "after": 0, "last": last or 0, "sums": {}}


@dataclass(frozen=True)
class _Page:
    """A range of ids of a brand's transfers."""

    session: AsyncSession
    brand_id: int
    span: _Span
    after: int
    upto: int

    async def transfers(self) -> tuple[str, int]:
        """Return the lines of the transfers that lie in the days, and how many they are."""
        joined = transfers.outerjoin(seals, seals.c.transfer_id == transfers.c.id)
        mine = (*self._mine(), transfers.c.recorded_at >= self.span.begins, transfers.c.recorded_at < self.span.ends)
        wanted = select(transfers, seals.c.number).select_from(joined).where(*mine).order_by(transfers.c.id)
        rows = (await self.session.execute(wanted)).all()
        sides = await self._sides() if rows else {}
        return lines(transfer_row(row, sides.get(row.id, {}), self.span.zone) for row in rows), len(rows)

    async def sums(self, before: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
        """Return the sums with what the programme's own sides of these transfers add up to."""
        joined = transfers.join(entries, entries.c.transfer_id == transfers.c.id)
        mine = (*self._mine(), transfers.c.recorded_at < self.span.ends, entries.c.kind.in_([s.value for s in SIDES]))
        said = (transfers.c.recorded_at, entries.c.kind, entries.c.amount)
        rows = await self.session.execute(select(*said).select_from(joined).where(*mine))
        return add_up(before, ((month_of(row[0], self.span.begins, self.span.zone), row[1], row[2]) for row in rows))

    def _mine(self) -> Sequence[Any]:
        return (transfers.c.brand_id == self.brand_id, transfers.c.id > self.after, transfers.c.id <= self.upto)

    async def _sides(self) -> dict[int, dict[str, int]]:
        of = (
            entries.c.transfer_id > self.after,
            entries.c.transfer_id <= self.upto,
            entries.c.brand_id == self.brand_id,
        )
        found: dict[int, dict[str, int]] = {}
        columns = (entries.c.transfer_id, entries.c.kind, entries.c.amount)
        for transfer_id, kind, amount in await self.session.execute(select(*columns).where(*of)):
            found.setdefault(transfer_id, {})[kind] = amount
        return found


async def _keep(session: AsyncSession, work: Work, vault: Vault, position: int, text: str) -> None:
    keys = await vault.of_group(session, work.group_id)
    row = {
        "job_id": work.id,
        "position": position,
        "group_id": work.group_id,
        "brand_id": work.brand_id,
        "fan_id": None,
        "sealed": keys.seal(text, label(work.id, position)),
        "created_at": clock.now(),
    }
    await session.execute(insert(parts), [row])
