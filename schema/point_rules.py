"""What a brand gives points and growth for."""

from datetime import datetime

import strawberry

from domain.points.earning.models import Basis, Beneficiary, Frequency
from domain.points.earning.presets import Preset
from domain.tenancy.queries import brand_of_each
from resolvers import point_rules, tenancy
from schema.arguments import enum_type
from schema.bind import Node, Payload, column, entity, mutation, query, relation
from schema.page import Connection
from schema.scalars import Int64
from schema.tenancy import Brand

for enum in (Basis, Beneficiary, Frequency, Preset):
    enum_type(enum)


@entity("What a brand gives points (积分) and growth (成长值) for (积分规则).")
class PointRule(Node):
    code: str = column("Its code in the brand.")
    name: str = column("What it is called.")
    module: str = column("Where it is filed.")
    event: str = column("What earns: the name of an event, or order_paid or order_received of orders.")
    order_source: str | None = column("For orders: the only source system it is about; null for all.")
    basis: Basis = column("What its points and growth are for.")
    points: Int64 = column("How many points it gives.")
    growth: Int64 = column("How much growth it gives.")
    per_amount: Int64 | None = column("By amount: how much money earns once, in minor units (分) of its currency.")
    frequency: Frequency = column("How often a fan earns by it.")
    beneficiary: Beneficiary = column("Who earns.")
    daily_points_cap: Int64 | None = column("The most points a fan earns by it in a natural day; null for no cap.")
    daily_growth_cap: Int64 | None = column("The most growth a fan earns by it in a natural day; null for no cap.")
    monthly_points_cap: Int64 | None = column("The most points a fan earns by it in a month; null for no cap.")
    monthly_growth_cap: Int64 | None = column("The most growth a fan earns by it in a month; null for no cap.")
    delay_days: int = column("How many natural days after the deed, of orders their receipt, it is granted.")
    starts_at: datetime = column("What happened before earns nothing.")
    ends_at: datetime | None = column("What happens from then on earns nothing; null for no end.")
    enabled: bool = column("Whether it counts.")
    version: int = column("How often it was said, from 1.")
    created_at: datetime = column("When it was made.")
    updated_at: datetime = column("When it was changed last.")
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)


@strawberry.type(description="What createPointRule answers.")
class CreatePointRulePayload(Payload):
    rule: PointRule | None = column("The rule that was made.")


@strawberry.type(description="What updatePointRule answers.")
class UpdatePointRulePayload(Payload):
    rule: PointRule | None = column("The rule as it is now.")


@strawberry.type(description="What disablePointRule answers.")
class DisablePointRulePayload(Payload):
    rule: PointRule | None = column("The rule as it is now.")


@strawberry.type(description="What installPointsProgramme answers.")
class InstallPointsProgrammePayload(Payload):
    rules: list[PointRule] | None = column("All rules of the programme, as they are now.", size=10)
    created: list[str] | None = column("The codes of those that were made; the others were there.", size=1)


@strawberry.type
class PointRulesQuery:
    point_rules = query(
        point_rules.list_point_rules,
        Connection[PointRule],
        permission="point_rule:read",
        cut=point_rules.cut_point_rules,
    )


@strawberry.type
class PointRulesMutation:
    create_point_rule = mutation(point_rules.create_point_rule, CreatePointRulePayload, permission="point_rule:write")
    update_point_rule = mutation(point_rules.update_point_rule, UpdatePointRulePayload, permission="point_rule:write")
    disable_point_rule = mutation(
        point_rules.disable_point_rule, DisablePointRulePayload, permission="point_rule:write"
    )
    install_points_programme = mutation(
        point_rules.install_points_programme, InstallPointsProgrammePayload, permission="point_rule:write"
    )
