"""The GraphQL contract: the staff schema and the fan schema, put together from the capabilities."""

import strawberry

from schema.access import AccessMutation, AccessQuery
from schema.attributes import AttributesMutation, AttributesQuery, FanAttributesMutation
from schema.bind import check_permissions
from schema.consents import ConsentsMutation, ConsentsQuery, FanConsentsMutation, FanConsentsQuery
from schema.events import EventsMutation, EventsQuery, FanEventsMutation
from schema.fans import FanFansMutation, FanFansQuery, FansQuery
from schema.jobs import FanJobsQuery, JobsQuery
from schema.levels import FanLevelsQuery, LevelsMutation, LevelsQuery
from schema.live import FanLiveSubscription, LiveQuery, LiveSubscription
from schema.mall import FanMallMutation, FanMallQuery, MallMutation, MallQuery
from schema.operations import OperationsQuery
from schema.orders import FanOrdersQuery, OrdersMutation, OrdersQuery
from schema.persons import PersonsMutation, PersonsQuery
from schema.point_exports import PointExportsMutation
from schema.point_grants import PointGrantsMutation, PointGrantsQuery
from schema.point_rules import PointRulesMutation, PointRulesQuery
from schema.points import FanPointsQuery, PointsMutation, PointsQuery
from schema.privacy import FanPrivacyMutation, FanPrivacyQuery, PrivacyMutation, PrivacyQuery
from schema.scalars import CONFIG
from schema.shares import SharesQuery
from schema.tags import TagsMutation, TagsQuery
from schema.tasks import FanTasksQuery, TasksQuery
from schema.tenancy import TenancyQuery
from schema.timeline import FanTimelineQuery, TimelineQuery


@strawberry.type(description="What staff and services may read.")
class Query(
    AccessQuery,
    AttributesQuery,
    ConsentsQuery,
    EventsQuery,
    FansQuery,
    JobsQuery,
    LevelsQuery,
    LiveQuery,
    MallQuery,
    OperationsQuery,
    OrdersQuery,
    PersonsQuery,
    PointGrantsQuery,
    PointRulesQuery,
    PointsQuery,
    PrivacyQuery,
    SharesQuery,
    TagsQuery,
    TasksQuery,
    TenancyQuery,
    TimelineQuery,
):
    pass


@strawberry.type(description="What staff and services may change.")
class Mutation(
    AccessMutation,
    AttributesMutation,
    ConsentsMutation,
    EventsMutation,
    MallMutation,
    LevelsMutation,
    OrdersMutation,
    PersonsMutation,
    PointExportsMutation,
    PointGrantsMutation,
    PointRulesMutation,
    PointsMutation,
    PrivacyMutation,
    TagsMutation,
):
    pass


@strawberry.type(description="What staff and services may be told of as it happens, over a WebSocket.")
class Subscription(LiveSubscription):
    pass


@strawberry.type(name="Query", description="What a fan may read: what is their own.")
class FanQuery(
    FanConsentsQuery,
    FanFansQuery,
    FanJobsQuery,
    FanMallQuery,
    FanOrdersQuery,
    FanPointsQuery,
    FanPrivacyQuery,
    FanTasksQuery,
    FanTimelineQuery,
    FanLevelsQuery,
):
    pass


@strawberry.type(name="Mutation", description="What a fan may change: what is their own.")
class FanMutation(
    FanAttributesMutation,
    FanConsentsMutation,
    FanEventsMutation,
    FanFansMutation,
    FanMallMutation,
    FanPrivacyMutation,
):
    pass


@strawberry.type(name="Subscription", description="What a fan may be told of as it happens, over a WebSocket.")
class FanSubscription(FanLiveSubscription):
    pass


def staff_schema() -> strawberry.Schema:
    """Build the schema of `/graphql`. Raises TypeError where a root field declares no permission."""
    return check_permissions(strawberry.Schema(Query, Mutation, Subscription, config=CONFIG))


def fan_schema() -> strawberry.Schema:
    """Build the schema of `/fan/graphql`. Raises TypeError where a root field declares no permission."""
    return check_permissions(strawberry.Schema(FanQuery, FanMutation, FanSubscription, config=CONFIG))
