"""Several hot selects at once, with the next ids of what is about to be written: one trip on PostgreSQL.

There a trip costs more than most of them read. SQLite is in the process and runs them one after the other.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Integer, Select, Table, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import next_ids
from domain.compiled import Among, Compiled
from domain.running import fetch, is_postgresql

_PARAMETER = re.compile(r"\$(\d+)")
_NO_IDS: Mapping[Table, int] = {}


class Asked(NamedTuple):
    """A select, and the values of its parameters by their names."""

    select: Compiled
    values: Mapping[str, Any]


class Seen(NamedTuple):
    """The rows of each select in the order they were asked, and the ids taken of each table, ascending."""

    rows: Sequence[Sequence[Any]]
    ids: Mapping[Table, Sequence[int]]


async def look(session: AsyncSession, *asked: Asked, ids: Mapping[Table, int] = _NO_IDS) -> Seen:
    """Run the selects, which see one moment, and take so many next ids of tables."""
    if not is_postgresql(session):
        rows = [await one.select.rows(session, **one.values) for one in asked]
        return Seen(rows, {table: await next_ids(session, table, count) for table, count in ids.items()})
    wanted = [*asked, *(Asked(_next(table), {"count": count}) for table, count in ids.items())]
    texts = [one.select.for_postgresql for one in wanted]
    parameters = [given.of(one.values) for one, text in zip(wanted, texts, strict=True) for given in text.given]
    (found,) = await fetch(session, _written(tuple(one.select for one in wanted)), parameters)
    made = [text.make(records) for text, records in zip(texts, found, strict=True)]
    taken = zip(ids, made[len(asked) :], strict=True)
    return Seen(made[: len(asked)], {table: sorted(row.id for row in rows) for table, rows in taken})


@lru_cache(maxsize=64)
def _next(table: Table) -> Compiled:
    def build(_: Among) -> Select[Any]:
        numbers = func.generate_series(1, bindparam("count", type_=Integer()))
        return select(func.nextval(f"{table.name}_id_seq").label("id")).select_from(numbers)

    return Compiled(build)


@lru_cache(maxsize=256)
def _written(selects: tuple[Compiled, ...]) -> str:
    """Write the statement that answers each select's rows as an array, its parameters after those of the one before."""
    parts, before = list[str](), 0
    for one in selects:
        text = one.for_postgresql
        parts.append(f"ARRAY(SELECT part FROM ({_after(before, text.text)}) AS part)")  # noqa: S608 (it was compiled)
        before += len(text.given)
    return f"SELECT {', '.join(parts)}"


def _after(before: int, text: str) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + before}", text)
