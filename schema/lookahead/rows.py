"""Rows by their ids: read together among callers of equal rights, or at once for one who is known from before."""

from collections.abc import Collection, Mapping
from functools import partial

from domain.coalesce import Coalesced
from domain.direct import Direct, Prepared
from domain.scope import Scope
from domain.standing import Standing


class Rows:
    """The rows that one statement reads with one kind of rights, as JSON."""

    def __init__(self, direct: Direct, scope: Scope, prepared: Prepared) -> None:
        self.prepared = prepared
        self._read = partial(_read, direct, scope, prepared)
        self._shared = Coalesced[int, bytes](self._read)

    async def load(self, number: int) -> bytes | None:
        """Return a row, read with those that others ask for, or None where there is none."""
        return await self._shared.load(number)

    async def load_many(self, ids: Collection[int]) -> Mapping[int, bytes]:
        """Return those rows that there are, read with those that others ask for."""
        return await self._shared.load_many(ids)

    async def read_for(self, standing: Standing, ids: Collection[int]) -> Mapping[int, bytes]:
        """Return the rows of a service, as many as came in one turn, by a statement of its own.

        There are none where it does not stand any more.
        """
        return await self._read(ids, standing)


async def _read(
    direct: Direct, scope: Scope, prepared: Prepared, ids: Collection[int], standing: Standing | None = None
) -> Mapping[int, bytes]:
    rows = await direct.fetch(scope, prepared, {"own_ids": f"{{{','.join(map(str, ids))}}}"}, standing)
    return {row[0]: row[1] for row in rows}
