"""Who must know, in the same transaction, that fans' growth changed: a line for each capability."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from domain.levels.standing import follow_growth


class GrowthWatcher(Protocol):
    """Is told which fans' growth changed, by the id of their brand; their accounts are locked and written.

    It may read balances and write what follows from them, and must not lock an account.
    """

    async def __call__(self, session: AsyncSession, brand_id: int, fan_ids: Sequence[int]) -> None: ...


WATCHERS: tuple[GrowthWatcher, ...] = (follow_growth,)


async def growth_changed(session: AsyncSession, fans: Mapping[int, int]) -> None:
    """Tell every watcher once for each brand."""
    for brand_id in sorted(set(fans.values())):
        fan_ids = sorted(fan_id for fan_id, brand in fans.items() if brand == brand_id)
        for watcher in WATCHERS:
            await watcher(session, brand_id, fan_ids)
