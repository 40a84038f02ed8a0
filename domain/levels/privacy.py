"""What levels hold about a fan."""

from typing import Any

from sqlalchemy import Select, select

from domain.levels.models import FanLevel, Level
from domain.privacy.subject import Holding, Subject, deletes, shows
from domain.tables import table_of

fan_levels, levels = table_of(FanLevel), table_of(Level)


def _level(subject: Subject) -> Select[Any]:
    columns = (fan_levels.c.fan_id, levels.c.code, levels.c.name, fan_levels.c.since, fan_levels.c.valid_until)
    joined = select(*columns, fan_levels.c.deducted).outerjoin_from(
        fan_levels, levels, levels.c.id == fan_levels.c.level_id
    )
    return joined.where(fan_levels.c.fan_id == subject.fan_id)


HOLDING = Holding(
    tables=("fan_levels",), sections={"level": shows(_level, (fan_levels.c.fan_id,))}, erase=(deletes(fan_levels),)
)
