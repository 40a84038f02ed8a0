"""What a brand gives points and growth for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.access.rules import Node
from domain.errors import Forbidden, NotFound
from domain.ids import BrandId, PointRuleId
from domain.inputs import said
from domain.page import Page, PageArgs, Window
from domain.points.earning import presets, queries, service
from domain.points.earning.models import PointRule
from domain.points.earning.presets import Preset
from domain.points.earning.queries import PointRuleFilter
from domain.points.earning.service import NewPointRule, PointRuleChange
from domain.tenancy.models import Brand
from domain.tenancy.queries import brands_by_id
from resolvers.context import Context

WRITE = "point_rule:write"


async def list_point_rules(
    context: Context, *, page: PageArgs, filter: PointRuleFilter | None = None
) -> Page[PointRule]:
    """List what the brands the caller has to do with give points for."""
    async with context.reading() as session:
        return await queries.list_rules(session, context.scope, page, filter)


def cut_point_rules(context: Context, *, page: PageArgs, filter: PointRuleFilter | None = None) -> Window:
    """Return the page of `list_point_rules` before it is read."""
    return queries.cut_rules(context.scope, page, filter)


async def create_point_rule(context: Context, input: NewPointRule) -> dict[str, Any]:
    """Say what else a brand gives points for; it counts what happens from then on."""
    async with context.transaction() as session:
        brand = await _brand(context, session, input.brand_id)
        made = await service.create_rule(session, context.viewer.principal, brand, input)
        return {"rule": (await queries.rules_by_id(session, context.scope, [made])).get(made)}


async def update_point_rule(context: Context, input: PointRuleChange) -> dict[str, Any]:
    """Change what a brand gives points for; what was granted stays as it was."""
    return await _change(context, input)


@dataclass(frozen=True)
class PointRuleRef:
    """A rule."""

    rule_id: PointRuleId = said("The rule.")


async def disable_point_rule(context: Context, input: PointRuleRef) -> dict[str, Any]:
    """Let a rule count no more; what was granted by it stays."""
    return await _change(context, PointRuleChange(input.rule_id, enabled=False))


async def _change(context: Context, change: PointRuleChange) -> dict[str, Any]:
    async with context.transaction() as session:
        rule = (await queries.rules_by_id(session, context.scope, [change.rule_id])).get(change.rule_id)
        if rule is None:
            raise NotFound("No such rule.", field=("input", "ruleId"))
        brand = await _brand(context, session, rule.brand_id)
        await service.update_rule(session, context.viewer.principal, brand, change)
        return {"rule": (await queries.rules_by_id(session, context.scope, [rule.id])).get(rule.id)}


@dataclass(frozen=True)
class Installation:
    """A programme that is to be installed whole."""

    brand_id: BrandId = said("The brand.")
    preset: Preset = said("Which programme.")
    starts_at: datetime | None = said("What happened before earns nothing; without it, what happened before now.", None)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def install_points_programme(context: Context, input: Installation) -> dict[str, Any]:
    """Make the rules of a programme that the brand has not; those it has stay. Run again, it changes nothing."""
    async with context.transaction(dry_run=input.dry_run) as session:
        brand = await _brand(context, session, input.brand_id)
        principal = context.viewer.principal
        made = await presets.install(session, principal, brand, input.preset, input.starts_at)
        wanted = {*made.created, *made.kept}
        rules = await queries.rules_by_code(session, context.scope, brand.id, wanted)
    return {"rules": rules, "created": list(made.created)}


async def rules_of(context: Context, rows: Sequence[Any]) -> Sequence[PointRule | None]:
    """The rule it was by, where the caller may see it."""
    async with context.reading() as session:
        found = await queries.rules_by_id(session, context.scope, {row.rule_id for row in rows})
    return [found.get(row.rule_id) for row in rows]


async def _brand(context: Context, session: Any, brand_id: int) -> Brand:
    brand = (await brands_by_id(session, context.scope, [brand_id])).get(brand_id)
    if brand is None:
        raise NotFound("No such brand.", field=("input", "brandId"))
    if not context.scope.holds(WRITE, Node(brand.group_id, brand.id)):
        raise Forbidden("A brand's rules are kept by those who may write them in the whole brand.")
    return brand
