"""The task centre (任务中心): what a fan can earn today."""

from datetime import datetime
from operator import attrgetter
from typing import Any

import strawberry

from domain.points.earning.models import Basis, Beneficiary, Frequency
from domain.points.earning.rules import Cap
from resolvers import point_rules, tasks
from schema.bind import column, query, relation, value
from schema.page import Connection
from schema.point_grants import PointCut
from schema.point_rules import PointRule
from schema.scalars import Int64, Money, money


@strawberry.type(description="How often and how much was earned by a rule in some time; what gave nothing is no time.")
class TaskProgress:
    times: int = column("How often.")
    points: Int64 = column("How many points were granted.")
    growth: Int64 = column("How much growth was granted.")


@strawberry.type(description="A cap of a rule and what it leaves.")
class TaskCap:
    cap: Cap = column("Which cap.")
    limit: Int64 = column("How much a fan earns by the rule at most, in a natural day or a month of the brand.")
    left: Int64 = column("How much of it is left.")
    resets_at: datetime | None = column("When all of it is there again.")


def _of_rule(name: str, graphql_type: Any, description: str) -> Any:
    return value(attrgetter(f"rule.{name}"), graphql_type, description)


def _so_far(name: str, graphql_type: Any, description: str, *, size: int | None = None) -> Any:
    return value(attrgetter(f"progress.{name}"), graphql_type, description, size=size)


def _per_amount(task: Any) -> Money | None:
    rule = task.rule
    return None if rule.per_amount is None else money(rule.per_amount, rule.currency)


@strawberry.type(description="Something a fan can earn by today (任务), as far as what they did has been worked off.")
class Task:
    code = _of_rule("code", str, "The code of the rule.")
    name = _of_rule("name", str, "What it is called.")
    module = _of_rule("module", str, "Where it is filed.")
    event = _of_rule("event", str, "What earns: the name of an event, or order_paid or order_received of orders.")
    basis = _of_rule("basis", Basis, "What its points and growth are for.")
    points = _of_rule("points", Int64, "How many points a deed gives; by amount, each perAmount.")
    growth = _of_rule("growth", Int64, "How much growth a deed gives; by amount, each perAmount.")
    per_amount = value(_per_amount, Money | None, "By amount: how much money earns once.")
    frequency = _of_rule("frequency", Frequency, "How often it can be earned by.")
    beneficiary = _of_rule("beneficiary", Beneficiary, "Who earns: the fan who does it, or who brought them.")
    delay_days = _of_rule("delay_days", int, "How many natural days after the deed, of orders their receipt, it comes.")
    ends_at = _of_rule("ends_at", datetime | None, "Until when it counts; null for no end.")
    today = _so_far("today", TaskProgress, "What was earned by it this natural day of the brand.")
    this_month = _so_far("this_month", TaskProgress, "What was earned by it this month of the brand.")
    ever = _so_far("ever", TaskProgress, "What was earned by it in all.")
    caps = _so_far("caps", list[TaskCap], "The caps it has and what they leave.", size=4)
    available = _so_far("available", bool, "Whether one more deed now gives something.")
    next_points = value(
        attrgetter("progress.next.points"), Int64, "How many points one more deed gives now; by amount, one perAmount."
    )
    next_growth = value(attrgetter("progress.next.growth"), Int64, "How much growth one more deed gives now.")
    cuts = _so_far("cuts", list[PointCut], "What makes that less than the rule wants to give.", size=2)
    next_at = _so_far(
        "next_at",
        datetime | None,
        "When it gives something again; null where it does now, and where it never does while it counts.",
    )


@strawberry.type(description="Something a fan can earn by today, as staff see it.")
class StaffTask(Task):
    rule = relation(point_rules.rules_of, PointRule | None, permission="point_rule:read")


@strawberry.type
class TasksQuery:
    tasks = query(tasks.list_tasks, Connection[StaffTask], permission="point_grant:read")


@strawberry.type
class FanTasksQuery:
    my_tasks = query(tasks.my_tasks, Connection[Task], permission="me:read")
