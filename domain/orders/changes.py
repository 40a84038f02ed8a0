"""What follows from a change of orders in the transaction that makes it. A capability that must learn adds its line."""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from domain.points.earning import arrivals as earning
from domain.tenancy.models import Brand

Listener = Callable[[AsyncSession, Brand, Sequence[int]], Awaitable[None]]
# each is called once a batch, with the ids of its orders that changed
LISTENERS: tuple[Listener, ...] = (earning.orders_changed,)


async def announce(session: AsyncSession, brand: Brand, order_ids: Sequence[int]) -> None:
    """Tell every listener which orders are changing."""
    for listener in LISTENERS:
        await listener(session, brand, order_ids)
