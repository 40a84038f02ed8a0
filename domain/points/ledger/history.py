"""Lists of transfers and adjustments."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.ids import BrandId
from domain.inputs import said
from domain.page import Page, PageArgs, Sort, Window, paginate, read, window
from domain.points.ledger.accounts import accounts
from domain.points.ledger.adjusting import adjustments
from domain.points.ledger.book import transfers
from domain.points.ledger.models import AdjustmentState, PointAdjustment
from domain.scope import Scope

READ = "points:read"


async def list_transfers(session: AsyncSession, fan_id: int, args: PageArgs) -> Page[Any]:
    """Return a page of what moved a fan's points and growth, newest first; the fan was read under the caller's scope.

    What moved the accounts of fans who were merged into them is theirs too.
    """
    mine = select(transfers).join(accounts, accounts.c.id == transfers.c.account_id).where(accounts.c.fan_id == fan_id)
    return await paginate(session, mine, Sort("transfers", (transfers.c.id,), descending=True), args)


@dataclass(frozen=True)
class AdjustmentFilter:
    """Conditions on adjustments; all given ones must hold."""

    brand_id: BrandId | None = said("Adjustments of this brand.", None)
    state: AdjustmentState | None = said("Adjustments in this state.", None)


def cut_adjustments(scope: Scope, args: PageArgs, wanted: AdjustmentFilter | None) -> Window:
    """Return the page of `list_adjustments` before it is read."""
    statement = select(adjustments).where(scope.where(READ, adjustments))
    if wanted is not None and wanted.brand_id is not None:
        statement = statement.where(adjustments.c.brand_id == wanted.brand_id)
    if wanted is not None and wanted.state is not None:
        statement = statement.where(adjustments.c.state == wanted.state.value)
    return window(statement, Sort("adjustments", (adjustments.c.id,), descending=True), args)


async def list_adjustments(
    session: AsyncSession, scope: Scope, args: PageArgs, wanted: AdjustmentFilter | None
) -> Page[PointAdjustment]:
    """Return a page of the adjustments the caller may read, newest first."""
    return await read(session, cut_adjustments(scope, args, wanted))


async def adjustments_by_id(
    session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = READ
) -> dict[int, PointAdjustment]:
    return await reads.by_id(session, scope.where(permission, adjustments), PointAdjustment, ids)


async def fans_by_account(session: AsyncSession, account_ids: Iterable[int]) -> dict[int, int]:
    """Return whose the accounts are."""
    wanted = select(accounts.c.id, accounts.c.fan_id).where(accounts.c.id.in_(sorted(set(account_ids))))
    return {row.id: row.fan_id for row in await session.execute(wanted)}
