"""Reads of tags and of who carries them."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.page import Page, PageArgs, Sort, paginate
from domain.scope import Scope
from domain.tables import table_of
from domain.tags.models import FanTag, Tag

PERMISSION = "tag:read"
tags, fan_tags = table_of(Tag), table_of(FanTag)


async def tags_by_id(
    session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = PERMISSION
) -> dict[int, Tag]:
    return await reads.by_id(session, scope.where_shared(permission, tags), Tag, ids)


async def list_tags(session: AsyncSession, scope: Scope, args: PageArgs, brand_id: int | None = None) -> Page[Tag]:
    """Return a page of the tags the caller may read; with a brand, its own and the group-wide ones."""
    statement = select(tags).where(scope.where_shared(PERMISSION, tags))
    if brand_id is not None:
        statement = statement.where((tags.c.brand_id == brand_id) | tags.c.brand_id.is_(None))
    return await paginate(session, statement, Sort("id", (tags.c.id,)), args)


async def fan_tags_by_fan(
    session: AsyncSession, scope: Scope, fan_ids: Sequence[int], first: int
) -> dict[int, list[FanTag]]:
    """Return the heaviest `first` tags of each fan, with the tag's own columns beside them, in one statement.

    The fans must have been read under the scope already: what is checked here is the right to their tags.
    """
    ranked = reads.first_of_each(fan_tags, "fan_id", fan_ids, (fan_tags.c.weight.desc(), fan_tags.c.tag_id), first)
    carried = ranked.subquery()
    statement = (
        select(carried, tags.c.name, tags.c.kind, tags.c.category, tags.c.color)
        .join(tags, tags.c.id == carried.c.tag_id)
        .where(scope.where_shared(PERMISSION, tags))
        .order_by(carried.c.fan_id, carried.c.weight.desc(), carried.c.tag_id)
    )
    return reads.grouped(await reads.rows(session, statement, FanTag), lambda row: row.fan_id)
