"""What happens when its time has come: pending points come free, and what has expired goes."""

from collections.abc import Iterable
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.bulk import among
from domain.points.ledger.accounts import Account, load_lots, lock_accounts, lots
from domain.points.ledger.book import Book, pendings, transfers
from domain.points.ledger.drafts import Draft
from domain.points.ledger.earning import add_lot, credit
from domain.points.ledger.models import EntryKind, PendingState, TransferKind
from domain.points.ledger.rules import OWN, PointsLimit, Why
from domain.points.programme.queries import programmes_of
from domain.points.programme.rules import Programme
from domain.reads import grouped

SYSTEM = "system"

log = structlog.get_logger(__name__)


async def release_due(session: AsyncSession, limit: int) -> int:
    """Set pending points free whose day has come, at most so many earns of any brands; return how many.

    An account that is being changed is left for the next time, and so is one that holds no more.
    """
    due = (pendings.c.state == PendingState.PENDING.value, pendings.c.available_at <= clock.now())
    some = select(pendings.c.transfer_id, pendings.c.account_id).where(*due)
    found = (await session.execute(some.order_by(pendings.c.available_at).limit(limit))).all()
    if not found:
        return 0
    locked = await lock_accounts(session, {row.account_id for row in found}, waiting=False)
    mine = (among(session, pendings.c.transfer_id, [row.transfer_id for row in found]), *due)
    earned = pendings.join(transfers, transfers.c.id == pendings.c.transfer_id)
    said = (transfers.c.reason, transfers.c.reference, transfers.c.rule_id)
    rows = (await session.execute(select(pendings, *said).select_from(earned).where(*mine))).all()
    rows = [row for row in rows if row.account_id in locked]
    programmes = await programmes_of(session, {row.brand_id for row in rows})
    released: list[int] = []
    for brand_id, of_brand in sorted(grouped(rows, lambda row: int(row.brand_id)).items()):
        book = Book()
        for row in sorted(of_brand, key=lambda row: (row.available_at, row.transfer_id)):
            try:
                _release(book, programmes[brand_id], locked[row.account_id], row)
            except PointsLimit:
                # it must not hold up all others, of other brands too
                log.exception("not_released", transfer=row.transfer_id)
            else:
                released.append(row.transfer_id)
        await book.write(session)
    done = among(session, pendings.c.transfer_id, released)
    await session.execute(update(pendings).where(done).values(state=PendingState.RELEASED.value))
    return len(released)


def _release(book: Book, programme: Programme, account: Account, row: Any) -> None:
    changes = credit(account, row.points) | {
        EntryKind.PENDING: -row.points,
        EntryKind.GROWTH: row.growth,
        EntryKind.GROWTH_PENDING: -row.growth,
    }
    why = Why(row.reason, SYSTEM, row.reference, rule_id=row.rule_id, at=row.available_at)
    source, earned = release_key(row.transfer_id), row.transfer_id
    draft = book.post(account, TransferKind.RELEASE, changes, why, source=source, reverses_id=earned)
    add_lot(draft, programme, row.available_at)


def release_key(earn_id: int) -> str:
    """Return the natural key of what sets an earn free."""
    return f"{OWN}release:{earn_id}"


async def expire_due(session: AsyncSession, limit: int) -> int:
    """Take what has expired from at most so many accounts of any brands; return from how many.

    An account that is being changed is left for the next time.
    """
    over = (lots.c.remaining > 0, lots.c.expires_at <= clock.now())
    some = select(lots.c.account_id).where(*over).order_by(lots.c.expires_at, lots.c.account_id).limit(limit)
    ids = set((await session.execute(some)).scalars())
    if not ids:
        return 0
    locked = await lock_accounts(session, ids, waiting=False)
    await load_lots(session, list(locked.values()))
    expired = 0
    for _, of_brand in sorted(grouped(locked.values(), lambda account: account.brand_id).items()):
        book = Book()
        for account in of_brand:
            try:
                # another may have been here between the look and the lock
                expired += expire_now(book, account) is not None
            except PointsLimit:
                log.exception("not_expired", account=account.id)
        await book.write(session)
    return expired


def expire_now(book: Book, account: Account) -> Draft | None:
    """Take what has expired out of a locked account whose lots are loaded, if anything has.

    Where a merge has left a debt beside them, points pay it before they are gone for nothing.
    """
    over = [lot for lot in account.lots if lot.expires_at is not None and lot.expires_at <= book.now]
    points = sum(lot.remaining for lot in over)
    if not points:
        return None
    paid = min(points, -account.holds["debt"])
    changes = {EntryKind.SPENDABLE: -points, EntryKind.DEBT: paid, EntryKind.EXPIRED: points - paid}
    why = Why("expired", SYSTEM, at=max(lot.expires_at for lot in over))
    draft = book.post(account, TransferKind.EXPIRE, changes, why)
    draft.draws |= _emptied(over)
    return draft


def let_go(book: Book, account: Account) -> None:
    """Take all that an erased fan could still spend out of their locked account, whose lots are loaded."""
    points = account.holds["spendable"]
    if points:
        changes = {EntryKind.SPENDABLE: -points, EntryKind.EXPIRED: points}
        book.draw(book.post(account, TransferKind.EXPIRE, changes, Why("erased", SYSTEM)), points)


def _emptied(over: Iterable[Any]) -> dict[int, int]:
    taken = {lot.id: lot.remaining for lot in over if lot.remaining}
    for lot in over:
        lot.remaining = 0
    return taken
