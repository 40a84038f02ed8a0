"""The tenancy tree: groups, brands, dealers, stores and channel accounts."""

from collections.abc import Sequence
from typing import Any

from domain.errors import NotFound
from domain.ids import BrandId, DealerId
from domain.page import Page, PageArgs
from domain.tenancy import queries
from domain.tenancy.models import Brand, ChannelAccount, Dealer, Group, Store
from resolvers.context import Context


async def get_brand(context: Context, *, id: BrandId) -> Brand:
    """Return a brand."""
    async with context.reading() as session:
        found = await queries.brands_by_id(session, context.scope, [id])
    if id not in found:
        raise NotFound
    return found[id]


async def list_brands(context: Context, *, page: PageArgs) -> Page[Brand]:
    """List the brands the caller has to do with."""
    async with context.reading() as session:
        return await queries.list_brands(session, context.scope, page)


async def list_dealers(context: Context, *, page: PageArgs, brand_id: BrandId | None = None) -> Page[Dealer]:
    """List the dealers the caller may see."""
    async with context.reading() as session:
        return await queries.list_dealers(session, context.scope, page, brand_id)


async def list_stores(context: Context, *, page: PageArgs, dealer_id: DealerId | None = None) -> Page[Store]:
    """List the stores the caller may see."""
    async with context.reading() as session:
        return await queries.list_stores(session, context.scope, page, dealer_id)


async def list_channel_accounts(
    context: Context, *, page: PageArgs, brand_id: BrandId | None = None
) -> Page[ChannelAccount]:
    """List the channel accounts of the brands the caller has to do with."""
    async with context.reading() as session:
        return await queries.list_channel_accounts(session, context.scope, page, brand_id)


async def groups_of(context: Context, rows: Sequence[Any]) -> Sequence[Group | None]:
    """The group it belongs to."""
    async with context.reading() as session:
        found = await queries.groups_by_id(session, context.scope, {row.group_id for row in rows})
    return [found.get(row.group_id) for row in rows]


async def brands_of(context: Context, rows: Sequence[Any]) -> Sequence[Brand | None]:
    """The brand it belongs to."""
    async with context.reading() as session:
        found = await queries.brands_by_id(session, context.scope, {row.brand_id for row in rows if row.brand_id})
    return [found.get(row.brand_id) for row in rows]


async def dealers_of(context: Context, rows: Sequence[Any]) -> Sequence[Dealer | None]:
    """The dealer it belongs to, where it has one."""
    async with context.reading() as session:
        found = await queries.dealers_by_id(session, context.scope, {row.dealer_id for row in rows if row.dealer_id})
    return [found.get(row.dealer_id) for row in rows]


async def stores_of(context: Context, rows: Sequence[Any]) -> Sequence[Store | None]:
    """The store it belongs to, where it has one."""
    async with context.reading() as session:
        found = await queries.stores_by_id(session, context.scope, {row.store_id for row in rows if row.store_id})
    return [found.get(row.store_id) for row in rows]


async def source_accounts_of(context: Context, rows: Sequence[Any]) -> Sequence[ChannelAccount | None]:
    """The channel account they came from first."""
    wanted = {row.source_account_id for row in rows if row.source_account_id}
    async with context.reading() as session:
        found = await queries.channel_accounts_by_id(session, context.scope, wanted)
    return [found.get(row.source_account_id) for row in rows]


async def accounts_of(context: Context, rows: Sequence[Any]) -> Sequence[ChannelAccount | None]:
    """The channel account it happened in, where that is known."""
    wanted = {row.account_id for row in rows if row.account_id}
    async with context.reading() as session:
        found = await queries.channel_accounts_by_id(session, context.scope, wanted)
    return [found.get(row.account_id) for row in rows]
