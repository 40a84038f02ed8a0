"""What a brand wants to know of its fans beyond the profile everybody has."""

from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.attributes.models import AttributeType
from domain.tenancy.queries import brand_of_each
from resolvers import attributes, tenancy
from schema.arguments import enum_type
from schema.bind import Node, Payload, column, entity, mutation, query, relation, value
from schema.ids import encode
from schema.page import Connection
from schema.sql import id_text
from schema.tenancy import Brand

if TYPE_CHECKING:
    from schema.fans import Fan, Me

enum_type(AttributeType)
Fans = list[Annotated["Fan", strawberry.lazy("schema.fans")]]


@entity("What a brand wants to know of its fans (自定义属性).")
class Attribute(Node):
    key: str = column("Its key for programs.")
    name: str = column("Its name.")
    type: AttributeType = column("What its values are.")
    choices: list[str] = column("What can be chosen of, for CHOICE and CHOICES.")
    description: str | None = column("What it means.")
    fan_visible: bool = column("Whether fans see their own value.")
    fan_writable: bool = column("Whether fans set their own value.")
    archived_at: datetime | None = column("When it was put away, where it is.")
    created_at: datetime = column("When it was made.")
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)


@strawberry.type(description="A fan's value of an attribute, in the field of its type.")
class FanAttribute:
    attribute_id = value(
        lambda row: encode("Attribute", row.attribute_id),
        strawberry.ID,
        "The attribute's id.",
        sql=partial(id_text, "Attribute", name="attribute_id"),
    )
    key: str = column("The attribute's key.")
    name: str = column("The attribute's name.")
    type: AttributeType = column("What the value is.")
    text: str | None = column("The value of a TEXT or a CHOICE.")
    number: Decimal | None = column("The value of a NUMBER.")
    flag: bool | None = column("The value of a FLAG.")
    day: date | None = column("The value of a DAY.")
    choices: list[str] | None = column("The value of CHOICES.")


@strawberry.type(description="An attribute the brand shows to its fans, with my own value in the field of its type.")
class MyAttribute:
    attribute_id = value(lambda row: encode("Attribute", row.attribute_id), strawberry.ID, "The attribute's id.")
    key: str = column("The attribute's key.")
    name: str = column("The attribute's name.")
    type: AttributeType = column("What the value is.")
    offered: list[str] = column("What can be chosen of, for CHOICE and CHOICES.")
    writable: bool = column("Whether I may set it.")
    text: str | None = column("The value of a TEXT or a CHOICE.")
    number: Decimal | None = column("The value of a NUMBER.")
    flag: bool | None = column("The value of a FLAG.")
    day: date | None = column("The value of a DAY.")
    choices: list[str] | None = column("The value of CHOICES.")


@strawberry.type(description="What createAttribute answers.")
class CreateAttributePayload(Payload):
    attribute: Attribute | None = column("The attribute that was made.")


@strawberry.type(description="What updateAttribute answers.")
class UpdateAttributePayload(Payload):
    attribute: Attribute | None = column("The attribute as it is now.")


@strawberry.type(description="What setFanAttributes answers.")
class SetFanAttributesPayload(Payload):
    fans: Fans | None = column("The fans with their attributes as they are now.", size=1)


@strawberry.type(description="What setMyAttributes answers.")
class SetMyAttributesPayload(Payload):
    me: Annotated["Me", strawberry.lazy("schema.fans")] | None = column("The caller as they are now.")


@strawberry.type
class AttributesQuery:
    attributes = query(
        attributes.list_attributes, Connection[Attribute], permission="fan:read", cut=attributes.cut_attributes
    )


@strawberry.type
class AttributesMutation:
    create_attribute = mutation(attributes.create_attribute, CreateAttributePayload, permission="attribute:write")
    update_attribute = mutation(attributes.update_attribute, UpdateAttributePayload, permission="attribute:write")
    set_fan_attributes = mutation(
        attributes.set_fan_attributes, SetFanAttributesPayload, permission="fan:write", rows="fanIds"
    )


@strawberry.type
class FanAttributesMutation:
    set_my_attributes = mutation(attributes.set_my_attributes, SetMyAttributesPayload, permission="me:write")
