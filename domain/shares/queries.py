"""Reads of cascades. Their shape (depth, breadth, paths) is the graph's to say."""

from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.errors import NotFound
from domain.page import Page, PageArgs, Sort, paginate
from domain.scope import Scope
from domain.shares.models import Cascade, Share
from domain.tables import table_of

PERMISSION = "share:read"
cascades, shares = table_of(Cascade), table_of(Share)


class CascadeSort(StrEnum):
    """How a list of cascades is sorted."""

    SIZE_DESC = "SIZE_DESC"
    ID_ASC = "ID_ASC"


SORTS = {
    CascadeSort.SIZE_DESC: Sort("-size", (cascades.c.size, cascades.c.id), descending=True),
    CascadeSort.ID_ASC: Sort("id", (cascades.c.id,)),
}


async def get_cascade(session: AsyncSession, scope: Scope, cascade_id: int) -> Cascade:
    """Return the cascade. Raises NotFound where there is none or the caller may not read it."""
    found = await cascades_by_id(session, scope, [cascade_id])
    if cascade_id not in found:
        raise NotFound
    return found[cascade_id]


async def cascades_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, Cascade]:
    return await reads.by_id(session, scope.where_shared(PERMISSION, cascades), Cascade, ids)


async def list_cascades(
    session: AsyncSession,
    scope: Scope,
    args: PageArgs,
    brand_id: int | None = None,
    source: str | None = None,
    code: str | None = None,
    order: CascadeSort = CascadeSort.SIZE_DESC,
) -> Page[Cascade]:
    """Return a page of the cascades the caller may read."""
    statement = select(cascades).where(scope.where_shared(PERMISSION, cascades))
    for name, value in (("brand_id", brand_id), ("source", source), ("code", code)):
        if value is not None:
            statement = statement.where(cascades.c[name] == value)
    return await paginate(session, statement, SORTS[order], args)
