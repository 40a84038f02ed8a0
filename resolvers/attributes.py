"""Attributes of brands, and what fans have of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from authz.viewer import FanViewer
from domain.access.rules import Node
from domain.attributes import queries, service
from domain.attributes.models import Attribute
from domain.attributes.rules import AttributeValue, Shown
from domain.attributes.service import MAX_FANS, MAX_VALUES, AttributeChange, NewAttribute
from domain.errors import BadInput, Forbidden, NotFound
from domain.fans.models import Fan
from domain.fans.queries import fans_by_id, get_fan
from domain.ids import BrandId, FanId
from domain.inputs import said
from domain.page import Page, PageArgs, Window
from domain.tenancy.queries import brands_by_id
from resolvers.context import Context

DEFINE, WRITE = "attribute:write", "fan:write"


async def list_attributes(context: Context, *, page: PageArgs, brand_id: BrandId | None = None) -> Page[Attribute]:
    """List the attributes of the brands whose fans the caller may see, those put away too."""
    async with context.reading() as session:
        return await queries.list_attributes(session, context.scope, page, brand_id)


def cut_attributes(context: Context, *, page: PageArgs, brand_id: BrandId | None = None) -> Window:
    """Return the page of `list_attributes` before it is read."""
    return queries.cut_attributes(context.scope, page, brand_id)


async def fan_attributes_of(context: Context, fans: Sequence[Fan], *, first: int = 50) -> Sequence[list[Shown]]:
    """What they have of the brand's own attributes, in the order these were made."""
    async with context.reading() as session:
        found = await queries.fan_attributes_by_fan(session, [fan.id for fan in fans], first)
    return [found.get(fan.id, []) for fan in fans]


async def own_attributes_of(context: Context, fans: Sequence[Fan], *, first: int = 50) -> Sequence[list[Shown]]:
    """The attributes the brand shows to its fans, each with my own value."""
    async with context.reading() as session:
        return [await queries.own_attributes(session, fan.brand_id, fan.id, first) for fan in fans]


async def create_attribute(context: Context, input: NewAttribute) -> dict[str, Any]:
    """Make an attribute for a brand."""
    async with context.transaction() as session:
        brand = (await brands_by_id(session, context.scope, [input.brand_id])).get(input.brand_id)
        if brand is None:
            raise NotFound("No such brand.", field=("input", "brandId"))
        _check_owner(context, brand.group_id, brand.id)
        made = await service.create_attribute(session, context.viewer.principal, brand, input)
        return {"attribute": (await queries.attributes_by_id(session, context.scope, [made])).get(made)}


async def update_attribute(context: Context, input: AttributeChange) -> dict[str, Any]:
    """Change an attribute of a brand. Its key and its type stay."""
    async with context.transaction() as session:
        wanted = input.attribute_id
        attribute = (await queries.attributes_by_id(session, context.scope, [wanted])).get(wanted)
        if attribute is None:
            raise NotFound(field=("input", "attributeId"))
        _check_owner(context, attribute.group_id, attribute.brand_id)
        await service.update_attribute(session, context.viewer.principal, attribute, input)
        return {"attribute": (await queries.attributes_by_id(session, context.scope, [wanted])).get(wanted)}


def _check_owner(context: Context, group_id: int, brand_id: int) -> None:
    if not context.scope.holds(DEFINE, Node(group_id, brand_id)):
        raise Forbidden("A brand's attributes are made by those who may define them in the whole brand.")


@dataclass(frozen=True)
class FanAttributes:
    """Values (at most 20) to give to fans (at most 250), all of them to each."""

    fan_ids: list[FanId] = said("The fans, 1 to 250, each once.")
    values: list[AttributeValue] = said("The values, 1 to 20, each of another attribute.")


@dataclass(frozen=True)
class OwnAttributes:
    """Values (at most 20) of one's own."""

    values: list[AttributeValue] = said("The values, 1 to 20, each of another attribute.")


async def set_fan_attributes(context: Context, input: FanAttributes) -> dict[str, Any]:
    """Give fans values of their brand's attributes, or take values away. All or nothing."""
    if not 1 <= len(input.fan_ids) <= MAX_FANS or len(set(input.fan_ids)) != len(input.fan_ids):
        raise BadInput(f"fanIds takes 1 to {MAX_FANS} ids, each once.", field=("input", "fanIds"))
    async with context.transaction() as session:
        fans = await fans_by_id(session, context.scope, input.fan_ids, WRITE)
        for place, wanted in enumerate(input.fan_ids):
            if wanted not in fans:
                raise NotFound(field=("input", "fanIds", str(place)))
        known = await _known(context, session, input.values, WRITE)
        chosen = [fans[wanted] for wanted in input.fan_ids]
        await service.set_fan_attributes(session, context.viewer.principal, chosen, known, input.values)
    return {"fans": chosen}


async def set_my_attributes(context: Context, input: OwnAttributes) -> dict[str, Any]:
    """Set the caller's own values of attributes that fans may set, or take them away."""
    if not isinstance(context.viewer, FanViewer):
        raise Forbidden("Only a fan has values of their own.")
    async with context.transaction() as session:
        fan = await get_fan(session, context.scope, context.viewer.fan_id)
        known = await _known(context, session, input.values, "fan:read", of_fans=True)
        await service.set_fan_attributes(session, context.viewer.principal, [fan], known, input.values, own=True)
    return {"me": fan}


async def _known(
    context: Context, session: Any, values: Sequence[AttributeValue], permission: str, *, of_fans: bool = False
) -> dict[int, Attribute]:
    """Return the attributes of the values. What is put away, or is not for fans to set, is not there."""
    asked = [value.attribute_id for value in values]
    if not 1 <= len(asked) <= MAX_VALUES or len(set(asked)) != len(asked):
        message = f"values takes 1 to {MAX_VALUES} values, each of another attribute."
        raise BadInput(message, field=("input", "values"))
    found = await queries.attributes_by_id(session, context.scope, asked, permission)
    for place, wanted in enumerate(asked):
        attribute = found.get(wanted)
        if attribute is None or attribute.archived_at is not None or (of_fans and not attribute.fan_writable):
            raise NotFound(field=("input", "values", str(place), "attributeId"))
    return found
