"""What becomes of redemptions: the gift goes out, the money comes, or neither."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from domain.errors import NotFound
from domain.idempotency import Answer, run_once
from domain.ids import RedemptionId
from domain.inputs import said
from domain.mall import redemptions
from domain.mall.models import Redemption
from domain.mall.queries import redemptions as queries
from resolvers.context import Context
from resolvers.fans import own_fan_id
from resolvers.keys import minor_of, once_of

WRITE = "redemption:write"
BY_FAN = "cancelled by the fan"


@dataclass(frozen=True)
class Fulfilment:
    """That a gift went out, or was handed over."""

    redemption_id: RedemptionId = said("The redemption.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    carrier: str | None = said("Who carries it, 1 to 64 characters.", None)
    tracking_number: str | None = said("The carrier's number of it, 1 to 64 characters.", None)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


@dataclass(frozen=True)
class Cancelling:
    """That a redemption is cancelled, and why."""

    redemption_id: RedemptionId = said("The redemption.")
    reason: str = said("Why, 1 to 200 characters; the fan sees it.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


@dataclass(frozen=True)
class MyCancelling:
    """That the caller does not want a gift any more."""

    redemption_id: RedemptionId = said("The redemption.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


@dataclass(frozen=True)
class Payment:
    """That what a redemption costs in money was paid."""

    redemption_id: RedemptionId = said("The redemption.")
    amount: Decimal = said("What was paid, in the redemption's currency; all it costs, at once.")
    payment_reference: str = said("The payment's own number, 1 to 128 characters: it pays one redemption.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def fulfil_redemption(context: Context, input: Fulfilment) -> dict[str, Any]:
    """Say that a gift went out: its points are spent for good."""

    async def fulfil(session: Any, principal: str, redemption: Redemption) -> None:
        sent = {"carrier": input.carrier, "tracking_number": input.tracking_number}
        await redemptions.fulfil(session, principal, redemption, **sent)

    return await _once(context, "fulfilRedemption", input, WRITE, fulfil)


async def cancel_redemption(context: Context, input: Cancelling) -> dict[str, Any]:
    """Cancel a redemption that did not go out: points return to where they came from, pieces to the stock.

    Money that was paid is for the caller to pay back.
    """

    async def cancel(session: Any, principal: str, redemption: Redemption) -> None:
        await redemptions.cancel(session, principal, redemption, reason=input.reason)

    return await _once(context, "cancelRedemption", input, WRITE, cancel)


async def cancel_my_redemption(context: Context, input: MyCancelling) -> dict[str, Any]:
    """Cancel one of my redemptions that did not go out and has no money paid: my points return to where they were."""
    own_fan_id(context)

    async def cancel(session: Any, principal: str, redemption: Redemption) -> None:
        await redemptions.cancel(session, principal, redemption, reason=BY_FAN, paid_too=False)

    return await _once(context, "cancelMyRedemption", input, queries.REDEMPTION, cancel)


async def record_redemption_payment(context: Context, input: Payment) -> dict[str, Any]:
    """Record that what a redemption costs in money was paid. One cancelled by then stays so: pay the money back."""

    async def pay(session: Any, principal: str, redemption: Redemption) -> None:
        cash = minor_of(input.amount, redemption.currency, "amount")
        await redemptions.pay(session, principal, redemption, cash=cash, reference=input.payment_reference)

    return await _once(context, "recordRedemptionPayment", input, WRITE, pay)


Act = Callable[[Any, str, Redemption], Awaitable[None]]


async def _once(context: Context, mutation: str, input: Any, permission: str, act: Act) -> dict[str, Any]:
    """Do something with a redemption once a key, and answer with the redemption as it is now."""
    async with context.transaction(dry_run=input.dry_run) as session:
        wanted = input.redemption_id
        found = (await queries.redemptions_by_id(session, context.scope, [wanted], permission)).get(wanted)
        if found is None:
            raise NotFound("No such redemption.", field=("input", "redemptionId"))

        async def effect() -> Answer:
            await act(session, context.viewer.principal, found)
            return Answer({"id": wanted})

        _, replayed = await run_once(session, once_of(context, found.group_id, mutation, input), effect)
        now = await queries.get_redemption(session, context.scope, wanted)
    return {"redemption": now, "replayed": replayed}
