"""What follows from an event in the transaction that stores it. A capability that counts or announces adds its line."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from domain.events import activity
from domain.live import service as live
from domain.points.earning import arrivals as earning
from domain.tenancy.models import Brand


class Arrival(NamedTuple):
    """An event that is being stored; it is there for others when the transaction ends."""

    id: int
    fan_id: int
    name: str
    occurred_at: datetime
    received_at: datetime
    account_id: int | None
    content: str | None
    product: str | None
    campaign: str | None
    scene: str | None


Listener = Callable[[AsyncSession, Brand, Sequence[Arrival]], Awaitable[None]]
# each is called once a batch, with every event of it, and answers for a constant number of statements
# what batches at once may share rows of comes last, so that they wait for each other for the shortest time
LISTENERS: tuple[Listener, ...] = (live.arrived, earning.arrived, activity.arrived)


async def announce(session: AsyncSession, brand: Brand, arrivals: Sequence[Arrival]) -> None:
    """Tell every listener what is being stored."""
    for listener in LISTENERS:
        await listener(session, brand, arrivals)
