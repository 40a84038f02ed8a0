"""Taking back: what was earned for something that was undone, and what was spent on something that was not had."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import BadInput, Conflict, NotFound
from domain.points.ledger.accounts import Account, load_lots, lock_with_heir
from domain.points.ledger.book import Book, entries, pendings, transfers
from domain.points.ledger.drafts import Draft
from domain.points.ledger.due import expire_now, release_key
from domain.points.ledger.models import EntryKind, PendingState, TransferKind
from domain.points.ledger.replays import known, replayed
from domain.points.ledger.returning import give_back
from domain.points.ledger.rules import (
    OWN,
    ClawBack,
    ClawedBack,
    NotReversible,
    Posted,
    SourceConflict,
    Why,
    check_amount,
    check_texts,
)
from domain.points.programme.models import ClawBackPolicy
from domain.points.programme.rules import Programme

# what waits may be given to another by an unmerge meanwhile, hardly twice
_LOOKS = 3
_TAKEN_BACK = (TransferKind.CLAW_BACK.value, TransferKind.CANCEL.value)


async def claw_back(session: AsyncSession, programme: Programme, wanted: ClawBack, *, actor: str) -> ClawedBack:
    """Take back part of an earn; where it still waits, that much of it is cancelled.

    Of what was granted the programme's policy takes nothing, what is there, or all of it as debt; growth never goes
    below zero. A source that was posted before is answered as it was then. Raises BadInput where more is asked for
    than was given and is not back yet, NotFound and SourceConflict.
    """
    check_amount(wanted.points, wanted.growth)
    check_texts(wanted.source, wanted.reason, wanted.reference)
    why = Why(wanted.reason, actor, wanted.reference)
    return await _claw(session, programme, wanted.of, (wanted.points, wanted.growth), wanted.source, why)


async def cancel_pending(
    session: AsyncSession, programme: Programme, *, of: str | int, source: str, reason: str, actor: str
) -> ClawedBack:
    """Cancel all of an earn that still waits; what was granted stays. Answers as `claw_back` does."""
    check_texts(source, reason, None)
    earned, before = await _earned(session, programme, of, source)
    if before is not None:
        return await _replay(session, earned.row, before, None)
    if earned.pending is None:
        return ClawedBack(0, 0)
    waits = (earned.pending.points, earned.pending.growth)
    return await _claw(session, programme, earned.row.id, waits, source, Why(reason, actor))


async def reverse(session: AsyncSession, programme: Programme, *, of: str | int, reason: str, actor: str) -> Posted:
    """Take a whole transfer back, named by its source or id: once, however often it is asked for.

    What was spent goes back to its lots; what was earned or adjusted upwards is clawed back, as far as the programme's
    policy goes. Raises NotReversible for other kinds and NotFound.
    """
    row = await _find(session, programme, of)
    source, why = f"{OWN}reverse:{row.id}", Why(reason, actor, row.reference)
    if row.kind in (TransferKind.EARN.value, TransferKind.ADJUST.value) and row.points >= 0 <= row.growth:
        back = await _claw(session, programme, row.id, None, source, why)
        return back.posted[0]
    if row.kind != TransferKind.SPEND.value:
        raise NotReversible
    owners = await lock_with_heir(session, row.account_id)
    before = (await known(session, programme.brand_id, [source])).get(source)
    if before is not None:
        return replayed(before, owners[0].fan_id)
    drew = row if row.reverses_id is None else await _find(session, programme, row.reverses_id)
    return await give_back(session, owners, TransferKind.REVERSE, EntryKind.REDEEMED, drew, source, row.id, why)


async def _find(session: AsyncSession, programme: Programme, of: str | int) -> Any:
    named = transfers.c.source == of if isinstance(of, str) else transfers.c.id == of
    mine = select(transfers).where(transfers.c.brand_id == programme.brand_id, named)
    row = (await session.execute(mine)).one_or_none()
    if row is None:
        raise NotFound("No such transfer.")
    return row


@dataclass
class _Earned:
    """An earn, the locked account its points are on now, and what of it still waits.

    `came` are the transfers that gave it: itself, and what set it free on its day.
    """

    row: Any
    account: Account
    pending: Any
    came: frozenset[int]


async def _earned(session: AsyncSession, programme: Programme, of: str | int, source: str) -> tuple[_Earned, Any]:
    """Return an earn, locked, and what `source` posted before."""
    row = await _find(session, programme, of)
    if row.kind not in (TransferKind.EARN.value, TransferKind.ADJUST.value):
        raise NotReversible
    account, pending = await _holder(session, row)
    freed = release_key(row.id)
    posted = await known(session, programme.brand_id, [source, freed])
    came = frozenset({row.id, posted[freed].id} if freed in posted else {row.id})
    return _Earned(row, account, pending, came), posted.get(source)


async def _holder(session: AsyncSession, row: Any) -> tuple[Account, Any]:
    """Lock the account that what is left of an earn is on, and return it with what of the earn waits there."""
    waits = (pendings.c.transfer_id == row.id, pendings.c.state == PendingState.PENDING.value)
    account_id = row.account_id
    for _ in range(_LOOKS):
        own, heir = await lock_with_heir(session, account_id)
        account = heir or own
        pending = (await session.execute(select(pendings).where(*waits))).one_or_none()
        if pending is None or pending.account_id == account.id:
            return account, pending
        # an unmerge gave it to the fan who came back
        account_id = pending.account_id
    raise Conflict


async def _claw(
    session: AsyncSession,
    programme: Programme,
    of: str | int,
    asked: tuple[int, int] | None,
    source: str,
    why: Why,
) -> ClawedBack:
    earned, before = await _earned(session, programme, of, source)
    if before is not None:
        return await _replay(session, earned.row, before, asked)
    left = await _not_back_yet(session, earned.row)
    points, growth = asked or left
    if points > left[0] or growth > left[1]:
        name = "points" if points > left[0] else "growth"
        raise BadInput(f"{name} is more than was given and is not taken back yet.", field=(name,))
    book = Book()
    if earned.pending is not None:
        draft = await _cancel(session, book, earned, (points, growth), source, why)
    else:
        await load_lots(session, [earned.account])
        expire_now(book, earned.account)
        draft = _take_back(book, programme, earned, (points, growth), source, why)
    said = (await book.write(session))[-1]
    return _answer(said, draft.changes, (points, growth))


async def _not_back_yet(session: AsyncSession, earned: Any) -> tuple[int, int]:
    back = (transfers.c.reverses_id == earned.id, transfers.c.kind.in_([*_TAKEN_BACK, TransferKind.REVERSE.value]))
    sums = select(*(func.coalesce(func.sum(transfers.c[name]), 0) for name in ("points", "growth"))).where(*back)
    points, growth = (await session.execute(sums)).one()
    return earned.points + int(points), earned.growth + int(growth)


async def _cancel(
    session: AsyncSession, book: Book, earned: _Earned, amounts: tuple[int, int], source: str, why: Why
) -> Draft:
    (points, growth), pending = amounts, earned.pending
    changes = {
        EntryKind.PENDING: -points,
        EntryKind.ISSUED: points,
        EntryKind.GROWTH_PENDING: -growth,
        EntryKind.GROWTH_ISSUED: growth,
    }
    left = {"points": pending.points - points, "growth": pending.growth - growth}
    state = PendingState.PENDING if any(left.values()) else PendingState.CANCELLED
    this = pendings.c.transfer_id == pending.transfer_id
    await session.execute(update(pendings).where(this).values(**left, state=state.value))
    return book.post(earned.account, TransferKind.CANCEL, changes, why, source=source, reverses_id=earned.row.id)


def _take_back(
    book: Book, programme: Programme, earned: _Earned, amounts: tuple[int, int], source: str, why: Why
) -> Draft:
    (points, growth), account = amounts, earned.account
    policy = programme.settings.claw_back
    if policy is ClawBackPolicy.ONLY_PENDING:
        points = growth = 0
    # beside a debt that a merge left there, what is there is what may be spent; to owe more makes no difference
    has = account.holds["spendable"] if policy is ClawBackPolicy.DEBT else max(account.free, 0)
    there, growth = min(points, has), min(growth, account.holds["growth"])
    owed = points - there if policy is ClawBackPolicy.DEBT else 0
    changes = {
        EntryKind.SPENDABLE: -there,
        EntryKind.DEBT: -owed,
        EntryKind.ISSUED: there + owed,
        EntryKind.GROWTH: -growth,
        EntryKind.GROWTH_ISSUED: growth,
    }
    kind = TransferKind.REVERSE if source.startswith(OWN) else TransferKind.CLAW_BACK
    draft = book.post(account, kind, changes, why, source=source, reverses_id=earned.row.id)
    book.draw(draft, there, first=earned.came)
    return draft


def _answer(said: Posted, changes: Any, asked: tuple[int, int]) -> ClawedBack:
    points, growth = -said.points, -said.growth
    return ClawedBack(
        points,
        growth,
        -changes.get(EntryKind.PENDING, 0),
        -changes.get(EntryKind.GROWTH_PENDING, 0),
        -changes.get(EntryKind.DEBT, 0),
        asked[0] - points,
        asked[1] - growth,
        (said,),
    )


async def _replay(session: AsyncSession, earned: Any, before: Any, asked: tuple[int, int] | None) -> ClawedBack:
    # the policy may have taken less than was asked for, and never more
    took_more = asked is not None and (asked[0] < -before.points or asked[1] < -before.growth)
    if before.reverses_id != earned.id or took_more:
        raise SourceConflict(field=("source",))
    rows = await session.execute(select(entries.c.kind, entries.c.amount).where(entries.c.transfer_id == before.id))
    changes = {EntryKind(row.kind): row.amount for row in rows}
    return _answer(replayed(before, before.account_id), changes, asked or (-before.points, -before.growth))
