"""Redemptions, as staff handle them and as fans see their own."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.fans.queries import fan_of_each
from domain.mall.models import RedemptionState
from domain.mall.queries.gifts import gift_of_each
from domain.mall.queries.redemptions import select_redemptions
from domain.tenancy.queries import brand_of_each, dealer_of_each, store_of_each
from resolvers import tenancy
from resolvers.mall import redemptions
from schema import sql
from schema.arguments import enum_type
from schema.bind import Node, Payload, column, entity, mutation, query, relation, value
from schema.ids import encode
from schema.mall.gifts import Gift
from schema.page import Connection
from schema.scalars import Int64, Money, cash_of
from schema.tenancy import Brand, Dealer, Store

if TYPE_CHECKING:
    from schema.fans import Fan

enum_type(RedemptionState)
OneFan = Annotated["Fan", strawberry.lazy("schema.fans")]


@strawberry.type(description="Where a gift goes, and to whom.")
class Delivery:
    recipient: str = column("Who receives it.")
    phone: str = column("Their phone.")
    address: str = column("The whole address.")


@entity("An order of a gift for points (兑换单).")
class Redemption(Node):
    number: str = column("Its number in the brand.")
    title: str = column("What was ordered, as it was called then.")
    quantity: int = column("How many pieces.")
    points: Int64 = column("What all of it costs in points.")
    cash = value(cash_of, Money, "What all of it costs in money besides.", sql=sql.cash_of)
    state: RedemptionState = column("Where it stands.")
    pay_until: datetime | None = column("Until when the money is waited for; null where none is.")
    paid_at: datetime | None = column("When the money was paid.")
    payment_reference: str | None = column("The payment's own number.")
    carrier: str | None = column("Who carries it.")
    tracking_number: str | None = column("The carrier's number of it.")
    cancel_reason: str | None = column("Why it was cancelled.")
    fulfilled_at: datetime | None = column("When it went out, or was handed over.")
    cancelled_at: datetime | None = column("When it was cancelled.")
    created_at: datetime = column("When it was ordered.")
    gift = relation(redemptions.gifts_of, Gift | None, permission="gift:read", each=gift_of_each)
    fan = relation(redemptions.fans_of, OneFan | None, permission="fan:read", each=fan_of_each)
    delivery = relation(redemptions.deliveries_of, Delivery | None)
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)
    dealer = relation(tenancy.dealers_of, Dealer | None, each=dealer_of_each)
    store = relation(tenancy.stores_of, Store | None, each=store_of_each)


@strawberry.type(description="My own order of a gift for points.")
class MyRedemption:
    redemption_id = value(lambda row: encode("Redemption", row.id), strawberry.ID, "Its id.")
    gift_id = value(lambda row: encode("Gift", row.gift_id), strawberry.ID, "The gift's id.")
    number: str = column("Its number.")
    title: str = column("What I ordered, as it was called then.")
    quantity: int = column("How many pieces.")
    points: Int64 = column("What all of it costs in points.")
    cash = value(cash_of, Money, "What all of it costs in money besides.")
    state: RedemptionState = column("Where it stands.")
    pay_until: datetime | None = column("Until when I have to pay the money; null where none is waited for.")
    paid_at: datetime | None = column("When I paid the money.")
    carrier: str | None = column("Who carries it.")
    tracking_number: str | None = column("The carrier's number of it.")
    cancel_reason: str | None = column("Why it was cancelled.")
    fulfilled_at: datetime | None = column("When it went out, or was handed over.")
    cancelled_at: datetime | None = column("When it was cancelled.")
    created_at: datetime = column("When I ordered it.")
    delivery = relation(redemptions.deliveries_of, Delivery | None)


_AGAIN = "Whether this is the answer an earlier request with the same key got."


@strawberry.type(description="What redeemGift answers.")
class RedeemGiftPayload(Payload):
    redemption: Redemption | None = column("The order; null in a dry run.")
    points: Int64 | None = column("What all of it costs in points.")
    balance: Int64 | None = column("What the fan may spend right after.")
    replayed: bool | None = column(_AGAIN)


@strawberry.type(description="What redeemGiftForMe answers.")
class RedeemGiftForMePayload(Payload):
    redemption: MyRedemption | None = column("My order; null in a dry run.")
    points: Int64 | None = column("What all of it costs in points.")
    balance: Int64 | None = column("What I may spend right after.")
    replayed: bool | None = column(_AGAIN)


@strawberry.type(description="What fulfilRedemption answers.")
class FulfilRedemptionPayload(Payload):
    redemption: Redemption | None = column("The redemption as it is now; in a dry run, as it would be.")
    replayed: bool | None = column(_AGAIN)


@strawberry.type(description="What cancelRedemption answers.")
class CancelRedemptionPayload(Payload):
    redemption: Redemption | None = column("The redemption as it is now; in a dry run, as it would be.")
    replayed: bool | None = column(_AGAIN)


@strawberry.type(description="What recordRedemptionPayment answers.")
class RecordRedemptionPaymentPayload(Payload):
    redemption: Redemption | None = column("The redemption as it is now; in a dry run, as it would be.")
    replayed: bool | None = column(_AGAIN)


@strawberry.type(description="What cancelMyRedemption answers.")
class CancelMyRedemptionPayload(Payload):
    redemption: MyRedemption | None = column("My redemption as it is now; in a dry run, as it would be.")
    replayed: bool | None = column(_AGAIN)


@strawberry.type
class RedemptionsQuery:
    redemption = query(redemptions.get_redemption, Redemption, permission="redemption:read", select=select_redemptions)
    redemptions = query(
        redemptions.list_redemptions,
        Connection[Redemption],
        permission="redemption:read",
        cut=redemptions.cut_redemptions,
    )


@strawberry.type
class RedemptionsMutation:
    redeem_gift = mutation(redemptions.redeem_gift, RedeemGiftPayload, permission="redemption:write")
    fulfil_redemption = mutation(redemptions.fulfil_redemption, FulfilRedemptionPayload, permission="redemption:write")
    cancel_redemption = mutation(redemptions.cancel_redemption, CancelRedemptionPayload, permission="redemption:write")
    record_redemption_payment = mutation(
        redemptions.record_redemption_payment, RecordRedemptionPaymentPayload, permission="redemption:write"
    )


@strawberry.type
class FanRedemptionsQuery:
    my_redemption = query(redemptions.my_redemption, MyRedemption, permission="me:read")
    my_redemptions = query(redemptions.my_redemptions, Connection[MyRedemption], permission="me:read")


@strawberry.type
class FanRedemptionsMutation:
    redeem_gift_for_me = mutation(redemptions.redeem_gift_for_me, RedeemGiftForMePayload, permission="me:write")
    cancel_my_redemption = mutation(redemptions.cancel_my_redemption, CancelMyRedemptionPayload, permission="me:write")
