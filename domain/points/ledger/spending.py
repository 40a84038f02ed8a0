"""Spending, at once or in two steps: what is held is spent or given back later, and once."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import NotFound
from domain.points.ledger.accounts import Account, accounts, load_lots, lock_of_fans, lock_with_heir
from domain.points.ledger.book import Book, transfers
from domain.points.ledger.due import expire_now
from domain.points.ledger.models import EntryKind, TransferKind
from domain.points.ledger.replays import known, replayed
from domain.points.ledger.returning import give_back
from domain.points.ledger.rules import (
    OWN,
    HoldEnded,
    InsufficientPoints,
    Posted,
    SourceConflict,
    Spend,
    Why,
    check_amount,
    check_texts,
)
from domain.points.programme.rules import Programme


async def spend(
    session: AsyncSession, programme: Programme, wanted: Spend, *, actor: str, request_key: str | None = None
) -> Posted:
    """Take points from a fan for good, out of the lots that expire soonest.

    A source that was posted before is answered as it was then. Raises InsufficientPoints where the fan has less or
    owes, and SourceConflict, BadInput, NotFound.
    """
    why = Why(wanted.reason, actor, wanted.reference, request_key)
    return await _take(session, programme, wanted, TransferKind.SPEND, EntryKind.REDEEMED, why)


async def hold(
    session: AsyncSession, programme: Programme, wanted: Spend, *, actor: str, request_key: str | None = None
) -> Posted:
    """Set points aside, so that they can be spent on nothing else. `transfer_id` of the answer is the hold's id.

    Answers and raises as `spend` does.
    """
    why = Why(wanted.reason, actor, wanted.reference, request_key)
    return await _take(session, programme, wanted, TransferKind.HOLD, EntryKind.HELD, why)


async def post_hold(
    session: AsyncSession, programme: Programme, *, hold_id: int, actor: str, reason: str | None = None
) -> Posted:
    """Spend what was held. Doing it again answers the same; raises HoldEnded where it was given back."""
    row, (account, _), ended = await _held(session, programme, hold_id)
    if ended is not None:
        return _again(ended, TransferKind.SPEND, account)
    book, points = Book(), -row.points
    why = Why(row.reason if reason is None else reason, actor, row.reference)
    changes = {EntryKind.HELD: -points, EntryKind.REDEEMED: points}
    book.post(account, TransferKind.SPEND, changes, why, source=_end(hold_id), reverses_id=hold_id)
    return (await book.write(session))[0]


async def void_hold(session: AsyncSession, programme: Programme, *, hold_id: int, actor: str, reason: str) -> Posted:
    """Give what was held back to the lots it came from. Doing it again answers the same.

    Raises HoldEnded where it was spent: that is taken back by `reverse`.
    """
    row, owners, ended = await _held(session, programme, hold_id)
    if ended is not None:
        return _again(ended, TransferKind.VOID, owners[0])
    why = Why(reason, actor, row.reference)
    return await give_back(session, owners, TransferKind.VOID, EntryKind.HELD, row, _end(hold_id), hold_id, why)


async def _take(
    session: AsyncSession, programme: Programme, wanted: Spend, kind: TransferKind, into: EntryKind, why: Why
) -> Posted:
    points, source = wanted.points, wanted.source
    check_amount(points)
    check_texts(source, why.reason, why.reference)
    account = (await lock_of_fans(session, programme, [wanted.fan_id]))[wanted.fan_id]
    before = (await known(session, programme.brand_id, [source])).get(source)
    if before is not None:
        await _check_same(session, before, account, kind, points)
        return replayed(before, account.fan_id)
    await load_lots(session, [account])
    book = Book()
    expire_now(book, account)
    if account.free < points:
        raise InsufficientPoints(field=("points",))
    draft = book.post(account, kind, {EntryKind.SPENDABLE: -points, into: points}, why, source=source)
    book.draw(draft, points)
    return (await book.write(session))[-1]


async def _check_same(session: AsyncSession, row: Any, account: Account, kind: TransferKind, points: int) -> None:
    """Raise SourceConflict where what was posted is not what is asked for now, or was for another fan."""
    owner = (await session.execute(select(accounts.c.fan_id).where(accounts.c.id == row.account_id))).scalar_one()
    if (row.kind, row.points, owner) != (kind.value, -points, account.fan_id):
        raise SourceConflict(field=("source",))


def _end(hold_id: int) -> str:
    # spending and giving back share it: the one that comes second finds the other
    return f"{OWN}end:{hold_id}"


async def _held(
    session: AsyncSession, programme: Programme, hold_id: int
) -> tuple[Any, tuple[Account, Account | None], Any]:
    """Return a hold, its locked account with its heir, and the transfer that ended it, if one did."""
    mine = (transfers.c.id == hold_id, transfers.c.brand_id == programme.brand_id)
    statement = select(transfers).where(*mine, transfers.c.kind == TransferKind.HOLD.value)
    row: Any = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound("Nothing is held under this id.")
    owners = await lock_with_heir(session, row.account_id)
    return row, owners, (await known(session, programme.brand_id, [_end(hold_id)])).get(_end(hold_id))


def _again(ended: Any, kind: TransferKind, account: Account) -> Posted:
    if ended.kind != kind.value:
        raise HoldEnded
    return replayed(ended, account.fan_id)
