"""What happened to a fan, in order."""

from datetime import datetime
from functools import partial
from typing import Any

import strawberry
from strawberry.scalars import JSON

from domain.timeline.sources import TimelineKind
from resolvers import timeline
from schema.arguments import enum_type
from schema.bind import column, query, value
from schema.ids import encode
from schema.page import Connection
from schema.scalars import Int64, Money, money

enum_type(TimelineKind)


def _order_id(row: Any) -> str | None:
    return encode("Order", row.id) if row.kind == TimelineKind.ORDER else None


def _redemption_id(row: Any) -> str | None:
    return encode("Redemption", row.id) if row.kind == TimelineKind.REDEMPTION else None


def _tag_id(row: Any) -> str | None:
    return None if row.tag_id is None else encode("Tag", row.tag_id)


def _amount(row: Any) -> Money | None:
    return None if row.amount is None else money(row.amount, row.currency)


def _level(row: Any, end: str) -> str | None:
    return row.detail.get(end) if row.kind == TimelineKind.LEVEL and row.detail else None


@strawberry.type(description="One thing that happened to a fan; what its kind has not is null.")
class TimelineEntry:
    kind: TimelineKind = column("What it is.")
    at: datetime = column("When it happened.")
    name: str = column(
        "The event's name, an order's or a redemption's state now, a transfer's kind, or what was done, such as ADDED."
    )
    content: str | None = column("The content of an event.")
    product: str | None = column("The product of an event, or the gift of a redemption.")
    campaign: str | None = column("The campaign of an event.")
    scene: str | None = column("The scene of an event, such as a QR code's.")
    number: str | None = column("The number of an order or a redemption, or the order an event names.")
    source: str | None = column("The system an order comes from.")
    item_count: int | None = column("How many pieces an order or a redemption holds.")
    amount = value(_amount, Money | None, "What an order costs in money, or a redemption besides points.")
    order_id = value(_order_id, strawberry.ID | None, "The order's id.")
    redemption_id = value(_redemption_id, strawberry.ID | None, "The redemption's id.")
    points: Int64 | None = column("What a transfer did to the points.")
    growth: Int64 | None = column("What a transfer did to the growth.")
    balance: Int64 | None = column("What could be spent after a transfer.")
    reason: str | None = column("Why a transfer was made.")
    tag_id = value(_tag_id, strawberry.ID | None, "The id of a tag that was put on or taken off.")
    tag_name: str | None = column("Its name.")
    level_from = value(partial(_level, end="from"), str | None, "The code of the level that was left.")
    level_to = value(partial(_level, end="to"), str | None, "The code of the level that was come to.")
    detail: JSON | None = column("The properties of an event; of a change, the fields and codes it touched.")


@strawberry.type(description="One thing that happened to me; what its kind has not is null.")
class MyTimelineEntry:
    kind: TimelineKind = column("What it is.")
    at: datetime = column("When it happened.")
    name: str = column(
        "The event's name, an order's or a redemption's state now, a transfer's kind, or what was done, such as ADDED."
    )
    content: str | None = column("The content of an event.")
    product: str | None = column("The product of an event, or the gift of a redemption.")
    number: str | None = column("The number of an order or a redemption, or the order an event names.")
    item_count: int | None = column("How many pieces an order or a redemption holds.")
    amount = value(_amount, Money | None, "What an order costs in money, or a redemption besides points.")
    points: Int64 | None = column("What a transfer did to my points.")
    growth: Int64 | None = column("What a transfer did to my growth.")
    balance: Int64 | None = column("What I could spend after a transfer.")
    reason: str | None = column("Why a transfer was made.")
    level_from = value(partial(_level, end="from"), str | None, "The code of the level I left.")
    level_to = value(partial(_level, end="to"), str | None, "The code of the level I came to.")


@strawberry.type(description="How often something was done.")
class NameCount:
    name: str = column("The event's name.")
    count: int = column("How often.")


@strawberry.type(description="What a fan did within some natural days of their brand, today among them.")
class Activity:
    days: int = column("How many days: 1, 7 or 30.")
    count: int = column("How many events in all.")
    names: list[NameCount] = column("How many of each name, the most frequent first.", size=20)


@strawberry.type
class TimelineQuery:
    timeline = query(timeline.list_timeline, Connection[TimelineEntry], permission="fan:read")


@strawberry.type
class FanTimelineQuery:
    my_timeline = query(timeline.my_timeline, Connection[MyTimelineEntry], permission="me:read")
