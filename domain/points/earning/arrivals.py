"""What may earn points is noted in the transaction that stores it, for the worker to give them after."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.compiled import Among, Compiled
from domain.outbox import Event, emit
from domain.points.earning.models import PointRule
from domain.points.earning.names import ORDER_EVENTS, REGISTER
from domain.tables import table_of
from domain.tenancy.models import Brand

if TYPE_CHECKING:
    from domain.events.arrivals import Arrival

CONSUMER: Final = "points"
EVENTS, ORDERS, REFERRALS = "events", "orders", "referrals"
IDS_PER_ROW = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
point_rules = table_of(PointRule)


async def arrived(session: AsyncSession, brand: Brand, arrivals: Sequence["Arrival"]) -> None:
    """Note the events that the brand has a rule for; what fans' own devices say earns nothing.

    A batch without any costs one look at an index.
    """
    if session.info["scope"].principal.startswith("fan:"):
        return
    names = {arrival.name for arrival in arrivals} - ORDER_EVENTS
    earning = await _with_rules(session, brand, names) if names else set()
    noted = [(a.id, a.fan_id, a.name, micros(a.occurred_at)) for a in arrivals if a.name in earning]
    if noted:
        await emit(session, [_told(brand, EVENTS, noted[0][0], noted)])


async def orders_changed(session: AsyncSession, brand: Brand, order_ids: Sequence[int]) -> None:
    """Note the orders where the brand has a rule for orders, or had one: what it gave goes back with the money."""
    if order_ids and await _with_rules(session, brand, ORDER_EVENTS, disabled_too=True):
        pieces = range(0, len(order_ids), IDS_PER_ROW)
        told = [_told(brand, ORDERS, order_ids[n], list(order_ids[n : n + IDS_PER_ROW])) for n in pieces]
        await emit(session, told)


async def referred(session: AsyncSession, brand: Brand, invitee_fan_ids: Sequence[int]) -> None:
    """Note the fans who were brought by another, where a registration earns: they may have registered before."""
    if invitee_fan_ids and await _with_rules(session, brand, [REGISTER]):
        pieces = range(0, len(invitee_fan_ids), IDS_PER_ROW)
        told = [_told(brand, REFERRALS, invitee_fan_ids[n], list(invitee_fan_ids[n : n + IDS_PER_ROW])) for n in pieces]
        await emit(session, told)


def _told(brand: Brand, kind: str, first: int, what: Sequence[object]) -> Event:
    return Event(brand.group_id, brand.id, CONSUMER, kind, f"{kind}:{first}", 1, {"brand": brand.id, kind: what})


async def _with_rules(
    session: AsyncSession, brand: Brand, names: Iterable[str], *, disabled_too: bool = False
) -> set[str]:
    """Return those of the names that an enabled rule of the brand is about."""
    either = (True, False) if disabled_too else (True,)
    return set(await _select_earning.scalars(session, brand=brand.id, names=sorted(names), enabled=either))


@Compiled
def _select_earning(among: Among) -> Select[Any]:
    mine = (point_rules.c.brand_id == bindparam("brand"), among(point_rules.c.event, "names"))
    return select(point_rules.c.event).where(*mine, among(point_rules.c.enabled, "enabled")).distinct()


def micros(at: datetime) -> int:
    """Return a moment as the note keeps it: microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    """Return the moment a note says."""
    return _EPOCH + timedelta(microseconds=micros)
