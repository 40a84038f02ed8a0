"""How what is of one fan becomes another's, and how it is put back: what each `merge.py` of a capability is made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import Column, ColumnElement, Table, case, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.persons.holdings import among
from domain.persons.models import Side
from domain.reads import grouped

IDS_PER_MOVE = 1_000
Item = TypeVar("Item")


@dataclass(frozen=True)
class FanPair:
    """Two fans of one brand who become one: everything of `gone` goes to `into`."""

    merge_id: int
    group_id: int
    brand_id: int
    into: int
    gone: int


@dataclass(frozen=True)
class Move:
    """What was moved for a pair, as it was before: ids, or whole rows where they changed or went. JSON only."""

    pair: FanPair
    before: dict[str, Any]


@dataclass(frozen=True)
class Undoing:
    """A pair to be taken apart: what moving it wrote down, and what later merges into the same fan did.

    What came since the merge, and is nobody's by the record, goes to the fan of the side `later`.
    """

    pair: FanPair
    since: datetime
    later: Side
    moves: Sequence[dict[str, Any]] = ()
    others: Sequence[dict[str, Any]] = ()

    def listed(self, name: str) -> list[Any]:
        """Return a list that the moves hold in pieces."""
        return [item for move in self.moves for item in move.get(name, ())]

    def of_others(self, name: str) -> set[Any]:
        """Return the same list of the later merges."""
        return {item for move in self.others for item in move.get(name, ())}

    @property
    def to_gone(self) -> bool:
        """Tell whether what came since goes to the fan who comes back."""
        return self.later is Side.ABSORBED


class Mover(Protocol):
    """Moves what a capability keeps of fans. `what` names its record, `tables` what it answers for.

    No two pairs given together have a fan in common.
    """

    what: str
    tables: frozenset[str]

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        """Make what is of the gone fans the others', and write down how it was."""

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        """Put it back."""


class PlainRows:
    """Rows that name their fan and say nothing that could clash: they move and keep their ids.

    `stamp` is the column that says when a row came.
    """

    def __init__(self, table: Table, stamp: str) -> None:
        self.what = table.name
        self.tables = frozenset({table.name})
        self._table = table
        self._stamp: Column[Any] = table.c[stamp]

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        fan_id = self._table.c.fan_id
        owned = select(self._table.c.id, fan_id).where(among(session, fan_id, [pair.gone for pair in pairs]))
        rows = grouped(await session.execute(owned.order_by(self._table.c.id)), lambda row: row.fan_id)
        if rows:
            await renamed(session, self._table, "fan_id", pairs)
        return [
            Move(pair, {"ids": piece})
            for pair in pairs
            for piece in pieces([row.id for row in rows.get(pair.gone, ())])
        ]

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        ids = undoing.listed("ids")
        if undoing.to_gone:
            ids += await self._since(session, undoing)
        for piece in pieces(ids):
            mine = (self._table.c.fan_id == undoing.pair.into, among(session, self._table.c.id, piece))
            await session.execute(update(self._table).where(*mine).values(fan_id=undoing.pair.gone))

    async def _since(self, session: AsyncSession, undoing: Undoing) -> list[int]:
        came = (self._table.c.fan_id == undoing.pair.into, self._stamp >= undoing.since)
        found = (await session.execute(select(self._table.c.id).where(*came))).scalars()
        return sorted(set(found) - undoing.of_others("ids"))


async def renamed(session: AsyncSession, table: Table, column: str, pairs: Sequence[FanPair]) -> None:
    """Name the other fan of its pair where a column names one who is gone, in one statement."""
    named = table.c[column]
    await session.execute(
        update(table).where(among(session, named, [pair.gone for pair in pairs])).values({column: turned(named, pairs)})
    )


def turned(column: ColumnElement[Any], pairs: Iterable[FanPair]) -> ColumnElement[Any]:
    """Build what a column that names a gone fan will say."""
    return case({pair.gone: pair.into for pair in pairs}, value=column, else_=column)


def pieces(ids: Sequence[int]) -> list[list[int]]:
    """Cut ids into lists of a size that a row of the record holds."""
    return cut(ids)


def cut(items: Sequence[Item]) -> list[list[Item]]:
    """Cut what is listed likewise."""
    return [list(items[start : start + IDS_PER_MOVE]) for start in range(0, len(items), IDS_PER_MOVE)]


@dataclass
class RowsOf:
    """The rows of a table that name fans of some pairs, by fan."""

    rows: dict[int, list[Any]] = field(default_factory=dict)

    def of(self, fan_id: int) -> list[Any]:
        return self.rows.get(fan_id, [])


async def rows_of(session: AsyncSession, table: Table, pairs: Sequence[FanPair], *, column: str = "fan_id") -> RowsOf:
    """Read and lock the rows that name a fan of the pairs in a column."""
    fans = sorted({fan for pair in pairs for fan in (pair.into, pair.gone)})
    keys = list(table.primary_key.columns)
    statement = select(table).where(among(session, table.c[column], fans)).order_by(*keys).with_for_update()
    return RowsOf(grouped(await session.execute(statement), lambda row: int(getattr(row, column))))
