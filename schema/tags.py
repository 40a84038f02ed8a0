"""Tags and who carries them."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.tags.models import TagKind, TagSource
from domain.tenancy.queries import brand_of_each
from resolvers import tags, tenancy
from schema.arguments import enum_type
from schema.bind import Node, Payload, column, entity, mutation, query, relation, value
from schema.ids import encode
from schema.page import Connection
from schema.sql import id_text
from schema.tenancy import Brand

if TYPE_CHECKING:
    from schema.fans import Fan

enum_type(TagKind)
enum_type(TagSource)
Fans = list[Annotated["Fan", strawberry.lazy("schema.fans")]]


@entity("A tag (标签), of one brand or of the whole group.")
class Tag(Node):
    name: str = column("Its name.")
    kind: TagKind = column("Where it comes from.")
    category: str | None = column("The category it is filed under.")
    color: str | None = column("The colour it is shown in.")
    description: str | None = column("What it means.")
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)


@strawberry.type(description="A tag as one fan carries it.")
class FanTag:
    tag_id = value(
        lambda row: encode("Tag", row.tag_id),
        strawberry.ID,
        "The tag's id.",
        sql=partial(id_text, "Tag", name="tag_id"),
    )
    name: str = column("The tag's name.")
    kind: TagKind = column("Where the tag comes from.")
    category: str | None = column("The category the tag is filed under.")
    color: str | None = column("The colour the tag is shown in.")
    count: int = column("How often it was put on.")
    weight: float = column("How much it weighs.")
    source: TagSource = column("What put it on first.")
    first_at: datetime = column("When it was put on first.")
    last_at: datetime = column("When it was put on last.")


@strawberry.type(description="What createTag answers.")
class CreateTagPayload(Payload):
    tag: Tag | None = column("The tag that was made.")


@strawberry.type(description="What addFanTags answers.")
class AddFanTagsPayload(Payload):
    fans: Fans | None = column("The fans with their tags as they are now.", size=1)


@strawberry.type(description="What removeFanTags answers.")
class RemoveFanTagsPayload(Payload):
    fans: Fans | None = column("The fans with their tags as they are now.", size=1)
    removed_count: int | None = column("How many tags were taken off.")


@strawberry.type
class TagsQuery:
    tags = query(tags.list_tags, Connection[Tag], permission="tag:read", cut=tags.cut_tags)


@strawberry.type
class TagsMutation:
    create_tag = mutation(tags.create_tag, CreateTagPayload, permission="tag:write")
    add_fan_tags = mutation(tags.add_fan_tags, AddFanTagsPayload, permission="tag:write", rows="fanIds")
    remove_fan_tags = mutation(tags.remove_fan_tags, RemoveFanTagsPayload, permission="tag:write", rows="fanIds")
