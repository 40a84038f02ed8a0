"""Reads of redemptions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.errors import NotFound
from domain.ids import BrandId, DealerId, FanId, GiftId
from domain.inputs import said
from domain.mall.models import Redemption, RedemptionState
from domain.page import Page, PageArgs, Sort, Window, read, window
from domain.ranges import TimeRange, within_times
from domain.scope import Scope
from domain.tables import table_of

REDEMPTION = "redemption:read"
redemptions = table_of(Redemption)


@dataclass(frozen=True)
class RedemptionFilter:
    """Conditions on redemptions; all given ones must hold."""

    brand_id: BrandId | None = said("Redemptions of this brand's gifts.", None)
    dealer_id: DealerId | None = said("Redemptions of this dealer's fans.", None)
    fan_id: FanId | None = said("Redemptions of this fan.", None)
    gift_id: GiftId | None = said("Redemptions of this gift.", None)
    number: str | None = said("The redemption of this number.", None)
    state: RedemptionState | None = said("Redemptions in this state.", None)
    created_at: TimeRange | None = said("When they were made.", None)


class RedemptionSort(StrEnum):
    """How a list of redemptions is sorted."""

    CREATED_AT_DESC = "CREATED_AT_DESC"
    CREATED_AT_ASC = "CREATED_AT_ASC"


_KEY = (redemptions.c.created_at, redemptions.c.id)
SORTS = {
    RedemptionSort.CREATED_AT_ASC: Sort("created", _KEY),
    RedemptionSort.CREATED_AT_DESC: Sort("-created", _KEY, descending=True),
}


async def redemptions_by_id(
    session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = REDEMPTION
) -> dict[int, Redemption]:
    return await reads.by_id(session, scope.where(permission, redemptions), Redemption, ids)


async def get_redemption(
    session: AsyncSession, scope: Scope, redemption_id: int, permission: str = REDEMPTION
) -> Redemption:
    """Return the redemption. Raises NotFound where there is none or the caller may not read it."""
    found = await redemptions_by_id(session, scope, [redemption_id], permission)
    if redemption_id not in found:
        raise NotFound
    return found[redemption_id]


def select_redemptions(scope: Scope) -> Select[Any]:
    """Select the redemptions the caller may read."""
    return select(redemptions).where(scope.where(REDEMPTION, redemptions))


async def list_redemptions(
    session: AsyncSession, scope: Scope, args: PageArgs, wanted: RedemptionFilter | None, sort: RedemptionSort
) -> Page[Redemption]:
    """Return a page of the redemptions the caller may read and that meet the filter."""
    return await read(session, cut_redemptions(scope, args, wanted, sort))


def cut_redemptions(scope: Scope, args: PageArgs, wanted: RedemptionFilter | None, sort: RedemptionSort) -> Window:
    """Return the page of `list_redemptions` before it is read."""
    statement = select_redemptions(scope)
    for name in ("brand_id", "dealer_id", "fan_id", "gift_id", "number", "state"):
        if wanted is not None and (value := getattr(wanted, name)) is not None:
            statement = statement.where(redemptions.c[name] == value)
    if wanted is not None and wanted.created_at is not None:
        statement = statement.where(*within_times(redemptions.c.created_at, wanted.created_at))
    return window(statement, SORTS[sort], args)


async def taken_by_gift(session: AsyncSession, fan_id: int, gift_ids: Sequence[int]) -> dict[int, int]:
    """Return how many pieces of each gift a fan, who was read under the scope, has or has coming."""
    mine = (redemptions.c.fan_id == fan_id, redemptions.c.gift_id.in_(sorted(set(gift_ids))))
    counted = redemptions.c.state != RedemptionState.CANCELLED.value
    total = func.sum(redemptions.c.quantity)
    rows = await session.execute(
        select(redemptions.c.gift_id, total).where(*mine, counted).group_by(redemptions.c.gift_id)
    )
    return {gift_id: int(taken) for gift_id, taken in rows}
