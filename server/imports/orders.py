"""Importing orders."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from domain.database import Database
from domain.orders.rules import OrderInput
from domain.orders.service import OrderBatch, record_orders
from domain.vault import Vault
from server.imports.columns import ORDER_COLUMNS
from server.imports.feed import Numbered, Outcome, Target, decided, feed, find_target
from server.imports.layout import Layout, Times
from server.imports.lines import Line, opened
from server.imports.report import Report, reporting
from server.imports.rows import OrderRow, order_row
from server.progress import Progress


async def import_orders(
    database: Database,
    vault: Vault,
    brand_id: int,
    path: Path,
    layout: Layout,
    progress: Progress,
    rejects: Path | None = None,
) -> Report:
    """Record the orders of a file; those that are there already change only where the file says something else.

    An order without a number is known by its content and by how many equal rows stand before it in the file: equal
    rows are separate purchases, and the same file again adds nothing. Raises BadInput for a file or layout that cannot
    be read at all, NotFound for a brand that is not there.
    """
    layout.check(ORDER_COLUMNS)
    target = await find_target(database, vault, brand_id)
    with opened(path) as file, reporting(rejects) as report, occurrences() as seen:
        sink = _Orders(target, layout, layout.times(target.brand.time_zone), seen)
        await feed(file, layout, sink, report, progress)
    return report


class Occurrences:
    """Counts equal contents, in a temporary file: an import may have more rows than memory holds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("CREATE TABLE seen (content BLOB PRIMARY KEY, times INTEGER) WITHOUT ROWID")

    def number(self, content: str) -> str:
        """Return a key for this content that differs each time the same content comes."""
        digest = hashlib.sha256(content.encode()).digest()[:16]
        statement = "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times"
        ((times,),) = self._connection.execute(statement, (digest,)).fetchall()
        return f"row-{digest.hex()}-{times}"


@contextmanager
def occurrences() -> Iterator[Occurrences]:
    """Count from zero for the length of the block."""
    with closing(sqlite3.connect("", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        yield Occurrences(connection)


@dataclass(frozen=True)
class _Orders:
    target: Target
    layout: Layout
    times: Times
    seen: Occurrences

    def read(self, line: Line) -> OrderInput:
        row: OrderRow = order_row(line.values, self.times)
        return row.order(self.layout.source, row.number or self.seen.number(row.content()))

    async def write(self, rows: Sequence[Numbered[OrderInput]]) -> Iterable[Outcome]:
        batch = OrderBatch(self.layout.source, [row.value for row in rows])

        async def work(session: AsyncSession) -> list[Outcome]:
            target = self.target
            results = await record_orders(session, target.vault, target.scope.principal, target.brand, batch)
            return list(decided(rows, results, self._columns))

        return await self.target.commit(work)

    @property
    def _columns(self) -> dict[str, str]:
        """What the file calls the fields that the domain names when it refuses an order."""
        placed = "placed_on" if "placed_on" in self.layout.names else "placed_at"
        return {"fan.value": "fan", "placedAt": placed, "itemCount": "quantity"}

    async def finish(self) -> Iterable[Outcome]:
        return ()
