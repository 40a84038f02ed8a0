"""Pages of one list that are asked for at the same time: read together, by one statement with all their cursors.

A statement costs PostgreSQL and the server a good part of what a page does, whatever it reads.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any

import asyncpg
from sqlalchemy import BindParameter, Select, bindparam, func, select, true
from sqlalchemy import column as named
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.visitors import replacement_traverse

from domain.coalesce import Coalesced
from domain.direct import Direct, Prepared, TooLong
from domain.page import Window
from domain.scope import Scope

MOST_PAGES, MOST_ROWS = 8, 500  # of one statement
PLACE = "asked_place"
WAIT_SECONDS = 0.25  # for a statement that does not end, and then for one more
# what takes longer together is read each alone, as so many pages after it are: one of them may be what takes so long
TOGETHER_SECONDS, ALONE = 1.0, 100

Key = tuple[Any, ...]  # the values of a cursor, or nothing
Build = Callable[[], Prepared | None]


class _Apart(Exception):
    """Pages could not be read together."""


class Pages:
    """The pages that one statement reads with one kind of rights, each from another cursor on."""

    def __init__(self, direct: Direct, scope: Scope, alone: Prepared, size: int) -> None:
        self.alone = alone
        self._direct = direct
        self._scope = scope
        self._several: Prepared | None = None
        self._most = min(MOST_ROWS // (size + 1), MOST_PAGES)
        self._left_alone = 0  # pages that are still to be read each alone
        self._shared = Coalesced[Key, Sequence[Any]](
            self._read, most=max(self._most, 1), may_begin=self._may_begin, patience=WAIT_SECONDS, stops=True
        )

    async def load(self, binds: Mapping[str, Any], build: Build) -> Sequence[Any]:
        """Return the rows of the page that begins at a cursor; `build` makes the statement for several, if it may now.

        Raises what `Direct.fetch` does.
        """
        if self._several is None and self._most > 1 and binds and self._direct.is_busy:
            self._several = build()
        if not self._left_alone and (self._several is not None or not binds):
            with suppress(_Apart):
                return await self._shared.load((*binds.values(),)) or ()
        return await self._one(binds)

    def _may_begin(self, under_way: int) -> bool:
        # while there is room nobody waits for others
        return under_way == 0 or not self._direct.is_busy

    async def _read(self, keys: Sequence[Key]) -> Mapping[Key, Sequence[Any]]:
        if len(keys) == 1 or self._several is None:
            return {key: await self._one(dict(zip(_names("cursor", key), key, strict=True))) for key in keys}
        if self._left_alone:
            raise _Apart
        columns = map(list, zip(*keys, strict=True))
        values = dict(zip(_names("cursors", keys[0]), columns, strict=True))
        try:
            found = await self._direct.fetch(self._scope, self._several, values, within=TOGETHER_SECONDS)
        except TooLong as error:
            self._left_alone = ALONE
            raise _Apart from error
        except asyncpg.DataError as error:
            raise _Apart from error
        pages: dict[Key, Sequence[Any]] = dict.fromkeys(keys, ())
        for place, rows in groupby(found, itemgetter(-1)):
            pages[keys[place - 1]] = [*rows]
        return pages

    async def _one(self, binds: Mapping[str, Any]) -> Sequence[Any]:
        self._left_alone = max(self._left_alone - 1, 0)
        rows: Sequence[Any] = await self._direct.fetch(self._scope, self.alone, binds)
        return rows


def _names(of: str, values: Sequence[Any]) -> list[str]:
    return [f"{of}_{place}" for place in range(len(values))]


def several(window: Window, one: Select[Any]) -> Select[Any]:
    """Return the rows of windows that differ from this one, read by `one`, in their cursors alone.

    A row ends with the place of its cursor among those bound as `cursors_0` and so on, each a list.
    """
    columns = window.frame.order.columns
    lists = [bindparam(name, None, ARRAY(c.type)) for name, c in zip(_names("cursors", columns), columns, strict=True)]
    values = [named(name, c.type) for name, c in zip(_names("cursor", columns), columns, strict=True)]
    # a sub-select hides how many there are: PostgreSQL would take a plan for few to be worth making anew each time
    unnested = func.unnest(*[select(one).scalar_subquery() for one in lists])
    asked = unnested.table_valued(*values, with_ordinality=PLACE, name="asked").render_derived()

    def of_asked(element: Any, **_: Any) -> Any:
        return asked.c[element.key] if isinstance(element, BindParameter) and element.key in asked.c else None

    page: Any = replacement_traverse(one, {}, of_asked)
    page = page.correlate(asked).lateral("one")
    return select(*page.c, asked.c[PLACE]).select_from(asked.join(page, true()))
