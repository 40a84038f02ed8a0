"""Tags and who carries them."""

from collections.abc import Sequence
from typing import Any

from domain.errors import BadInput, Forbidden, NotFound
from domain.fans.changing import fans_to_change
from domain.fans.models import Fan
from domain.ids import BrandId
from domain.page import Page, PageArgs, Window
from domain.tags import queries, service
from domain.tags.models import FanTag, Tag, TagSource
from domain.tags.service import FanTagging, NewTag
from domain.tenancy.queries import brands_by_id
from resolvers.context import Context

WRITE = "tag:write"


async def list_tags(context: Context, *, page: PageArgs, brand_id: BrandId | None = None) -> Page[Tag]:
    """List the tags the caller may read: the group's, and those of their brands."""
    async with context.reading() as session:
        return await queries.list_tags(session, context.scope, page, brand_id)


def cut_tags(context: Context, *, page: PageArgs, brand_id: BrandId | None = None) -> Window:
    """Return the page of `list_tags` before it is read."""
    return queries.cut_tags(context.scope, page, brand_id)


async def fan_tags_of(context: Context, fans: Sequence[Fan], *, first: int = 20) -> Sequence[list[FanTag]]:
    """The tags they carry, heaviest first."""
    readable = [fan.id for fan in fans if context.scope.holds(queries.PERMISSION, fan)]
    async with context.reading() as session:
        found = await queries.fan_tags_by_fan(session, context.scope, readable, first)
    return [found.get(fan.id, []) for fan in fans]


async def create_tag(context: Context, input: NewTag) -> dict[str, Any]:
    """Make a tag for a brand, or for the whole group."""
    group_id = context.scope.group_id
    if group_id is None:
        raise Forbidden
    async with context.transaction() as session:
        await _check_owner(context, session, group_id, input.brand_id)
        tag_id = await service.create_tag(session, context.viewer.principal, group_id, input)
        return {"tag": (await queries.tags_by_id(session, context.scope, [tag_id])).get(tag_id)}


async def _check_owner(context: Context, session: Any, group_id: int, brand_id: int | None) -> None:
    nodes = context.scope.nodes(WRITE)
    if brand_id is None:
        if group_id not in nodes.groups:
            raise Forbidden("A group-wide tag is made by those who may write tags in the whole group.")
    elif brand_id not in await brands_by_id(session, context.scope, [brand_id]):
        raise NotFound("No such brand.", field=("input", "brandId"))
    elif brand_id not in nodes.brands and group_id not in nodes.groups:
        raise Forbidden("A brand's tag is made by those who may write tags in the whole brand.")


async def add_fan_tags(context: Context, input: FanTagging) -> dict[str, Any]:
    """Put tags on fans; a tag that is there already counts once more. All or nothing."""
    async with context.transaction() as session:
        fans, tags = await _wanted(context, session, input)
        await service.add_fan_tags(session, context.viewer.principal, fans, tags, TagSource.MANUAL)
    return {"fans": fans}


async def remove_fan_tags(context: Context, input: FanTagging) -> dict[str, Any]:
    """Take tags from fans. All or nothing; a tag that is not there is no error."""
    async with context.transaction() as session:
        fans, tags = await _wanted(context, session, input)
        removed = await service.remove_fan_tags(session, context.viewer.principal, fans, tags)
    return {"fans": fans, "removed_count": removed}


async def _wanted(context: Context, session: Any, input: FanTagging) -> tuple[list[Fan], list[Tag]]:
    service.check_size(input)
    fans = await fans_to_change(session, context.scope, input.fan_ids, WRITE)
    tags = await queries.tags_by_id(session, context.scope, input.tag_ids, WRITE)
    for name, ids, found in (("fanIds", input.fan_ids, fans), ("tagIds", input.tag_ids, tags)):
        for position, wanted in enumerate(ids):
            if wanted not in found:
                raise NotFound(field=("input", name, str(position)))
    if len({fan.id for fan in fans.values()}) != len(input.fan_ids) or len(tags) != len(input.tag_ids):
        raise BadInput("An id stands twice.", field=("input",))
    return [fans[wanted] for wanted in input.fan_ids], [tags[wanted] for wanted in input.tag_ids]
