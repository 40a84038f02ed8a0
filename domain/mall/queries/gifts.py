"""Reads of gifts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock, reads
from domain.errors import NotFound
from domain.ids import BrandId, Int64
from domain.inputs import said
from domain.mall.models import Gift, GiftState
from domain.page import Page, PageArgs, Sort, Window, paginate, read, window
from domain.scope import Scope
from domain.tables import table_of

GIFT = "gift:read"
gifts = table_of(Gift)


@dataclass(frozen=True)
class GiftFilter:
    """Conditions on gifts; all given ones must hold."""

    brand_id: BrandId | None = said("Gifts of this brand.", None)
    state: GiftState | None = said("Gifts in this state.", None)
    category: str | None = said("Gifts filed under this.", None)
    code: str | None = said("Gifts of this code.", None)


@dataclass(frozen=True)
class OfferFilter:
    """Conditions on gifts that are on sale; all given ones must hold."""

    category: str | None = said("Gifts filed under this.", None)
    max_points: Int64 | None = said("Gifts that cost at most so many points.", None)


class GiftSort(StrEnum):
    """How a list of gifts is sorted."""

    NEWEST = "NEWEST"
    CHEAPEST = "CHEAPEST"
    DEAREST = "DEAREST"


BY_ID = Sort("id", (gifts.c.id,), descending=True)
SORTS = {
    GiftSort.NEWEST: BY_ID,
    GiftSort.CHEAPEST: Sort("points", (gifts.c.points, gifts.c.id)),
    GiftSort.DEAREST: Sort("-points", (gifts.c.points, gifts.c.id), descending=True),
}


async def gifts_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, Gift]:
    return await reads.by_id(session, scope.where_shared(GIFT, gifts), Gift, ids)


async def get_gift(session: AsyncSession, scope: Scope, gift_id: int) -> Gift:
    """Return the gift. Raises NotFound where there is none or the caller may not read it."""
    found = await gifts_by_id(session, scope, [gift_id])
    if gift_id not in found:
        raise NotFound
    return found[gift_id]


def select_gifts(scope: Scope) -> Select[Any]:
    """Select the gifts the caller may read: a brand's are known at its dealers too."""
    return select(gifts).where(scope.where_shared(GIFT, gifts))


def gift_of_each(scope: Scope, row: FromClause) -> Select[Any]:
    """Select the gift a row of an outer statement is of."""
    return select_gifts(scope).where(gifts.c.id == row.c.gift_id).correlate(row)


async def list_gifts(session: AsyncSession, scope: Scope, args: PageArgs, wanted: GiftFilter | None) -> Page[Gift]:
    """Return a page of the gifts the caller may read and that meet the filter, newest first."""
    return await read(session, cut_gifts(scope, args, wanted))


def cut_gifts(scope: Scope, args: PageArgs, wanted: GiftFilter | None) -> Window:
    """Return the page of `list_gifts` before it is read."""
    statement = select_gifts(scope)
    for name, value in vars(wanted).items() if wanted is not None else ():
        if value is not None:
            statement = statement.where(gifts.c[name] == value)
    return window(statement, BY_ID, args)


async def get_offer(session: AsyncSession, scope: Scope, brand_id: int, gift_id: int) -> Gift:
    """Return a gift of the brand that is on sale now. Raises NotFound where it is not."""
    offered = select_gifts(scope).where(gifts.c.id == gift_id, *on_sale(brand_id))
    found = await reads.one(session, offered, Gift)
    if found is None:
        raise NotFound
    return found


async def list_offers(
    session: AsyncSession, scope: Scope, args: PageArgs, brand_id: int, wanted: OfferFilter | None, sort: GiftSort
) -> Page[Gift]:
    """Return a page of the brand's gifts that are on sale now."""
    statement = select_gifts(scope).where(*on_sale(brand_id))
    if wanted is not None and wanted.category is not None:
        statement = statement.where(gifts.c.category == wanted.category)
    if wanted is not None and wanted.max_points is not None:
        statement = statement.where(gifts.c.points <= wanted.max_points)
    return await paginate(session, statement, SORTS[sort], args)


def on_sale(brand_id: int) -> Sequence[ColumnElement[bool]]:
    """Build the conditions that a gift is of the brand and on sale now."""
    now = clock.now()
    return (
        gifts.c.brand_id == brand_id,
        gifts.c.state == GiftState.ON_SALE.value,
        or_(gifts.c.sale_from.is_(None), gifts.c.sale_from <= now),
        or_(gifts.c.sale_until.is_(None), gifts.c.sale_until > now),
    )
