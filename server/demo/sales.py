"""The orders: few fans buy often, most once or never, in three channels."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from domain import clock
from domain.database import Database
from domain.orders.models import OrderState
from domain.orders.rules import IdentityInput, OrderInput, OrderLineInput
from domain.orders.service import OrderBatch, record_orders
from domain.vault import Vault
from server.demo.batching import batches
from server.demo.catalogue import BRANDS, MOMENT, Product
from server.demo.people import DemoFan
from server.demo.tenancy import BrandPlace, DemoGroup
from server.progress import Progress

ORDERS = 25_000
_SOURCES = {"wechat_mall": 50, "pos": 30, "tmall": 20}
_STATES = {
    OrderState.COMPLETED: 72,
    OrderState.PAID: 7,
    OrderState.SHIPPED: 6,
    OrderState.RECEIVED: 5,
    OrderState.CANCELLED: 5,
    OrderState.REFUNDED: 3,
    OrderState.CREATED: 2,
}


async def load_orders(
    database: Database,
    vault: Vault,
    group: DemoGroup,
    crowds: Sequence[Sequence[DemoFan]],
    count: int,
    progress: Progress,
) -> None:
    """Record `count` orders in all. Those that are there already stay as they are."""
    done = 0
    for place, crowd, number in zip(group.brands, crowds, _shares(count), strict=True):
        for source, orders in _by_source(place, crowd, number).items():
            for part in batches(orders):
                batch = OrderBatch(source, part)
                # on a machine whose clock is behind the demo's day, its orders would lie in the future
                with clock.at(max(clock.now(), MOMENT)):
                    async with database.writing(group.scope) as session:
                        await record_orders(session, vault, group.scope.principal, place.row, batch)
                done += len(part)
                progress.advance("orders", done, count)


def _shares(count: int) -> list[int]:
    parts = [count * spec.share // 100 for spec in BRANDS]
    return [count - sum(parts[1:]), *parts[1:]]


def _by_source(place: BrandPlace, crowd: Sequence[DemoFan], count: int) -> dict[str, list[OrderInput]]:
    orders: defaultdict[str, list[OrderInput]] = defaultdict(list)
    for source, order in _plan(place, crowd, count):
        orders[source].append(order)
    return orders


def _plan(place: BrandPlace, crowd: Sequence[DemoFan], count: int) -> Iterator[tuple[str, OrderInput]]:
    random = Random(f"demo orders {place.spec.code}")
    for number in range(count if crowd else 0):
        fan = crowd[int(len(crowd) * random.random() ** 2.2)]
        source = random.choices(list(_SOURCES), list(_SOURCES.values()))[0]
        placed = _moment(random, fan)
        lines = _lines(random, place.spec.products)
        yield (
            source,
            OrderInput(
                number=f"{place.spec.code[:2].upper()}{placed:%Y%m%d}{number:06d}",
                fan=IdentityInput(fan.identity.kind, fan.identity.value, fan.identity.issuer),
                placed_at=placed,
                amount=sum((line.amount for line in lines), Decimal()),
                state=random.choices(list(_STATES), list(_STATES.values()))[0],
                dealer_id=fan.plan.dealer_id if source == "pos" else None,
                store_id=fan.plan.store_id if source == "pos" else None,
                lines=lines,
            ),
        )


def _moment(random: Random, fan: DemoFan) -> datetime:
    since = fan.plan.followed_at or MOMENT
    # whole seconds, because a shop's system has no more
    return (since + (MOMENT - since) * random.random()).replace(microsecond=0) - timedelta(seconds=1)


def _lines(random: Random, products: Sequence[Product]) -> list[OrderLineInput]:
    chosen = dict.fromkeys(random.choice(products) for _ in range(random.choices((1, 2, 3), (65, 25, 10))[0]))
    lines = []
    for product in chosen:
        quantity = random.choices((1, 2, 3), (80, 15, 5))[0]
        lines.append(OrderLineInput(product.title, quantity, product.price * quantity, product.code))
    return lines
