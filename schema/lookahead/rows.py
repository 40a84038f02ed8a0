"""Rows by their ids: read together among callers of equal rights, or at once for one who is known from before."""

from collections.abc import Collection, Mapping

from domain.coalesce import Coalesced
from domain.direct import Direct, Prepared
from domain.scope import Scope
from domain.standing import Standing


class Rows(Coalesced[int, bytes]):
    """The rows that one statement reads with one kind of rights, as JSON."""

    def __init__(self, direct: Direct, scope: Scope, prepared: Prepared) -> None:
        super().__init__(self._fetch)
        self._direct = direct
        self._scope = scope
        self._prepared = prepared

    @property
    def is_crowded(self) -> bool:
        """Tell whether a statement of one's own takes too much from others now."""
        return self._direct.is_crowded

    async def read_for(self, standing: Standing, ids: Collection[int]) -> Mapping[int, bytes]:
        """Return the rows of a service by a statement of its own, and none where it does not stand any more."""
        return await self._fetch(ids, standing)

    async def _fetch(self, ids: Collection[int], standing: Standing | None = None) -> Mapping[int, bytes]:
        rows = await self._direct.fetch(
            self._scope, self._prepared, {"own_ids": f"{{{','.join(map(str, ids))}}}"}, standing
        )
        return {row[0]: row[1] for row in rows}
