"""Redemptions: ordering gifts for points, and what becomes of the orders."""

from resolvers.mall.redemptions.ending import (
    cancel_my_redemption,
    cancel_redemption,
    fulfil_redemption,
    record_redemption_payment,
)
from resolvers.mall.redemptions.ordering import redeem_gift, redeem_gift_for_me
from resolvers.mall.redemptions.reading import (
    cut_redemptions,
    deliveries_of,
    fans_of,
    get_redemption,
    gifts_of,
    list_redemptions,
    my_redemption,
    my_redemptions,
)

__all__ = [
    "cancel_my_redemption",
    "cancel_redemption",
    "cut_redemptions",
    "deliveries_of",
    "fans_of",
    "fulfil_redemption",
    "get_redemption",
    "gifts_of",
    "list_redemptions",
    "my_redemption",
    "my_redemptions",
    "record_redemption_payment",
    "redeem_gift",
    "redeem_gift_for_me",
]
