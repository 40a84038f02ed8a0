"""Taking balances from one account to another, lot by lot: for fans who become one, or two again."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from domain.points.ledger.accounts import Account, Lot
from domain.points.ledger.book import Book
from domain.points.ledger.drafts import Draft, NewLot
from domain.points.ledger.models import EntryKind, TransferKind
from domain.points.ledger.rules import Posted, Why

SYSTEM = "system"
_GROWTH = (EntryKind.GROWTH, EntryKind.GROWTH_PENDING)


@dataclass(frozen=True)
class Load:
    """What is taken across: amounts of balances, and how much of which lots the spendable part is made of."""

    amounts: dict[EntryKind, int]
    of_lots: list[tuple[Lot, int]]


def all_of(account: Account) -> Load:
    """Take everything but what is held: a hold ends on the account it was made on."""
    kinds = (EntryKind.SPENDABLE, EntryKind.PENDING, EntryKind.DEBT, *_GROWTH)
    amounts = {kind: account.holds[kind.value.lower()] for kind in kinds}
    return Load(amounts, [(lot, lot.remaining) for lot in account.lots if lot.remaining])


def carry(book: Book, source: Account, target: Account, load: Load, why: Why, key: str | None = None) -> list[Draft]:
    """Post the two transfers that take a load across; its lots are made anew on the other side, as old as they were.

    The lots of the account it leaves are loaded. Returns nothing where there is nothing to take.
    """
    if not any(load.amounts.values()):
        return []
    out = {kind: -amount for kind, amount in load.amounts.items()}
    left = book.post(source, TransferKind.MERGE, _closed(out), why, source=key and f"{key}:out")
    for lot, points in load.of_lots:
        lot.remaining -= points
        left.draws[lot.id] = points
    came = book.post(target, TransferKind.MERGE, _closed(load.amounts), why, source=key and f"{key}:in")
    came.lots = [NewLot(points, lot.granted_at, lot.expires_at, lot.id) for lot, points in load.of_lots]
    return [left, came]


def _closed(amounts: dict[EntryKind, int]) -> dict[EntryKind, int]:
    growth = sum(amount for kind, amount in amounts.items() if kind in _GROWTH)
    points = sum(amount for kind, amount in amounts.items() if kind not in _GROWTH)
    return amounts | {EntryKind.MERGED: -points, EntryKind.GROWTH_MERGED: -growth}


async def move_on(session: AsyncSession, former: Account, heir: Account) -> list[Posted]:
    """Take what came to a former account to the one its fan has now. Its lots are loaded."""
    book = Book()
    carry(book, former, heir, all_of(former), Why("merged", SYSTEM))
    return await book.write(session)
