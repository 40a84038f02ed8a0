"""The points mall (积分商城)."""

import strawberry

from schema.mall.gifts import FanGiftsQuery, GiftsMutation, GiftsQuery
from schema.mall.redemptions import (
    FanRedemptionsMutation,
    FanRedemptionsQuery,
    RedemptionsMutation,
    RedemptionsQuery,
)


@strawberry.type
class MallQuery(GiftsQuery, RedemptionsQuery):
    pass


@strawberry.type
class MallMutation(GiftsMutation, RedemptionsMutation):
    pass


@strawberry.type
class FanMallQuery(FanGiftsQuery, FanRedemptionsQuery):
    pass


@strawberry.type
class FanMallMutation(FanRedemptionsMutation):
    pass
