"""Fans, as staff see them and as they see themselves."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.fans.models import Gender
from domain.fans.queries import select_fans
from domain.orders.queries import last_orders_of_each
from domain.tags.queries import FAN_TAGS_AMONG
from domain.tenancy.queries import brand_of_each, dealer_of_each, source_account_of_each, store_of_each
from resolvers import (
    attributes,
    consents,
    events,
    fans,
    levels,
    orders,
    persons,
    points,
    referrals,
    tags,
    tenancy,
    timeline,
)
from schema import sql
from schema.arguments import enum_type
from schema.attributes import FanAttribute, MyAttribute
from schema.bind import PUBLIC, Node, Payload, column, entity, mutation, query, relation, value
from schema.consents import Consent
from schema.events import Follow
from schema.generations import Generation
from schema.levels import FanLevel, MyStanding
from schema.page import Connection
from schema.persons import Person
from schema.points import ExpiringPoints, PointBalances
from schema.scalars import Money, spend_of
from schema.tags import FanTag
from schema.tenancy import Brand, ChannelAccount, Dealer, Store
from schema.timeline import Activity

if TYPE_CHECKING:
    from schema.orders import Order

enum_type(Gender)
Orders = list[Annotated["Order", strawberry.lazy("schema.orders")]]


@entity("A person's relation to one brand (粉丝).")
class Fan(Node):
    nickname: str | None = column("What they call themselves.")
    avatar_url: str | None = column("Their picture.")
    gender: Gender = column("Their gender.")
    province: str | None = column("The province they live in.")
    city: str | None = column("The city they live in.")
    district: str | None = column("The district they live in.")
    language: str | None = column("The language they use.")
    subscribed: bool = column("Whether they follow the brand now.")
    followed_at: datetime | None = column("When they followed first.")
    last_followed_at: datetime | None = column("When they followed last.")
    unfollowed_at: datetime | None = column("When they left last.")
    follow_count: int = column("How often they followed.")
    source_scene: str | None = column("The scene of the QR code or the link that brought them.")
    order_count: int = column("How many paid orders they have.")
    last_order_at: datetime | None = column("When they placed their last paid order.")
    created_at: datetime = column("When the brand first knew of them.")
    erased_at: datetime | None = column("When who they stand in for was erased; such a fan has no name and no data.")
    consents = relation(consents.consents_of, list[Consent] | None, permission="consent:read", size=5)
    phone = relation(fans.phones_of, str | None)
    spend = value(spend_of, Money, "What their paid orders sum up to.", sql=sql.spend_of)
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)
    dealer = relation(tenancy.dealers_of, Dealer | None, each=dealer_of_each)
    store = relation(tenancy.stores_of, Store | None, each=store_of_each)
    source_account = relation(tenancy.source_accounts_of, ChannelAccount | None, each=source_account_of_each)
    follows = relation(events.follows_of, list[Follow] | None, permission="event:read")
    event_count = relation(events.event_counts_of, int | None, permission="event:read")
    tags = relation(tags.fan_tags_of, list[FanTag] | None, permission="tag:read", among=FAN_TAGS_AMONG)
    attributes = relation(attributes.fan_attributes_of, list[FanAttribute] | None)
    level = relation(levels.places_of, FanLevel | None)
    last_active_at = relation(events.last_active_of, datetime | None, permission="event:read")
    activity = relation(timeline.activities_of, list[Activity] | None, permission="event:read", size=3)
    last_orders = relation(orders.last_orders_of, Orders | None, permission="order:read", each=last_orders_of_each)
    referrer = relation(
        referrals.referrers_of, Annotated["Fan", strawberry.lazy("schema.fans")] | None, permission="referral:read"
    )
    downline = relation(referrals.downlines_of, list[Generation] | None, permission="referral:read", size=6)
    person = relation(persons.persons_of, Person | None, permission="person:link")
    expiring_points = relation(points.expiring_of, list[ExpiringPoints] | None, permission="points:read")
    points = relation(points.balances_of, PointBalances | None, permission="points:read")


@strawberry.type(description="The brand's face to its fans.")
class MyBrand:
    name: str = column("Its name.")
    time_zone: str = column("The zone of its natural days and months.")


@strawberry.type(description="The fan who asks.")
class Me:
    nickname: str | None = column("What I call myself.")
    avatar_url: str | None = column("My picture.")
    gender: Gender = column("My gender.")
    birthday: date | None = column("My birthday.")
    province: str | None = column("The province I live in.")
    city: str | None = column("The city I live in.")
    district: str | None = column("The district I live in.")
    language: str | None = column("The language I use.")
    subscribed: bool = column("Whether I follow the brand.")
    order_count: int = column("How many paid orders I have.")
    created_at: datetime = column("When the brand first knew of me.")
    consents = relation(consents.consents_of, list[Consent], size=5)
    phone = relation(fans.phones_of, str | None)
    spend = value(spend_of, Money, "What my paid orders sum up to.")
    brand = relation(tenancy.brands_of, MyBrand | None)
    attributes = relation(attributes.own_attributes_of, list[MyAttribute] | None)
    level = relation(levels.places_of, MyStanding | None)
    downline = relation(referrals.downlines_of, list[Generation] | None, size=6)
    expiring_points = relation(points.expiring_of, list[ExpiringPoints] | None)
    points = relation(points.balances_of, PointBalances | None)


@strawberry.type(description="What updateMe answers.")
class UpdateMePayload(Payload):
    me: Me | None = column("The caller as they are now.")


@strawberry.type(description="What loginForDevelopment answers.")
class LoginForDevelopmentPayload(Payload):
    access_token: str | None = column("A short-lived token for `Authorization: Bearer`.")


@strawberry.type
class FansQuery:
    fan = query(fans.get_fan, Fan, permission="fan:read", select=select_fans)
    fans = query(fans.list_fans, Connection[Fan], permission="fan:read", cut=fans.cut_fans)


@strawberry.type
class FanFansQuery:
    me = query(fans.me, Me, permission="me:read")


@strawberry.type
class FanFansMutation:
    update_me = mutation(fans.update_me, UpdateMePayload, permission="me:write")
    login_for_development = mutation(fans.login_for_development, LoginForDevelopmentPayload, permission=PUBLIC)
