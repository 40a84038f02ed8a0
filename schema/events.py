"""What fans do: events, what they are defined as, and following."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.scalars import JSON

from domain.events.definitions import properties_of
from domain.events.ingest import EventOutcome
from domain.events.models import FollowKind, SchemaMode
from domain.events.rules import PropertyType
from domain.fans.queries import fan_of_each
from domain.tenancy.queries import account_of_each, brand_of_each
from resolvers import events, tenancy
from schema.arguments import enum_type
from schema.bind import Node, Payload, column, entity, mutation, query, relation, value
from schema.errors import UserError, problem_error
from schema.ids import encode
from schema.page import Connection
from schema.tenancy import Brand, ChannelAccount

if TYPE_CHECKING:
    from schema.fans import Fan

for enum in (EventOutcome, FollowKind, PropertyType, SchemaMode):
    enum_type(enum)
OneFan = Annotated["Fan", strawberry.lazy("schema.fans")]


@strawberry.type(description="Where an event is not as its definition says.")
class EventViolation:
    field: str = strawberry.field(description="The part of the event, such as `properties.sku`.")
    message: str = strawberry.field(description="What is wrong with it.")


def _stored_violations(row: Any) -> list[EventViolation]:
    return [EventViolation(field=one["field"], message=one["message"]) for one in row.violations or ()]


def _new_violations(row: Any) -> list[EventViolation]:
    return [EventViolation(field=one.field, message=one.message) for one in row.violations]


@entity("Something a fan did (行为事件).")
class FanEvent(Node):
    name: str = column("What was done.")
    occurred_at: datetime = column("When it happened.")
    received_at: datetime = column("When it was received.")
    clamped: bool = column("Whether its own time lay in the future and was put back to when it was received.")
    content: str | None = column("The content it was about.")
    product: str | None = column("The product it was about.")
    campaign: str | None = column("The campaign it belongs to.")
    scene: str | None = column("The scene of the QR code or the link that led to it.")
    order_reference: str | None = column("The number of the order it is about.")
    properties: JSON = column("What else is known.")
    violations = value(_stored_violations, list[EventViolation], "Where it is not as defined.", size=1)
    account = relation(tenancy.accounts_of, ChannelAccount | None, each=account_of_each)
    fan = relation(events.fans_of, OneFan | None, permission="fan:read", each=fan_of_each)


@strawberry.type(description="One time a fan followed an account of the brand, or left it.")
class Follow:
    kind: FollowKind = column("Which way they went.")
    at: datetime = column("When.")
    scene: str | None = column("The scene of the QR code or the link that led to it.")
    account = relation(tenancy.accounts_of, ChannelAccount | None, each=account_of_each)


@strawberry.type(description="One property of an event as its definition says it.")
class EventProperty:
    name: str = column("Its name.")
    type: PropertyType = column("What it holds.")
    required: bool = column("Whether every such event has it.")
    choices: list[str] = column("What a STRING may be; anything where there are none.", size=1)


@entity("What a brand's events of one name carry.")
class EventDefinition(Node):
    name: str = column("The events' name.")
    description: str | None = column("What it means.")
    mode: SchemaMode = column("What becomes of an event that is not so.")
    properties = value(properties_of, list[EventProperty], "What they carry.", size=10)
    from_fans: bool = column("Whether fans' own devices may send it.")
    version: int = column("How often it was said, from 1.")
    created_at: datetime = column("When it was said first.")
    updated_at: datetime = column("When it was said last.")
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)


def _problems(row: Any) -> list[UserError]:
    return [problem_error(["input", "events", str(row.index)], problem) for problem in row.problems]


@strawberry.type(description="What came of one event of trackEvents.")
class TrackedEvent:
    index: int = column("The event's place in the input, from 0.")
    outcome: EventOutcome = column("What came of it.")
    clamped: bool = column("Whether its own time lay in the future and was put back to now.")
    violations = value(_new_violations, list[EventViolation], "Where it is not as defined.", size=1)
    event: FanEvent | None = column("The event, where it was stored and the caller may read it.")
    user_errors = value(_problems, list[UserError], "Why it was rejected.", size=1)


@strawberry.type(description="What came of one event of trackMyEvents.")
class MyTrackedEvent:
    index: int = column("The event's place in the input, from 0.")
    outcome: EventOutcome = column("What came of it.")
    user_errors = value(_problems, list[UserError], "Why it was rejected.", size=1)


@strawberry.type(description="What trackEvents answers.")
class TrackEventsPayload(Payload):
    results: list[TrackedEvent] | None = column("What came of each event, in the order of the input.", size=1)


@strawberry.type(description="What trackMyEvents answers.")
class TrackMyEventsPayload(Payload):
    results: list[MyTrackedEvent] | None = column("What came of each event, in the order of the input.", size=1)


@strawberry.type(description="What defineEvent answers.")
class DefineEventPayload(Payload):
    definition: EventDefinition | None = column("The definition as it is now.")


@strawberry.type(description="What removeEventDefinition answers.")
class RemoveEventDefinitionPayload(Payload):
    removed_id = value(
        lambda row: None if row.removed_id is None else encode("EventDefinition", row.removed_id),
        strawberry.ID | None,
        "The id of the definition that was there.",
    )


@strawberry.type
class EventsQuery:
    event_definitions = query(
        events.list_event_definitions,
        Connection[EventDefinition],
        permission="event:read",
        cut=events.cut_event_definitions,
    )
    events = query(events.list_events, Connection[FanEvent], permission="event:read", cut=events.cut_events)


@strawberry.type
class EventsMutation:
    track_events = mutation(events.track_events, TrackEventsPayload, permission="event:write", rows="events")
    define_event = mutation(events.define_event, DefineEventPayload, permission="event_definition:write")
    remove_event_definition = mutation(
        events.remove_event_definition, RemoveEventDefinitionPayload, permission="event_definition:write"
    )


@strawberry.type
class FanEventsMutation:
    track_my_events = mutation(events.track_my_events, TrackMyEventsPayload, permission="me:write", rows="events")
