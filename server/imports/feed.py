"""Carrying the rows of a file into a brand: batch by batch, each in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import SystemRandom
from typing import Generic, NamedTuple, Protocol, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.batches import RowOutcome, RowResult
from domain.database import Database
from domain.errors import Conflict, NotFound
from domain.scope import Scope, system_scope
from domain.tables import table_of
from domain.tenancy.models import Brand
from domain.vault import Vault
from server.imports.layout import Layout
from server.imports.lines import Line, OpenFile, lines
from server.imports.report import Report
from server.progress import Progress

T = TypeVar("T")
R = TypeVar("R")

BATCH = 1_000
ATTEMPTS = 5
STATEMENT_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.1
_jitter = SystemRandom()


class Numbered(NamedTuple, Generic[T]):
    """What was read from a line of the file."""

    line: int
    value: T


class Outcome(NamedTuple):
    """What came of the row of a line."""

    line: int
    outcome: RowOutcome
    reason: str = ""


@dataclass(frozen=True)
class Target:
    """The brand that a file is brought into, and what is needed to write there."""

    database: Database
    vault: Vault
    scope: Scope
    brand: Brand

    async def commit(self, work: Callable[[AsyncSession], Awaitable[R]]) -> R:
        """Do the work in one transaction, and again, some five times, where another change is in its way."""
        for attempt in range(ATTEMPTS):
            try:
                async with self.database.writing(self.scope, statement_seconds=STATEMENT_SECONDS) as session:
                    result = await work(session)
                return result  # noqa: RET504 - committed only when the block is left
            except Conflict:
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * (0.5 + _jitter.random()))
        raise AssertionError("the last attempt returns or raises")


async def find_target(database: Database, vault: Vault, brand_id: int) -> Target:
    """Return the brand as a target. Raises NotFound where there is none of this id."""
    brands = table_of(Brand)
    async with database.reading(system_scope("import")) as session:
        brand = await reads.one(session, select(brands).where(brands.c.id == brand_id), Brand)
    if brand is None:
        raise NotFound(f"There is no brand {brand_id}.")
    return Target(database, vault, system_scope("import", group_id=brand.group_id), brand)


class Sink(Protocol[T]):
    """Takes rows of one kind."""

    def read(self, line: Line) -> T:
        """Make a row of a line. Raises ValueError saying what is wrong with it."""

    async def write(self, rows: Sequence[Numbered[T]]) -> Iterable[Outcome]:
        """Write the rows in one transaction; return what came of each row that is decided now."""

    async def finish(self) -> Iterable[Outcome]:
        """Decide the rows that are not decided yet."""


async def feed(file: OpenFile, layout: Layout, sink: Sink[T], report: Report, progress: Progress) -> None:
    """Bring all rows of the file to the sink, and tell the progress how many bytes are done."""
    rows = lines(file.stream, layout)
    done = 0
    while batch := list(islice(rows, BATCH)):
        accepted: list[Numbered[T]] = []
        for line in batch:
            try:
                accepted.append(Numbered(line.number, _read(sink, line)))
            except ValueError as error:
                report.count(line.number, RowOutcome.REJECTED, str(error))
        if accepted:
            _count(report, await sink.write(accepted))
        done = batch[-1].end
        progress.advance("bytes read", done, max(done, file.size))
    _count(report, await sink.finish())
    progress.advance("bytes read", max(done, file.size), max(done, file.size))


def _read(sink: Sink[T], line: Line) -> T:
    if line.fault is not None:
        raise ValueError(line.fault)
    return sink.read(line)


def _count(report: Report, outcomes: Iterable[Outcome]) -> None:
    for line, outcome, reason in outcomes:
        report.count(line, outcome, reason)


def decided(rows: Sequence[Numbered[T]], results: Iterable[RowResult], columns: dict[str, str]) -> Iterator[Outcome]:
    """Turn what a service says of rows by index into outcomes by line, in the words of the file's columns."""
    for result in results:
        reasons = [f"{columns.get(problem.field, problem.field)}: {problem.message}" for problem in result.problems]
        yield Outcome(rows[result.index].line, result.outcome, "; ".join(reasons))
