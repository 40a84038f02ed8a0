"""What custom attributes hold about a fan."""

from typing import Any

from sqlalchemy import Select, select

from domain.attributes.models import Attribute, FanAttribute
from domain.privacy.subject import Holding, Subject, deletes, shows
from domain.tables import table_of

values, attributes = table_of(FanAttribute), table_of(Attribute)


def _values(subject: Subject) -> Select[Any]:
    columns = (values.c.attribute_id, values.c.item, attributes.c.name, attributes.c.type)
    said = (values.c.text, values.c.number, values.c.updated_at)
    joined = select(*columns, *said).join(attributes, attributes.c.id == values.c.attribute_id)
    return joined.where(values.c.fan_id == subject.fan_id)


HOLDING = Holding(
    tables=("fan_attributes",),
    sections={"attributes": shows(_values, (values.c.attribute_id, values.c.item))},
    erase=(deletes(values),),
)
