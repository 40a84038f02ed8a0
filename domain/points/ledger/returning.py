"""Giving points back to the very lots they were drawn from, with the expiry those have."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.points.ledger.accounts import Account, load_lots, lots
from domain.points.ledger.book import Book, draws
from domain.points.ledger.drafts import Draft
from domain.points.ledger.due import expire_now, let_go
from domain.points.ledger.earning import credit
from domain.points.ledger.models import EntryKind, TransferKind
from domain.points.ledger.moving import move_on
from domain.points.ledger.rules import Posted, Why


async def give_back(
    session: AsyncSession,
    owners: tuple[Account, Account | None],
    kind: TransferKind,
    out_of: EntryKind,
    drew: Any,
    source: str,
    reverses_id: int,
    why: Why,
) -> Posted:
    """Give what the transfer `drew` took out of lots back to them, less what is owed meanwhile.

    What of it has expired goes again at once. Where the account is a former one, its fan merged into another, the rest
    moves on to the account of who they are now.
    """
    account, heir = owners
    book, points = Book(), -int(drew.points)
    free = credit(account, points)
    draft = book.post(account, kind, free | {out_of: -points}, why, source=source, reverses_id=reverses_id)
    await _refill(session, draft, int(drew.id))
    said = (await book.write(session))[0]
    await load_lots(session, [account])
    after = Book()
    expire_now(after, account)
    if heir is None:
        # an erased fan comes back for nothing, and no book owes it
        let_go(after, account)
    await after.write(session)
    if heir is not None and heir.id != account.id:
        await move_on(session, account, heir)
    return said


async def _refill(session: AsyncSession, draft: Draft, drew_id: int) -> None:
    """Give the lots their points back, those that live longest first: a debt is settled by the others."""
    taken = select(draws.c.lot_id, draws.c.points).join(lots, lots.c.id == draws.c.lot_id)
    order = (lots.c.expires_at.desc().nulls_first(), lots.c.id.desc())
    left = draft.changes.get(EntryKind.SPENDABLE, 0)
    for row in await session.execute(taken.where(draws.c.transfer_id == drew_id).order_by(*order)):
        back = min(left, row.points)
        if back > 0:
            draft.draws[row.lot_id] = -back
            left -= back
