"""Groups, brands, dealers, stores and channel accounts."""

from datetime import datetime

import strawberry

from domain.tenancy.models import ChannelKind
from domain.tenancy.queries import brand_of_each, dealer_of_each, group_of_each
from resolvers import tenancy
from schema.arguments import enum_type
from schema.bind import Node, column, entity, query, relation
from schema.page import Connection

enum_type(ChannelKind)


@entity("A group of brands (集团).")
class Group(Node):
    code: str = column("Its short name, unique among groups.")
    name: str = column("Its name.")


@entity("A brand (品牌) of a group.")
class Brand(Node):
    code: str = column("Its short name, unique in the group.")
    name: str = column("Its name.")
    time_zone: str = column("The zone of its natural days and months, by its IANA name.")
    currency: str = column("The currency of its money, by its ISO 4217 code.")
    group = relation(tenancy.groups_of, Group | None, each=group_of_each)


@entity("A dealer (经销商) of a brand.")
class Dealer(Node):
    code: str = column("Its short name, unique in the brand.")
    name: str = column("Its name.")
    province: str | None = column("The province it is in.")
    city: str | None = column("The city it is in.")
    created_at: datetime = column("When it was made.")
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)


@entity("A store (门店) of a dealer.")
class Store(Node):
    code: str = column("Its short name, unique with the dealer.")
    name: str = column("Its name.")
    city: str | None = column("The city it is in.")
    dealer = relation(tenancy.dealers_of, Dealer | None, each=dealer_of_each)


@entity("An account of a brand in a channel (渠道号).")
class ChannelAccount(Node):
    kind: ChannelKind = column("The channel.")
    app_id: str = column("The account's id in the channel.")
    name: str = column("Its name.")
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)


@strawberry.type
class TenancyQuery:
    brand = query(tenancy.get_brand, Brand, permission="tenancy:read")
    brands = query(tenancy.list_brands, Connection[Brand], permission="tenancy:read")
    dealers = query(tenancy.list_dealers, Connection[Dealer], permission="tenancy:read")
    stores = query(tenancy.list_stores, Connection[Store], permission="tenancy:read")
    channel_accounts = query(tenancy.list_channel_accounts, Connection[ChannelAccount], permission="tenancy:read")


__all__ = ["Brand", "ChannelAccount", "Dealer", "Group", "Store", "TenancyQuery"]
