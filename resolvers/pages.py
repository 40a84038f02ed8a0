"""Pages of lists."""

from collections.abc import Sequence
from typing import Any

from domain.page import Page, count_of
from resolvers.context import Context


async def totals_of(context: Context, pages: Sequence[Page[Any]]) -> Sequence[int]:
    """How many rows the whole list has for this caller. Counted only when asked for."""
    async with context.reading() as session:
        return [await count_of(session, page) for page in pages]
