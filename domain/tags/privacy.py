"""What tags hold about a fan."""

from sqlalchemy import Select, select

from domain.privacy.subject import Holding, Subject, deletes, shows
from domain.tables import table_of
from domain.tags.models import FanTag, Tag

fan_tags, tags = table_of(FanTag), table_of(Tag)


def _tags(subject: Subject) -> Select[tuple[object, ...]]:
    columns = (fan_tags.c.tag_id, tags.c.name, tags.c.kind, tags.c.category, fan_tags.c.count, fan_tags.c.weight)
    times = (fan_tags.c.source, fan_tags.c.first_at, fan_tags.c.last_at)
    joined = select(*columns, *times).join(tags, tags.c.id == fan_tags.c.tag_id)
    return joined.where(fan_tags.c.fan_id == subject.fan_id)


HOLDING = Holding(
    tables=("fan_tags", "fan_tag_lists"),
    sections={"tags": shows(_tags, (fan_tags.c.tag_id,))},
    erase=(deletes(fan_tags),),
    why="triggers take a list with its tags, and the fan's row takes it along",
)
