"""What becomes of redemptions: points are spent when the gift goes out, and given back when it does not."""

from typing import Any

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.errors import BadInput
from domain.mall.deeds import record
from domain.mall.gifts import gifts
from domain.mall.models import Redemption, RedemptionState
from domain.mall.rules import RedemptionEnded, RedemptionPaid, RedemptionUnpaid
from domain.points.ledger.service import post_hold, void_hold
from domain.points.programme.queries import programme_of
from domain.tables import table_of

redemptions = table_of(Redemption)


async def fulfil(
    session: AsyncSession, principal: str, redemption: Redemption, *, carrier: str | None, tracking_number: str | None
) -> None:
    """Say that the gift went out, and spend the points for good. Raises RedemptionEnded and RedemptionUnpaid."""
    for name, text in (("carrier", carrier), ("trackingNumber", tracking_number)):
        if text is not None and not 1 <= len(text.strip()) <= len(text) <= 64:
            raise BadInput(f"{name} has 1 to 64 characters.", field=("input", name))
    paid = or_(redemptions.c.cash == 0, redemptions.c.paid_at.is_not(None))
    sent = {"carrier": carrier, "tracking_number": tracking_number, "fulfilled_at": clock.now()}
    await _change(session, redemption, paid, state=RedemptionState.FULFILLED.value, **sent)
    programme = await programme_of(session, redemption.brand_id)
    await post_hold(session, programme, hold_id=redemption.hold_id, actor=principal)
    await record(
        session, principal, redemption, redemption.id, "redemption:fulfil", {"trackingNumber": tracking_number}
    )


async def cancel(
    session: AsyncSession, principal: str, redemption: Redemption, *, reason: str, paid_too: bool = True
) -> None:
    """Cancel a redemption: the points go back to their lots, the pieces to the stock, once.

    Raises RedemptionEnded, and RedemptionPaid where one that is paid is not to be cancelled.
    """
    if not 1 <= len(reason.strip()) <= len(reason) <= 200:
        raise BadInput("reason has 1 to 200 characters.", field=("input", "reason"))
    condition = redemptions.c.id == redemption.id if paid_too else redemptions.c.paid_at.is_(None)
    ended = {"cancel_reason": reason, "cancelled_at": clock.now(), "pay_until": None}
    await _change(session, redemption, condition, state=RedemptionState.CANCELLED.value, **ended)
    programme = await programme_of(session, redemption.brand_id)
    await void_hold(session, programme, hold_id=redemption.hold_id, actor=principal, reason=reason)
    back = {"stock": gifts.c.stock + redemption.quantity}
    await session.execute(update(gifts).where(gifts.c.id == redemption.gift_id).values(**back))
    await record(session, principal, redemption, redemption.id, "redemption:cancel", {"reason": reason})


async def pay(session: AsyncSession, principal: str, redemption: Redemption, *, cash: int, reference: str) -> None:
    """Say that the money was paid. Said again of the same payment it changes nothing.

    One that comes after the redemption was cancelled is written down too, since the money is there and is to be paid
    back. Raises RedemptionPaid where another payment paid it, and BadInput for an amount it does not cost or a payment
    that paid another one.
    """
    if not 1 <= len(reference.strip()) <= len(reference) <= 128:
        raise BadInput("paymentReference has 1 to 128 characters.", field=("input", "paymentReference"))
    if redemption.cash == 0 or redemption.cash != cash:
        raise BadInput("amount is not what it costs.", field=("input", "amount"))
    if redemption.paid_at is not None and redemption.payment_reference == reference:
        return
    paid = {"paid_at": clock.now(), "payment_reference": reference, "pay_until": None}
    try:
        deed = await _pay(session, redemption, paid)
    except IntegrityError as error:
        message = "This payment paid another redemption."
        raise BadInput(message, field=("input", "paymentReference")) from error
    await record(session, principal, redemption, redemption.id, deed, {"payment": reference})


async def _pay(session: AsyncSession, redemption: Redemption, paid: dict[str, Any]) -> str:
    """Write the payment down, and return what was done by it."""
    try:
        await _change(session, redemption, redemptions.c.paid_at.is_(None), **paid)
    except RedemptionEnded:
        ended = (redemptions.c.id == redemption.id, redemptions.c.state == RedemptionState.CANCELLED.value)
        late = update(redemptions).where(*ended, redemptions.c.paid_at.is_(None)).values(**paid)
        if (await session.execute(late.returning(redemptions.c.id))).first() is None:
            raise RedemptionPaid from None
        return "redemption:pay_late"
    return "redemption:pay"


async def _change(session: AsyncSession, redemption: Redemption, so: ColumnElement[bool], **values: Any) -> None:
    """Change a redemption that is under way, in one statement: of two who end it at once one does."""
    under_way = (redemptions.c.id == redemption.id, redemptions.c.state == RedemptionState.CREATED.value)
    change = update(redemptions).where(*under_way, so).values(**values).returning(redemptions.c.id)
    if (await session.execute(change)).first() is not None:
        return
    columns = (redemptions.c.state, redemptions.c.paid_at)
    row = (await session.execute(select(*columns).where(redemptions.c.id == redemption.id))).one()
    if row.state != RedemptionState.CREATED:
        raise RedemptionEnded
    raise RedemptionPaid if row.paid_at is not None else RedemptionUnpaid
