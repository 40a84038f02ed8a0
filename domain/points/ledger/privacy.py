"""What the ledger holds about a fan. It stays for the books, under a stand-in nobody can be found by.

Transfers, entries, lots and draws name an account alone, so that handing the account over takes the name off all.
"""

from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.points.ledger.accounts import accounts, load_lots, lock_accounts
from domain.points.ledger.book import Book, pendings, transfers
from domain.points.ledger.due import let_go
from domain.points.ledger.models import EntryKind, PendingState, TransferKind
from domain.points.ledger.rules import Why
from domain.privacy.subject import Erasing, Holding, Shown, Subject, hands_over, plainly, shows

_SECRET = ("accountId", "reversesId", "requestKey", "actor", "source", "ruleId", "groupId")


def _accounts(subject: Subject) -> Select[Any]:
    return select(accounts).where(accounts.c.fan_id == subject.fan_id)


def _transfers(subject: Subject) -> Select[Any]:
    owned = transfers.join(accounts, accounts.c.id == transfers.c.account_id)
    return select(transfers).select_from(owned).where(accounts.c.fan_id == subject.fan_id)


def _transfer(subject: Subject, row: Any) -> Shown:
    return {name: value for name, value in plainly(subject, row).items() if name not in _SECRET}


async def _forfeit(session: AsyncSession, erasing: Erasing, limit: int) -> int:
    """Let go what the fan could still have spent or been given: nobody will ask for it, and no book should owe it."""
    mine = select(accounts.c.id).where(accounts.c.fan_id == erasing.fan_id)
    locked = await lock_accounts(session, set((await session.execute(mine)).scalars()))
    await load_lots(session, list(locked.values()))
    book, why = Book(), Why("erased", "system")
    for account in locked.values():
        let_go(book, account)
        waits = {
            EntryKind.PENDING: -account.holds["pending"],
            EntryKind.GROWTH_PENDING: -account.holds["growth_pending"],
        }
        if any(waits.values()):
            issued = {
                EntryKind.ISSUED: account.holds["pending"],
                EntryKind.GROWTH_ISSUED: account.holds["growth_pending"],
            }
            book.post(account, TransferKind.CANCEL, waits | issued, why)
    await book.write(session)
    waiting = (pendings.c.account_id.in_(sorted(locked)), pendings.c.state == PendingState.PENDING.value)
    await session.execute(update(pendings).where(*waiting).values(state=PendingState.CANCELLED.value))
    return 0


HOLDING = Holding(
    tables=("point_accounts",),
    sections={
        "points": shows(_accounts, (accounts.c.id,)),
        "pointTransfers": shows(_transfers, (transfers.c.id,), _transfer),
    },
    erase=(_forfeit, hands_over(accounts, former=True)),
)
