"""Reads of the tenancy tree. Nodes above the caller's own are visible by name, nothing beside them."""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import FromClause, Select, Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.page import Page, PageArgs, Sort, paginate
from domain.scope import Scope
from domain.tables import table_of
from domain.tenancy.models import Brand, ChannelAccount, Dealer, Group, Store

PERMISSION = "tenancy:read"
groups, brands, dealers = table_of(Group), table_of(Brand), table_of(Dealer)
stores, channel_accounts = table_of(Store), table_of(ChannelAccount)


async def groups_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, Group]:
    return await reads.by_id(session, scope.where_shared(PERMISSION, groups), Group, ids)


async def brands_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, Brand]:
    return await reads.by_id(session, scope.where_shared(PERMISSION, brands), Brand, ids)


async def dealers_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, Dealer]:
    return await reads.by_id(session, scope.where_shared(PERMISSION, dealers), Dealer, ids)


async def stores_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, Store]:
    return await reads.by_id(session, scope.where_shared(PERMISSION, stores), Store, ids)


async def channel_accounts_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, ChannelAccount]:
    return await reads.by_id(session, scope.where_shared(PERMISSION, channel_accounts), ChannelAccount, ids)


def _of_each(table: Table, reference: str) -> Callable[[Scope, FromClause], Select[Any]]:
    """Make the function that selects what a row of an outer statement refers to, where the caller may see it."""

    def select_each(scope: Scope, row: FromClause) -> Select[Any]:
        visible = select(table).where(scope.where_shared(PERMISSION, table))
        return visible.where(table.c.id == row.c[reference]).correlate(row)

    return select_each


group_of_each, brand_of_each = _of_each(groups, "group_id"), _of_each(brands, "brand_id")
dealer_of_each, store_of_each = _of_each(dealers, "dealer_id"), _of_each(stores, "store_id")
source_account_of_each = _of_each(channel_accounts, "source_account_id")
account_of_each = _of_each(channel_accounts, "account_id")


async def list_brands(session: AsyncSession, scope: Scope, args: PageArgs) -> Page[Brand]:
    statement = select(brands).where(scope.where_shared(PERMISSION, brands))
    return await paginate(session, statement, Sort("id", (brands.c.id,)), args)


async def list_dealers(session: AsyncSession, scope: Scope, args: PageArgs, brand_id: int | None) -> Page[Dealer]:
    statement = select(dealers).where(scope.where_shared(PERMISSION, dealers))
    if brand_id is not None:
        statement = statement.where(dealers.c.brand_id == brand_id)
    return await paginate(session, statement, Sort("id", (dealers.c.id,)), args)


async def list_stores(session: AsyncSession, scope: Scope, args: PageArgs, dealer_id: int | None) -> Page[Store]:
    statement = select(stores).where(scope.where_shared(PERMISSION, stores))
    if dealer_id is not None:
        statement = statement.where(stores.c.dealer_id == dealer_id)
    return await paginate(session, statement, Sort("id", (stores.c.id,)), args)


async def list_channel_accounts(
    session: AsyncSession, scope: Scope, args: PageArgs, brand_id: int | None
) -> Page[ChannelAccount]:
    statement = select(channel_accounts).where(scope.where_shared(PERMISSION, channel_accounts))
    if brand_id is not None:
        statement = statement.where(channel_accounts.c.brand_id == brand_id)
    return await paginate(session, statement, Sort("id", (channel_accounts.c.id,)), args)
