"""What is summed up at a fan, from rows that others write too."""

from collections.abc import Iterable

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.fans.models import Fan
from domain.orders.models import SPENT, Order
from domain.tables import table_of

fans, orders = table_of(Fan), table_of(Order)


async def lock_fans(session: AsyncSession, fan_ids: Iterable[int]) -> None:
    """Lock the fans in one order for all, so that sums recomputed after are over what others have committed."""
    ids = sorted(set(fan_ids))
    await session.execute(
        select(fans.c.id).where(fans.c.id.in_(ids)).order_by(fans.c.id).with_for_update(key_share=True)
    )


async def recompute_spend(session: AsyncSession, fan_ids: Iterable[int]) -> None:
    """Bring spend, order count and last order of the (locked) fans up to what their orders say, in one statement."""
    mine = (orders.c.fan_id == fans.c.id, orders.c.state.in_([state.value for state in SPENT]))
    sums = {
        "order_count": select(func.count()).where(*mine).scalar_subquery(),
        "spend": select(func.coalesce(func.sum(orders.c.amount), 0)).where(*mine).scalar_subquery(),
        "last_order_at": select(func.max(orders.c.placed_at)).where(*mine).scalar_subquery(),
    }
    wanted = fans.c.id.in_(sorted(set(fan_ids)))
    await session.execute(update(fans).where(wanted).values(**sums, updated_at=clock.now()))
