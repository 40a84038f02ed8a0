"""Reads of attributes and of what fans have of them."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.attributes.models import Attribute, AttributeType, FanAttribute
from domain.attributes.rules import Shown, value_of
from domain.page import Page, PageArgs, Sort, Window, read, window
from domain.scope import Scope
from domain.tables import table_of

PERMISSION = "fan:read"
attributes, fan_attributes = table_of(Attribute), table_of(FanAttribute)


async def attributes_by_id(
    session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = PERMISSION
) -> dict[int, Attribute]:
    return await reads.by_id(session, scope.where_shared(permission, attributes), Attribute, ids)


async def list_attributes(
    session: AsyncSession, scope: Scope, args: PageArgs, brand_id: int | None = None
) -> Page[Attribute]:
    """Return a page of the attributes of the brands whose fans the caller may read."""
    return await read(session, cut_attributes(scope, args, brand_id))


def cut_attributes(scope: Scope, args: PageArgs, brand_id: int | None) -> Window:
    """Return the page of `list_attributes` before it is read."""
    statement = select(attributes).where(scope.where_shared(PERMISSION, attributes))
    if brand_id is not None:
        statement = statement.where(attributes.c.brand_id == brand_id)
    return window(statement, Sort("id", (attributes.c.id,)), args)


async def fan_attributes_by_fan(session: AsyncSession, fan_ids: Sequence[int], first: int) -> dict[int, list[Shown]]:
    """Return the values of the first attributes that each fan has a value of, in one statement.

    The fans must have been read under the caller's scope already. What is archived is not shown.
    """
    place = func.dense_rank().over(partition_by=fan_attributes.c.fan_id, order_by=fan_attributes.c.attribute_id)
    named = (attributes.c.key, attributes.c.name, attributes.c.type)
    ranked = (
        select(*fan_attributes.c, *named, place.label("place"))
        .join(attributes, attributes.c.id == fan_attributes.c.attribute_id)
        .where(fan_attributes.c.fan_id.in_(sorted(set(fan_ids))), attributes.c.archived_at.is_(None))
        .subquery()
    )
    statement = select(ranked).where(ranked.c.place <= first)
    rows = await session.execute(statement.order_by(ranked.c.fan_id, ranked.c.attribute_id, ranked.c.item))
    shown = [_shown(list(same)) for _, same in groupby(rows.all(), key=lambda row: (row.fan_id, row.attribute_id))]
    return reads.grouped(shown, lambda row: row.fan_id)


def _shown(rows: Sequence[Any]) -> Shown:
    one, kind = rows[0], AttributeType(rows[0].type)
    value: dict[str, Any] = value_of(kind, [(row.text, row.number) for row in rows])
    return Shown(one.fan_id, one.attribute_id, one.key, one.name, kind, **value)


async def own_attributes(session: AsyncSession, brand_id: int, fan_id: int, first: int) -> list[Shown]:
    """Return the brand's first attributes that its fans see, each with what this fan has of it."""
    visible = (attributes.c.brand_id == brand_id, attributes.c.fan_visible, attributes.c.archived_at.is_(None))
    offered = select(attributes).where(*visible).order_by(attributes.c.id).limit(first).subquery()
    mine = (fan_attributes.c.attribute_id == offered.c.id) & (fan_attributes.c.fan_id == fan_id)
    statement = select(offered, fan_attributes.c.text, fan_attributes.c.number).outerjoin(fan_attributes, mine)
    rows = (await session.execute(statement.order_by(offered.c.id, fan_attributes.c.item))).all()
    return [_offered(fan_id, list(same)) for _, same in groupby(rows, key=lambda row: row.id)]


def _offered(fan_id: int, rows: Sequence[Any]) -> Shown:
    one, kind = rows[0], AttributeType(rows[0].type)
    held = [(row.text, row.number) for row in rows if (row.text, row.number) != (None, None)]
    value: dict[str, Any] = value_of(kind, held)
    return Shown(fan_id, one.id, one.key, one.name, kind, one.choices, one.fan_writable, **value)
