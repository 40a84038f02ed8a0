"""What happens now: new events as they come, and what is busy."""

from datetime import datetime

import strawberry

from domain.live.models import HotKind
from domain.live.queries import HotItem as Row
from resolvers import live
from schema.arguments import enum_type
from schema.bind import column, query, relation, subscription, value
from schema.events import FanEvent
from schema.ids import encode
from schema.tenancy import ChannelAccount

enum_type(HotKind)


def _item(row: Row) -> str:
    return row.item if row.account_id is None else encode("ChannelAccount", row.account_id)


@strawberry.type(description="How many events named an item within one minute, or one hour.")
class HotPoint:
    at: datetime = column("When the minute or the hour began.")
    count: int = column("How many there were.")


@strawberry.type(description="A campaign, a content or a channel that is busy now (热度).")
class HotItem:
    item = value(_item, str, "The code of the campaign or of the content, or the id of the channel account.")
    count: int = column("How many events named it within the window.")
    points = relation(live.points_of, list[HotPoint], size=180)
    account = relation(live.accounts_of, ChannelAccount | None)


@strawberry.type(description="Something I did, as it was stored a moment ago.")
class MyEvent:
    name: str = column("What was done.")
    occurred_at: datetime = column("When it happened.")
    content: str | None = column("The content it was about.")
    product: str | None = column("The product it was about.")
    campaign: str | None = column("The campaign it belongs to.")
    order_reference: str | None = column("The number of the order it is about.")


@strawberry.type
class LiveQuery:
    hot_items = query(live.list_hot_items, list[HotItem], permission="event:read")


@strawberry.type
class LiveSubscription:
    fan_events = subscription(live.fan_events, FanEvent, permission="event:read")


@strawberry.type
class FanLiveSubscription:
    my_events = subscription(live.my_events, MyEvent, permission="me:read")
