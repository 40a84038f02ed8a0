"""Writes of orders that come from other systems: in bulk, in any order, as often as they are sent."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.batches import ErrorPolicy, Problem, RowOutcome, RowResult
from domain.database import dialect_insert
from domain.errors import Conflict
from domain.fans.models import Fan
from domain.fans.service import NewFan, lock_fans, recompute_spend, resolve_fans
from domain.money import to_minor
from domain.orders.changes import announce
from domain.orders.lines import replace_lines, with_other_lines
from domain.orders.models import Order, OrderState
from domain.orders.rules import OrderInput, problems
from domain.persons.claims import IdentityRef
from domain.persons.naming import blocked_among
from domain.tables import table_of
from domain.tenancy.models import Brand, Dealer, Store
from domain.vault import Vault

orders, fan_rows = table_of(Order), table_of(Fan)
dealers, stores = table_of(Dealer), table_of(Store)

# what an order sent again may bring anew; if none of it differs the row stays as it is
_CHANGING = ("fan_id", "dealer_id", "store_id", "state", "amount", "item_count", "placed_at", "received_at")
_RECEIVED = (OrderState.RECEIVED, OrderState.COMPLETED)


@dataclass(frozen=True)
class OrderBatch:
    """Orders of one brand from one source system."""

    source: str
    orders: Sequence[OrderInput]
    policy: ErrorPolicy = ErrorPolicy.REJECT_FAILED_ROWS


async def record_orders(
    session: AsyncSession, vault: Vault, principal: str, brand: Brand, batch: OrderBatch
) -> list[RowResult]:
    """Write the batch and say what came of each row. An order is known by (brand, source, number).

    A row sent again changes nothing unless it says something else; of two rows with one number the later counts.
    Spend, order count and last order of the fans are right in the same transaction.
    """
    keys = await vault.of_group(session, brand.group_id)
    blocked = await blocked_among(session, keys, [_identity(order) for order in batch.orders])
    results, accepted = await _sort_out(session, brand, batch, blocked)
    if batch.policy is ErrorPolicy.REJECT_EVERYTHING and len(accepted) < len(batch.orders):
        return results
    latest = {order.number: (index, order) for index, order in accepted}
    if latest:
        ids = await _write(session, vault, principal, brand, batch.source, latest, results)
        for index, order in accepted:
            if latest[order.number][0] != index:
                results[index].id, results[index].outcome = ids[order.number], RowOutcome.UNCHANGED
        changed = [r.id for r in results if r.outcome in (RowOutcome.CREATED, RowOutcome.UPDATED)]
        detail = {"source": batch.source, "orders": changed}
        deed = audit.Deed(brand.group_id, brand.id, "order:record", f"Brand:{brand.id}", detail)
        await audit.record(session, principal, [deed] if changed else [])
    return results


async def _sort_out(
    session: AsyncSession, brand: Brand, batch: OrderBatch, blocked: Collection[IdentityRef]
) -> tuple[list[RowResult], list[tuple[int, OrderInput]]]:
    """Judge every row; return a result for each, and the rows to write with what the policy drops taken off."""
    now = clock.now()
    unknown = await _unknown_places(session, brand, batch.orders)
    results: list[RowResult] = []
    accepted: list[tuple[int, OrderInput]] = []
    for index, order in enumerate(batch.orders):
        found = problems(order, brand.currency, now)
        if (order.dealer_id, order.store_id) in unknown:
            found.append(Problem("dealerId", "no such dealer or store of this brand", "NOT_FOUND", optional=True))
        if not found and _identity(order) in blocked:
            found.append(Problem("fan.value", "is shared by many and names nobody", "BLOCKED_IDENTITY"))
        result = RowResult(index, RowOutcome.REJECTED, problems=found)
        results.append(result)
        if not found:
            accepted.append((index, order))
        elif batch.policy is ErrorPolicy.IGNORE_FAILED and all(problem.optional for problem in found):
            accepted.append((index, _without_place(order)))
    return results, accepted


def _without_place(order: OrderInput) -> OrderInput:
    return OrderInput(**{**vars(order), "dealer_id": None, "store_id": None})


async def _unknown_places(
    session: AsyncSession, brand: Brand, batch: Iterable[OrderInput]
) -> set[tuple[int | None, int | None]]:
    """Return the (dealer, store) pairs of the batch that are not of this brand."""
    wanted = {(order.dealer_id, order.store_id) for order in batch if order.dealer_id is not None}
    if not wanted:
        return set()
    at_brand = (dealers.c.brand_id == brand.id, dealers.c.id.in_({dealer for dealer, _ in wanted}))
    known: set[Any] = {(row.id, None) for row in await session.execute(select(dealers.c.id).where(*at_brand))}
    at_dealer = select(stores.c.dealer_id, stores.c.id).where(
        stores.c.brand_id == brand.id, stores.c.id.in_({store for _, store in wanted if store is not None})
    )
    known |= {(row.dealer_id, row.id) for row in await session.execute(at_dealer)}
    return {pair for pair in wanted if pair not in known}


def _identity(order: OrderInput) -> IdentityRef:
    return IdentityRef(order.fan.kind, order.fan.value, order.fan.issuer)


async def _write(
    session: AsyncSession,
    vault: Vault,
    principal: str,
    brand: Brand,
    source: str,
    latest: dict[str, tuple[int, OrderInput]],
    results: list[RowResult],
) -> dict[str, int]:
    fans, locked = await _lock_fans(session, vault, principal, brand, source, latest)
    known = await _known(session, brand.id, source, latest)
    rows = {n: _row(brand, source, order, fans[n], known.get(n)) for n, (_, order) in latest.items()}
    relined = await with_other_lines(session, brand.currency, known, latest)
    changed = {n: row for n, row in rows.items() if n in relined or _differs(row, known.get(n))}
    moved_from = {known[number].fan_id for number in changed if number in known}
    if late := moved_from - locked:
        # whoever got one of the orders in between
        await lock_fans(session, late)
    ids = {number: row.id for number, row in known.items()} | await _upsert(session, changed, known)
    had = {known[number].id for number in changed if number in known}
    await replace_lines(session, brand, {ids[number]: latest[number][1] for number in changed}, had)
    if changed:
        await recompute_spend(session, {row["fan_id"] for row in changed.values()} | moved_from)
        await announce(session, brand, sorted(ids[number] for number in changed))
    for number, (index, _) in latest.items():
        results[index].id = ids[number]
        results[index].outcome = _outcome(number in known, number in changed)
    return ids


async def _lock_fans(
    session: AsyncSession,
    vault: Vault,
    principal: str,
    brand: Brand,
    source: str,
    latest: dict[str, tuple[int, OrderInput]],
) -> tuple[dict[str, int], set[int]]:
    """Return whose each order is, found or made, and the fans that are locked: these, and whose the orders are yet.

    All in one order, or two batches whose orders change hands crosswise would wait for each other.
    """
    owners, nameless = await _owners(session, brand.id, source, latest)
    newcomers = [
        NewFan(_identity(order), dealer_id=order.dealer_id, store_id=order.store_id, created_at=order.placed_at)
        for number, (_, order) in latest.items()
        if number not in nameless
    ]
    found = await resolve_fans(session, vault, brand, newcomers, principal=principal) if newcomers else {}
    fans = {n: nameless[n] if n in nameless else found[_identity(order)] for n, (_, order) in latest.items()}
    locked = {*fans.values(), *owners}
    await lock_fans(session, locked)
    return fans, locked


def _outcome(was_known: bool, has_changed: bool) -> RowOutcome:
    if not was_known:
        return RowOutcome.CREATED
    return RowOutcome.UPDATED if has_changed else RowOutcome.UNCHANGED


async def _known(session: AsyncSession, brand_id: int, source: str, numbers: Iterable[str]) -> dict[str, Any]:
    statement = select(orders).where(
        orders.c.brand_id == brand_id, orders.c.source == source, orders.c.number.in_(sorted(numbers))
    )
    return {row.number: row for row in await session.execute(statement.order_by(orders.c.id).with_for_update())}


async def _owners(
    session: AsyncSession, brand_id: int, source: str, numbers: Iterable[str]
) -> tuple[set[int], dict[str, int]]:
    """Return whom the orders are of that are known, and which of them are of fans who were erased.

    The latter, sent again, bring nobody back.
    """
    columns = (orders.c.number, orders.c.fan_id, fan_rows.c.erased_at)
    statement = select(*columns).join(fan_rows, fan_rows.c.id == orders.c.fan_id)
    mine = (orders.c.brand_id == brand_id, orders.c.source == source, orders.c.number.in_(sorted(numbers)))
    found = (await session.execute(statement.where(*mine))).all()
    return {row.fan_id for row in found}, {row.number: row.fan_id for row in found if row.erased_at is not None}


def _row(brand: Brand, source: str, order: OrderInput, fan_id: int, known: Any) -> dict[str, Any]:
    # a state sent without lines or a count says nothing of how many pieces there are
    counts = known is None or bool(order.lines) or order.item_count is not None
    return {
        "group_id": brand.group_id,
        "brand_id": brand.id,
        "fan_id": fan_id,
        "dealer_id": order.dealer_id,
        "store_id": order.store_id,
        "source": source,
        "number": order.number,
        "state": order.state.value,
        "amount": to_minor(order.amount, brand.currency),
        "currency": brand.currency,
        "item_count": order.items() if counts else known.item_count,
        "placed_at": order.placed_at,
        "received_at": _received_at(order, known),
    }


def _received_at(order: OrderInput, known: Any) -> datetime | None:
    before = None if known is None else known.received_at
    return order.received_at or before or (clock.now() if order.state in _RECEIVED else None)


def _differs(row: dict[str, Any], known: Any) -> bool:
    return known is None or any(getattr(known, name) != row[name] for name in _CHANGING)


async def _upsert(session: AsyncSession, changed: dict[str, dict[str, Any]], known: dict[str, Any]) -> dict[str, int]:
    """Write the changed orders and return their ids. Raises Conflict where another made one of them meanwhile."""
    if not changed:
        return {}
    now = clock.now()
    insertion = dialect_insert(session, orders)
    anew = {name: insertion.excluded[name] for name in _CHANGING}
    statement = insertion.on_conflict_do_update(
        index_elements=["brand_id", "source", "number"],
        set_={**anew, "version": orders.c.version + 1, "updated_at": now},
    ).returning(orders.c.number, orders.c.id, orders.c.version)
    stamped = [{**changed[number], "created_at": now, "updated_at": now} for number in sorted(changed)]
    written = (await session.execute(statement, stamped)).all()
    if any(row.version > 1 and row.number not in known for row in written):
        # it was another fan's, perhaps, whose spend nobody here has locked
        raise Conflict
    return {row.number: row.id for row in written}
