"""What fans were granted by the rules of a brand, and what cut it."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from domain.points.earning.rules import Cap
from resolvers import point_grants, point_rules
from schema.arguments import enum_type
from schema.bind import Payload, column, mutation, query, relation, value
from schema.ids import encode
from schema.page import Connection
from schema.point_rules import PointRule
from schema.scalars import Int64

if TYPE_CHECKING:
    from schema.fans import Fan

enum_type(Cap)
OneFan = Annotated["Fan", strawberry.lazy("schema.fans")]


@strawberry.type(description="What made a grant smaller than its rule wanted (上限).")
class PointCut:
    cap: Cap = strawberry.field(description="Which cap, or that the fan has earned by the rule as often as they may.")
    resets_at: datetime | None = strawberry.field(description="When it gives room again; null where it never does.")


def _cuts(row: Any) -> list[PointCut]:
    return [PointCut(cap=Cap(cut["cap"]), resets_at=_moment(cut["resetsAt"])) for cut in row.cuts or ()]


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _named(kind: str, column_name: str) -> Any:
    def read(row: Any) -> str | None:
        number = getattr(row, column_name)
        return None if number is None else encode(kind, number)

    return read


@strawberry.type(description="What one deed earned a fan by one rule (积分发放): wanted, granted, taken back since.")
class PointGrant:
    event: str = column("What earned it: the name of an event, or order_paid or order_received of an order.")
    event_id = value(_named("FanEvent", "event_id"), strawberry.ID | None, "The event; null where it was none.")
    order_id = value(_named("Order", "order_id"), strawberry.ID | None, "The order; null where it was none.")
    occurred_at: datetime = column("When that was.")
    day: date = column("The natural day of the brand it counts in.")
    desired_points: Int64 = column("How many points the rule wanted to give.")
    desired_growth: Int64 = column("How much growth the rule wanted to give.")
    granted_points: Int64 = column("How many points were granted.")
    granted_growth: Int64 = column("How much growth was granted.")
    cuts = value(_cuts, list[PointCut], "What made it less than the rule wanted.", size=2)
    available_at: datetime | None = column("From when it can be spent; null where that was at once.")
    taken_points: Int64 = column("How many points were to be taken back since, by refunds or for cheating.")
    taken_growth: Int64 = column("How much growth was to be taken back since.")
    reversed_at: datetime | None = column("When all of it was taken back for cheating; null where it was not.")
    created_at: datetime = column("When it was granted.")
    rule = relation(point_rules.rules_of, PointRule | None, permission="point_rule:read")
    fan = relation(point_grants.fans_of, OneFan | None, permission="fan:read")


@strawberry.type(description="What earnPoints answers.")
class EarnPointsPayload(Payload):
    grant: PointGrant | None = column("What was granted and what cut it; in a dry run, as it would be.")
    balance: Int64 | None = column("What the fan may spend right after.")
    growth: Int64 | None = column("The fan's growth right after.")
    replayed: bool | None = column("Whether this is the answer an earlier request with the same key got.")


@strawberry.type(description="What reverseRegistration answers.")
class ReverseRegistrationPayload(Payload):
    grants: list[PointGrant] | None = column("What was granted for it; in a dry run, as it would be.", size=3)
    points: Int64 | None = column("How many points went: cancelled, taken, or owed now.")
    growth: Int64 | None = column("How much growth went.")
    left_points: Int64 | None = column("How many points the programme leaves with the fans.")
    left_growth: Int64 | None = column("How much growth the programme leaves with the fans.")
    replayed: bool | None = column("Whether this is the answer an earlier request with the same key got.")


@strawberry.type
class PointGrantsQuery:
    point_grants = query(point_grants.list_point_grants, Connection[PointGrant], permission="point_grant:read")


@strawberry.type
class PointGrantsMutation:
    earn_points = mutation(point_grants.earn_points, EarnPointsPayload, permission="points:earn")
    reverse_registration = mutation(
        point_grants.reverse_registration, ReverseRegistrationPayload, permission="points:reverse"
    )
