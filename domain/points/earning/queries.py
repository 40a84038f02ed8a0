"""Reads of rules and of what was granted by them. A brand's rules are known at its dealers too, grants with the fan."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.compiled import Among, Compiled
from domain.fans.models import Fan
from domain.ids import BrandId
from domain.inputs import said
from domain.looks import Asked
from domain.page import Page, PageArgs, Sort, Window, paginate, read, window
from domain.points.earning.models import PointGrant, PointRule
from domain.scope import Scope, TenantSet
from domain.tables import table_of

READ, READ_GRANTS = "point_rule:read", "point_grant:read"
rules, grants, fans = table_of(PointRule), table_of(PointGrant), table_of(Fan)
BY_ID = Sort("id", (rules.c.id,))
NEWEST_GRANT = Sort("granted", (grants.c.id,), descending=True)


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
    one = rules_among(scope, brand_id, codes)
    return list(await one.select.rows(session, **one.values))


def rules_among(scope: Scope, brand_id: int, codes: Iterable[str]) -> Asked:
    """Ask for what `rules_by_code` returns, beside other things."""
    return Asked(_select_rules(scope.nodes(READ)), {"brand": brand_id, "codes": sorted(codes)})


@lru_cache(maxsize=200)
def _select_rules(nodes: TenantSet) -> Compiled:
    def build(among: Among) -> Select[Any]:
        mine = (rules.c.brand_id == bindparam("brand"), among(rules.c.code, "codes"))
        return select(rules).where(nodes.where_shared(rules), *mine).order_by(rules.c.id)

    return Compiled(build)


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


async def list_grants(session: AsyncSession, scope: Scope, fan_id: int, args: PageArgs) -> Page[PointGrant]:
    """Return a page of what a fan the caller may see was granted, newest first."""
    mine = _grants(scope.nodes(READ_GRANTS)).where(grants.c.fan_id == fan_id)
    return await paginate(session, mine, NEWEST_GRANT, args)


async def grants_by_id(
    session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = READ_GRANTS
) -> dict[int, PointGrant]:
    """Return what was granted to fans for whom the caller has the permission."""
    nodes, wanted = scope.nodes(permission), sorted(set(ids))
    if nodes.fans:
        # a statement of a fan's own would be compiled for them alone
        of = _grants(nodes).where(grants.c.id.in_(wanted))
        return {row.id: row for row in await reads.rows(session, of, PointGrant)}
    return {row.id: row for row in await _select_grants(nodes).rows(session, ids=wanted)}


@lru_cache(maxsize=200)
def _select_grants(nodes: TenantSet) -> Compiled:
    return Compiled(lambda among: _grants(nodes).where(among(grants.c.id, "ids")))


def _grants(nodes: TenantSet) -> Select[Any]:
    return select(grants).join(fans, fans.c.id == grants.c.fan_id).where(nodes.where(fans))
