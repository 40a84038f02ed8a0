"""Reads of tags and of who carries them."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.fans.filters import also
from domain.page import Page, PageArgs, Sort, Window, read, window
from domain.scope import Scope
from domain.tables import table_of
from domain.tags.models import FanTag, FanTagList, Tag
from domain.tenancy.models import Group

PERMISSION = "tag:read"
tags, fan_tags, groups = table_of(Tag), table_of(FanTag), table_of(Group)
HEAVIEST = (fan_tags.c.weight.desc(), fan_tags.c.tag_id)
_SHOWN = (tags.c.name, tags.c.kind, tags.c.category, tags.c.color)


async def tags_by_id(
    session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = PERMISSION
) -> dict[int, Tag]:
    return await reads.by_id(session, scope.where_shared(permission, tags), Tag, ids)


async def list_tags(session: AsyncSession, scope: Scope, args: PageArgs, brand_id: int | None = None) -> Page[Tag]:
    """Return a page of the tags the caller may read; with a brand, its own and the group-wide ones."""
    return await read(session, cut_tags(scope, args, brand_id))


def cut_tags(scope: Scope, args: PageArgs, brand_id: int | None) -> Window:
    """Return the page of `list_tags` before it is read."""
    statement = select(tags).where(scope.where_shared(PERMISSION, tags))
    if brand_id is not None:
        statement = statement.where((tags.c.brand_id == brand_id) | tags.c.brand_id.is_(None))
    return window(statement, Sort("id", (tags.c.id,)), args)


async def fan_tags_by_fan(
    session: AsyncSession, scope: Scope, fan_ids: Sequence[int], first: int
) -> dict[int, list[FanTag]]:
    """Return the heaviest `first` tags of each fan, with the tag's own columns beside them, in one statement.

    The fans must have been read under the scope already: what is checked here is the right to their tags.
    """
    statement = reads.first_of_each(_carried(scope), "fan_id", fan_ids, HEAVIEST, first)
    return reads.grouped(await reads.rows(session, statement, FanTag), lambda row: row.fan_id)


def _carried(scope: Scope) -> Select[Any]:
    """Select the tags fans carry that the caller may read, with the tag's own columns."""
    return select(*fan_tags.c, *_SHOWN).join(tags, tags.c.id == fan_tags.c.tag_id).where(_readable(scope))


def _readable(scope: Scope) -> ColumnElement[bool]:
    return scope.where_shared(PERMISSION, tags)


def _version(scope: Scope) -> Select[Any]:
    return select(groups.c.tags_version).where(groups.c.id == scope.group_id)


# a fan carries tens of tags, so all of them are read and the heaviest kept
FAN_TAGS_AMONG = reads.Among(
    select(fan_tags),
    "fan_id",
    HEAVIEST,
    partial(also, permission=PERMISSION),
    reads.Referred("tag_id", lambda scope: select(tags.c.id, *_SHOWN).where(_readable(scope))),
    reads.Listed(table_of(FanTagList), "tags", {"weight": "weighed"}, _version),
)
