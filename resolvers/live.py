"""What happens now: new events as they come, and what is busy."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from domain.access.rules import Node
from domain.errors import BadInput, Forbidden, NotFound
from domain.ids import BrandId
from domain.live import queries
from domain.live.hub import Hub, Listener
from domain.live.models import MAX_MINUTES, HotKind
from domain.live.queries import HotItem, HotPoint
from domain.scope import Scope
from domain.tenancy.models import Brand, ChannelAccount
from domain.tenancy.queries import brands_by_id
from resolvers import tenancy
from resolvers.context import Context
from resolvers.fans import own_fan_id

PERMISSION, OWN = queries.PERMISSION, "me:read"
MAX_NAMES = 50


class EventFeed:
    """New events, each for those alone who may read it when it comes; it ends with the right to any of them."""

    def __init__(self, hub: Hub, scope: Scope, brand: Brand | None, names: frozenset[str]) -> None:
        self._hub = hub
        self._scope = scope
        self._brand = brand
        self._names = names
        self._listener: Listener | None = None

    def admit(self, context: Any, rows: Sequence[Any]) -> Sequence[Any]:
        """Return the rows that may be read now. Raises Forbidden where none may any more."""
        self._scope = context.scope
        _require_within(context.scope, self._brand)
        return [row for row in rows if context.scope.holds(PERMISSION, row)]

    async def __aiter__(self) -> AsyncIterator[Sequence[Any]]:
        self._listener = await self._hub.join(self._takes)
        while True:
            yield await self._listener.next()

    async def aclose(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            await self._hub.leave(self._listener)

    def _takes(self, row: Any) -> bool:
        # what others' traffic brings must not fill the place of what the caller waits for
        wanted = (self._brand is None or row.brand_id == self._brand.id) and (
            not self._names or row.name in self._names
        )
        return wanted and self._scope.holds(PERMISSION, row)


class MyEventFeed:
    """The new events of one fan, who may be merged into another meanwhile; it ends with the fan or their token."""

    def __init__(self, hub: Hub, fan_id: int) -> None:
        self._hub = hub
        self._fan_id = fan_id
        self._listener: Listener | None = None

    def admit(self, context: Any, rows: Sequence[Any]) -> Sequence[Any]:
        """Return the rows of who the caller is now. Raises Forbidden where they are no fan any more."""
        self._fan_id = own_fan_id(context)
        context.scope.require(OWN)
        return [row for row in rows if row.fan_id == self._fan_id]

    async def __aiter__(self) -> AsyncIterator[Sequence[Any]]:
        self._listener = await self._hub.join(lambda row: row.fan_id == self._fan_id)
        while True:
            yield await self._listener.next()

    async def aclose(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            await self._hub.leave(self._listener)


async def my_events(context: Context) -> MyEventFeed:
    """Bring what I do from now on, whichever channel tells it: a payment at the till, a coupon redeemed.

    Each event comes when it is stored; a client that was away reads the rest from myTimeline.
    """
    return MyEventFeed(context.services.hub, own_fan_id(context))


async def fan_events(context: Context, *, brand_id: BrandId | None = None, names: list[str] | None = None) -> EventFeed:
    """Bring what fans do from now on, of one brand or of all one may read, of these names (at most 50) or of all.

    Each event comes when it is stored; a client that was away reads the rest from a fan's events.
    """
    if names is not None and not 1 <= len(names) <= MAX_NAMES:
        raise BadInput(f"names takes 1 to {MAX_NAMES} names.", field=("names",))
    brand = None
    if brand_id is not None:
        async with context.reading() as session:
            brand = (await brands_by_id(session, context.scope, [brand_id])).get(brand_id)
        if brand is None:
            raise Forbidden
    _require_within(context.scope, brand)
    return EventFeed(context.services.hub, context.scope, brand, frozenset(names or ()))


def _require_within(scope: Scope, brand: Brand | None) -> None:
    """Raise Forbidden where the caller may read no event of the brand, or of any."""
    nodes = scope.require(PERMISSION)
    if brand is not None and brand.id not in nodes.above_brands and not nodes.covers(Node(brand.group_id, brand.id)):
        raise Forbidden


async def list_hot_items(
    context: Context, *, brand_id: BrandId, by: HotKind, minutes: int = 60, first: int = 20
) -> list[HotItem]:
    """Return what a brand's events of the last minutes (at most 1,440, this one included) name most, busiest first.

    It is counted for the whole brand, so event:read must be held for the whole brand: to a dealer there is none.
    """
    if not 1 <= minutes <= MAX_MINUTES:
        raise BadInput(f"minutes must be between 1 and {MAX_MINUTES}.", field=("minutes",))
    async with context.reading() as session:
        brand = (await brands_by_id(session, context.scope, [brand_id])).get(brand_id)
        if brand is None or not context.scope.holds(PERMISSION, Node(brand.group_id, brand.id)):
            raise NotFound(field=("brandId",))
        return await queries.list_hot_items(session, context.scope, brand_id, by, minutes, first)


async def points_of(context: Context, items: Sequence[HotItem]) -> Sequence[list[HotPoint]]:
    """Its counts, oldest first and without those that are nought: by the minute, or by the hour over three hours."""
    async with context.reading() as session:
        found = await queries.points_by_item(session, context.scope, items)
    return [found.get((item.brand_id, item.kind, item.since, item.item), []) for item in items]


async def accounts_of(context: Context, items: Sequence[HotItem]) -> Sequence[ChannelAccount | None]:
    """The channel account that is busy; null for a campaign or a content."""
    return await tenancy.accounts_of(context, items)
