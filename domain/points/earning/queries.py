"""Reads of rules. A brand's rules are known at its dealers too."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.ids import BrandId
from domain.inputs import said
from domain.page import Page, PageArgs, Sort, Window, read, window
from domain.points.earning.models import PointRule
from domain.scope import Scope
from domain.tables import table_of

READ = "point_rule:read"
rules = table_of(PointRule)
BY_ID = Sort("id", (rules.c.id,))


@dataclass(frozen=True)
class PointRuleFilter:
    """Conditions on rules; all given ones must hold."""

    brand_id: BrandId | None = said("Rules of this brand.", None)
    code: str | None = said("Rules of this code.", None)
    module: str | None = said("Rules filed here.", None)
    event: str | None = said("Rules about this event.", None)
    enabled: bool | None = said("Only those that count, or only those that do not.", None)


async def rules_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int]) -> dict[int, PointRule]:
    return await reads.by_id(session, scope.where_shared(READ, rules), PointRule, ids)


async def rules_by_code(session: AsyncSession, scope: Scope, brand_id: int, codes: Iterable[str]) -> list[PointRule]:
    """Return the brand's rules of these codes that the caller may see, oldest first."""
    named = select_rules(scope).where(rules.c.brand_id == brand_id, rules.c.code.in_(sorted(codes)))
    return await reads.rows(session, named.order_by(rules.c.id), PointRule)


def select_rules(scope: Scope) -> Select[Any]:
    """Select the rules the caller may read."""
    return select(rules).where(scope.where_shared(READ, rules))


async def list_rules(
    session: AsyncSession, scope: Scope, args: PageArgs, wanted: PointRuleFilter | None
) -> Page[PointRule]:
    """Return a page of the rules the caller may read and that meet the filter, oldest first."""
    return await read(session, cut_rules(scope, args, wanted))


def cut_rules(scope: Scope, args: PageArgs, wanted: PointRuleFilter | None) -> Window:
    """Return the page of `list_rules` before it is read."""
    statement = select_rules(scope)
    for name, value in vars(wanted).items() if wanted is not None else ():
        if value is not None:
            statement = statement.where(rules.c[name] == value)
    return window(statement, BY_ID, args)


def rule_of_each(scope: Scope, row: Any) -> Select[Any]:
    """Select the rule that a row of an outer statement refers to, where the caller may see it."""
    return select_rules(scope).where(rules.c.id == row.c.rule_id).correlate(row)
