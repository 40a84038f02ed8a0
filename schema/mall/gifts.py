"""Gifts, as staff keep them and as fans see them."""

from datetime import datetime

import strawberry

from domain.mall.models import GiftState
from domain.mall.queries.gifts import select_gifts
from domain.mall.rules import GiftBar
from domain.tenancy.queries import brand_of_each
from resolvers import tenancy
from resolvers.mall import gifts
from schema import sql
from schema.arguments import enum_type
from schema.bind import Node, Payload, column, entity, mutation, query, relation, value
from schema.ids import encode
from schema.levels import Level, MyLevel
from schema.page import Connection
from schema.scalars import Int64, Money, cash_of
from schema.tenancy import Brand

enum_type(GiftState)
enum_type(GiftBar)


@entity("What fans get for points (礼品).")
class Gift(Node):
    code: str = column("Its code in the brand.")
    title: str = column("What it is.")
    description: str | None = column("What is to be known of it.")
    image_url: str | None = column("The address of its picture.")
    category: str | None = column("What it is filed under.")
    state: GiftState = column("Whether it is offered.")
    points: Int64 = column("What one piece costs in points.")
    cash = value(cash_of, Money, "What one piece costs in money besides.", sql=sql.cash_of)
    stock: Int64 = column("How many pieces are left.")
    stocked: Int64 = column("How many pieces were ever put in, less what was taken out.")
    per_fan_limit: int | None = column("How many pieces one fan may have; null where as many as they like.")
    least_level = relation(gifts.least_levels_of, Level | None)
    sale_from: datetime | None = column("From when on it is offered.")
    sale_until: datetime | None = column("Until when it is offered.")
    created_at: datetime = column("When it was made.")
    updated_at: datetime = column("When it was changed, or stock added, last.")
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)


@strawberry.type(description="Where I stand with a gift.")
class GiftStanding:
    taken: int = column("How many pieces I have or have coming.")
    left: int | None = column("How many more I may have; null where there is no limit.")
    bars: list[GiftBar] = column("Everything that keeps me from one more piece now; empty where nothing does.", size=1)


@strawberry.type(description="A gift that is on sale (积分商城).")
class GiftOffer:
    gift_id = value(lambda row: encode("Gift", row.id), strawberry.ID, "The gift's id.")
    title: str = column("What it is.")
    description: str | None = column("What is to be known of it.")
    image_url: str | None = column("The address of its picture.")
    category: str | None = column("What it is filed under.")
    points: Int64 = column("What one piece costs in points.")
    cash = value(cash_of, Money, "What one piece costs in money besides.")
    stock: Int64 = column("How many pieces are left.")
    per_fan_limit: int | None = column("How many pieces one fan may have; null where as many as they like.")
    least_level = relation(gifts.least_levels_of_offers, MyLevel | None)
    sale_until: datetime | None = column("Until when it is offered.")
    standing = relation(gifts.standings_of, GiftStanding)


@strawberry.type(description="What createGift answers.")
class CreateGiftPayload(Payload):
    gift: Gift | None = column("The gift that was made.")


@strawberry.type(description="What updateGift answers.")
class UpdateGiftPayload(Payload):
    gift: Gift | None = column("The gift as it is now.")


@strawberry.type(description="What addGiftStock answers.")
class AddGiftStockPayload(Payload):
    gift: Gift | None = column("The gift as it is now.")
    stock: Int64 | None = column("How many pieces were left right after.")
    replayed: bool | None = column("Whether this is the answer an earlier request with the same key got.")


@strawberry.type
class GiftsQuery:
    gift = query(gifts.get_gift, Gift, permission="gift:read", select=select_gifts)
    gifts = query(gifts.list_gifts, Connection[Gift], permission="gift:read", cut=gifts.cut_gifts)


@strawberry.type
class GiftsMutation:
    create_gift = mutation(gifts.create_gift, CreateGiftPayload, permission="gift:write")
    update_gift = mutation(gifts.update_gift, UpdateGiftPayload, permission="gift:write")
    add_gift_stock = mutation(gifts.add_gift_stock, AddGiftStockPayload, permission="gift:write")


@strawberry.type
class FanGiftsQuery:
    gift_offer = query(gifts.get_offer, GiftOffer, permission="me:read")
    gift_offers = query(gifts.list_offers, Connection[GiftOffer], permission="me:read")
