"""What a capability says of the data it holds about a fan: how it is shown to them, and what their erasure does to it.

Each capability has a `privacy.py` with one `Holding`, and `domain/privacy/holdings.py` lists them. A test finds the
table that names a fan or a person and that no holding answers for.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, Table, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.outbox import Event, emit
from domain.page import PageArgs, Sort, paginate
from domain.vault import GroupVault

ROWS_PER_STEP = 2_000
Shown = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """The fan an export is about. `export` tells one document from another, so that no two name others the same."""

    group_id: int
    brand_id: int
    fan_id: int
    person_id: int
    keys: GroupVault
    export: int

    def opaque(self, fan_id: int) -> str:
        """Name another fan in the document: the same fan the same, and nothing that could be looked up."""
        if fan_id == self.fan_id:
            return "me"
        mac = self.keys.find_hash(str(fan_id), f"export@{self.export}")
        return f"fan-{base64.b32encode(mac[:10]).decode().lower()}"


@dataclass(frozen=True)
class Erasing:
    """A fan who is being erased, and the nameless one who takes their place where something has to stay.

    `known_as` are the ids they had before others were merged into them too, for what a merge does not move.
    """

    group_id: int
    brand_id: int
    fan_id: int
    person_id: int
    stand_in_id: int
    at: datetime
    known_as: Sequence[int]


class Found(NamedTuple):
    """A page of what a section shows, and where the next begins; None where there is none."""

    rows: list[Shown]
    after: str | None


Export = Callable[[AsyncSession, Subject, str | None, int], Awaitable[Found]]
# does at most so many rows and returns how many: fewer than asked for means that nothing is left
Erase = Callable[[AsyncSession, Erasing, int], Awaitable[int]]


@dataclass(frozen=True)
class Holding:
    """What one capability holds: the tables it answers for, what is shown of them, and what erasure does.

    Tables without anything to show or to erase say in `why` what becomes of them.
    """

    tables: tuple[str, ...]
    sections: Mapping[str, Export] = field(default_factory=dict)
    erase: tuple[Erase, ...] = ()
    why: str = ""


def shows(
    build: Callable[[Subject], Select[Any]],
    order: Sequence[Any],
    shown: Callable[[Subject, Any], Shown] | None = None,
) -> Export:
    """Make a section of a statement that selects the columns of `order`, which end with a unique one.

    Without `shown`, a row shows all it has but who it is about.
    """

    async def export(session: AsyncSession, subject: Subject, after: str | None, limit: int) -> Found:
        args = PageArgs(first=limit, after=after, limit=limit)
        page = await paginate(session, build(subject), Sort("export", tuple(order)), args)
        rows = [(shown or plainly)(subject, row) for row in page.rows]
        return Found(rows, page.cursors[-1] if page.has_next else None)

    return export


_PLACE = {"id", "group_id", "brand_id", "fan_id", "person_id", "principal"}


def plainly(subject: Subject, row: Any) -> Shown:
    """Show every column of a row, but who it is about and what is sealed."""
    said = row._mapping.items()  # noqa: SLF001 (its public name)
    return {camel(name): value for name, value in said if name not in _PLACE and not isinstance(value, bytes)}


def camel(name: str) -> str:
    """Write a column's name as the API does."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def deletes(table: Table, column: str = "fan_id") -> Erase:
    """Delete the rows whose column names the fan."""

    async def erase(session: AsyncSession, erasing: Erasing, limit: int) -> int:
        result: Any = await session.execute(delete(table).where(_some(table, column, erasing, limit)))
        return int(result.rowcount)

    return erase


def hands_over(
    table: Table, column: str = "fan_id", *, event: Callable[[Any], Event] | None = None, **blanked: Any
) -> Erase:
    """Put the stand-in where the rows name the fan, empty what is `blanked`, and tell the graph by `event`."""

    async def erase(session: AsyncSession, erasing: Erasing, limit: int) -> int:
        values = {column: erasing.stand_in_id, **blanked}
        change = update(table).where(_some(table, column, erasing, limit)).values(**values).returning(table)
        rows = (await session.execute(change)).mappings().all()
        if event is not None:
            await emit(session, [event(row) for row in rows])
        return len(rows)

    return erase


def _some(table: Table, column: str, erasing: Erasing, limit: int) -> Any:
    key = list(table.primary_key.columns)
    some = select(*key).where(table.c[column] == erasing.fan_id).limit(limit)
    # a table in brands' partitions, or one that is found by brand first, is asked for this brand alone
    if "brand_id" in table.c:
        some = some.where(table.c.brand_id == erasing.brand_id)
    return (key[0] if len(key) == 1 else tuple_(*key)).in_(some)
