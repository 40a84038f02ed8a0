"""Adjustments by hand (人工调整): with a reason, and above the programme's limit by two people."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.errors import BadInput, DomainError, NotFound
from domain.fans.models import Fan
from domain.points.ledger.accounts import Account, load_lots, lock_of_fans, lock_with_heir
from domain.points.ledger.book import Book
from domain.points.ledger.due import expire_now
from domain.points.ledger.earning import add_lot, credit
from domain.points.ledger.models import (
    MAX_POINTS,
    REASON_LENGTH,
    AdjustmentState,
    EntryKind,
    PointAdjustment,
    TransferKind,
)
from domain.points.ledger.rules import OWN, InsufficientPoints, Why
from domain.points.programme.models import PointsProgramme
from domain.points.programme.rules import Programme
from domain.tables import table_of

WITHIN = timedelta(hours=24)
adjustments, fans, programmes = table_of(PointAdjustment), table_of(Fan), table_of(PointsProgramme)


class AlreadyDecided(DomainError):
    code = "ALREADY_DECIDED"
    default = "Somebody has decided on this adjustment already."


class SecondPersonNeeded(DomainError):
    code = "SECOND_PERSON_NEEDED"
    default = "Who proposed an adjustment does not approve it: another person does."


@dataclass(frozen=True)
class Adjustment:
    """What a fan is to be given by hand, or, below 0, to lose, and why."""

    fan_id: int
    reason: str
    points: int = 0
    growth: int = 0


async def adjust(session: AsyncSession, programme: Programme, wanted: Adjustment, *, actor: str) -> int:
    """Adjust a fan's balances, or propose to where that is more than one person may do; return the adjustment's id.

    What a person adjusted or proposed within 24 hours counts together, points and growth, given and taken. Raises
    BadInput naming the field, NotFound, InsufficientPoints and PointsLimit.
    """
    _check(wanted)
    waits = await _needs_another(session, programme, wanted, actor)
    account = (await lock_of_fans(session, programme, [wanted.fan_id]))[wanted.fan_id]
    await _check_there(session, wanted.fan_id)
    row = {
        "group_id": programme.group_id,
        "brand_id": programme.brand_id,
        "account_id": account.id,
        "points": wanted.points,
        "growth": wanted.growth,
        "reason": wanted.reason,
        "state": (AdjustmentState.WAITING if waits else AdjustmentState.DONE).value,
        "proposed_by": actor,
        "created_at": clock.now(),
    }
    made = int((await session.execute(insert(adjustments).values(**row).returning(adjustments.c.id))).scalar_one())
    if not waits:
        transfer_id = await _post(session, programme, account, {**row, "id": made}, actor)
        await session.execute(update(adjustments).where(adjustments.c.id == made).values(transfer_id=transfer_id))
    await _log(session, actor, "propose" if waits else "adjust", {**row, "id": made}, account)
    return made


async def approve(session: AsyncSession, programme: Programme, adjustment_id: int, *, actor: str) -> None:
    """Carry out what another proposed; who did it before is told so again.

    Raises AlreadyDecided, SecondPersonNeeded, InsufficientPoints and NotFound.
    """
    row = await _undecided(session, programme, adjustment_id, AdjustmentState.DONE, actor)
    if row is None:
        return
    if row["proposed_by"] == actor:
        raise SecondPersonNeeded
    _, account = await lock_with_heir(session, row["account_id"])
    if account is None:
        raise NotFound("No such fan: they were erased.", field=("input", "adjustmentId"))
    transfer_id = await _post(session, programme, account, row, actor)
    await _decide(session, adjustment_id, AdjustmentState.DONE, actor, transfer_id=transfer_id)
    await _log(session, actor, "approve", row, account)


async def reject(
    session: AsyncSession, programme: Programme, adjustment_id: int, *, actor: str, note: str | None
) -> None:
    """Refuse what was proposed; who proposed it may take it back so, and a second time changes nothing.

    Raises AlreadyDecided.
    """
    if note is not None and not 1 <= len(note.strip()) <= len(note) <= REASON_LENGTH:
        raise BadInput(f"note has 1 to {REASON_LENGTH} characters.", field=("input", "note"))
    row = await _undecided(session, programme, adjustment_id, AdjustmentState.REJECTED, actor)
    if row is None:
        return
    await _decide(session, adjustment_id, AdjustmentState.REJECTED, actor, note=note)
    own, _ = await lock_with_heir(session, row["account_id"])
    await _log(session, actor, "reject", row, own)


def _check(wanted: Adjustment) -> None:
    if not wanted.points and not wanted.growth:
        raise BadInput("points and growth cannot both be 0.", field=("input", "points"))
    for name in ("points", "growth"):
        if abs(getattr(wanted, name)) > MAX_POINTS:
            raise BadInput(f"{name} must be between -(2^63-1) and 2^63-1.", field=("input", name))
    if not 1 <= len(wanted.reason.strip()) <= len(wanted.reason) <= REASON_LENGTH or "\0" in wanted.reason:
        raise BadInput(f"reason has 1 to {REASON_LENGTH} characters.", field=("input", "reason"))


async def _check_there(session: AsyncSession, fan_id: int) -> None:
    # looked at under the lock of the account, which an erasure empties
    erased = select(fans.c.id).where(fans.c.id == fan_id, fans.c.erased_at.is_not(None))
    if (await session.execute(erased)).first() is not None:
        raise NotFound("No such fan.", field=("input", "fanId"))


async def _needs_another(session: AsyncSession, programme: Programme, wanted: Adjustment, actor: str) -> bool:
    """Tell whether this is more than one person may do; who adjusts at the same time waits, so that sums are whole."""
    locked = select(programmes.c.four_eyes_limit).where(programmes.c.brand_id == programme.brand_id)
    limit = (await session.execute(locked.with_for_update())).scalar()
    if limit is None:
        return False
    # added up apart: the two of one row may be more than a column holds
    sums = [func.coalesce(func.sum(func.abs(column)), 0) for column in (adjustments.c.points, adjustments.c.growth)]
    lately = (adjustments.c.proposed_by == actor, adjustments.c.created_at > clock.now() - WITHIN)
    mine = (adjustments.c.brand_id == programme.brand_id, adjustments.c.state == AdjustmentState.DONE.value, *lately)
    # what another approved was looked at by two
    alone = adjustments.c.decided_by.is_(None)
    before = (await session.execute(select(*sums).where(*mine, alone))).one()
    return sum(map(int, before)) + abs(wanted.points) + abs(wanted.growth) > int(limit)


async def _post(session: AsyncSession, programme: Programme, account: Account, row: Any, actor: str) -> int:
    points, growth, book = row["points"], row["growth"], Book()
    why = Why(row["reason"], actor, f"PointAdjustment:{row['id']}")
    changes = {EntryKind.ISSUED: -points, EntryKind.GROWTH: growth, EntryKind.GROWTH_ISSUED: -growth}
    if points < 0:
        await load_lots(session, [account])
        expire_now(book, account)
        if account.free < -points:
            raise InsufficientPoints(field=("input", "points"))
        changes |= {EntryKind.SPENDABLE: points}
    else:
        changes |= credit(account, points)
    if account.holds["growth"] + growth < 0:
        raise InsufficientPoints("There is not enough growth for this.", field=("input", "growth"))
    draft = book.post(account, TransferKind.ADJUST, changes, why, source=f"{OWN}adjust:{row['id']}")
    if points < 0:
        book.draw(draft, -points)
    else:
        add_lot(draft, programme, book.now)
    return (await book.write(session))[-1].transfer_id


async def _undecided(
    session: AsyncSession, programme: Programme, adjustment_id: int, wanted: AdjustmentState, actor: str
) -> Any:
    """Return the locked adjustment where it waits, and None where the same person decided the same before."""
    mine = (adjustments.c.id == adjustment_id, adjustments.c.brand_id == programme.brand_id)
    row = (await session.execute(select(adjustments).where(*mine).with_for_update())).mappings().one_or_none()
    if row is None:
        raise NotFound("No such adjustment.", field=("input", "adjustmentId"))
    if row["state"] == AdjustmentState.WAITING.value:
        return row
    if (row["state"], row["decided_by"]) == (wanted.value, actor):
        return None
    raise AlreadyDecided


async def _decide(session: AsyncSession, adjustment_id: int, state: AdjustmentState, actor: str, **more: Any) -> None:
    decided = {"state": state.value, "decided_by": actor, "decided_at": clock.now(), **more}
    await session.execute(update(adjustments).where(adjustments.c.id == adjustment_id).values(**decided))


async def _log(session: AsyncSession, actor: str, act: str, row: Any, account: Account) -> None:
    detail = {"adjustment": row["id"], "points": row["points"], "growth": row["growth"], "reason": row["reason"]}
    deed = audit.Deed(row["group_id"], row["brand_id"], f"points:{act}", f"Fan:{account.fan_id}", detail)
    await audit.record(session, actor, [deed])
