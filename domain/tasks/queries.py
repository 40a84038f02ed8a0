"""Reads of tasks: a brand's rules that count now, with how far a fan is with each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.fans.models import Fan
from domain.inputs import said
from domain.page import Page, PageArgs, Sort, paginate
from domain.points.earning.counting import usage_of
from domain.points.earning.models import PointRule
from domain.points.earning.rules import day_of, keys_of
from domain.tables import table_of
from domain.tasks.rules import Progress, progress
from domain.tenancy.models import Brand

rules, brands = table_of(PointRule), table_of(Brand)
BY_RULE = Sort("task", (rules.c.id,))


@dataclass(frozen=True)
class TaskFilter:
    """Conditions on tasks; all given ones must hold."""

    module: str | None = said("Tasks filed here.", None)
    event: str | None = said("Tasks about this event.", None)


@dataclass(frozen=True)
class Task:
    """A rule that counts now, and how far a fan is with it."""

    rule: Any
    progress: Progress

    @property
    def rule_id(self) -> int:
        return int(self.rule.id)


async def list_tasks(session: AsyncSession, fan: Fan, args: PageArgs, wanted: TaskFilter | None = None) -> Page[Task]:
    """Return a page of what a fan, who was read under the scope, can earn by today. Two statements, whatever its size.

    It reads the counters that earning is held by, so that it says what the next deed gives.
    """
    now = clock.now()
    page = await paginate(session, _in_force(fan, now, wanted), BY_RULE, args)
    return replace(page, rows=await _tasks(session, fan, page.rows, now)) if page.rows else page


def _in_force(fan: Fan, now: datetime, wanted: TaskFilter | None) -> Select[Any]:
    counts = (
        rules.c.brand_id == fan.brand_id,
        rules.c.enabled,
        rules.c.starts_at <= now,
        or_(rules.c.ends_at.is_(None), rules.c.ends_at > now),
    )
    statement = select(rules, brands.c.time_zone, brands.c.currency).join(brands, brands.c.id == rules.c.brand_id)
    for name, value in vars(wanted).items() if wanted is not None else ():
        if value is not None:
            statement = statement.where(rules.c[name] == value)
    return statement.where(*counts)


async def _tasks(session: AsyncSession, fan: Fan, rows: Sequence[Any], now: datetime) -> list[Task]:
    zone = ZoneInfo(rows[0].time_zone)
    keys = {row.id: keys_of(fan.id, row.id, day_of(now, zone)) for row in rows}
    used = await usage_of(session, {key for of_rule in keys.values() for key in of_rule})
    return [Task(row, progress(row, {key.period: used[key] for key in keys[row.id]}, now, zone)) for row in rows]
