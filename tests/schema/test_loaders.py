"""Loaders of one request outlive those who left."""

import asyncio
from collections.abc import Sequence
from typing import Any

from resolvers.loaders import Loaders


async def _doubled(context: Any, parents: Sequence[int]) -> list[int]:
    return [2 * parent for parent in parents]


async def test_who_asks_after_all_others_left_is_answered() -> None:
    """A field that fails stops its siblings before their batch began; the next field of a mutation asks again."""
    loaders = Loaders()
    left = asyncio.create_task(loaders.load(None, _doubled, 1, {}))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.sleep(0.01)

    async with asyncio.timeout(2):
        assert await loaders.load(None, _doubled, 2, {}) == 4


async def test_who_stays_is_answered_where_another_left() -> None:
    loaders = Loaders()
    left, stays = (asyncio.create_task(loaders.load(None, _doubled, parent, {})) for parent in (1, 2))
    await asyncio.sleep(0)
    left.cancel()

    async with asyncio.timeout(2):
        assert await stays == 4
