"""Fans by their level, and the SQL it means."""

from typing import Any

from sqlalchemy import ColumnElement, and_, not_, select

from domain.levels.models import FanLevel, Level
from domain.tables import table_of

fan_levels = table_of(FanLevel)


def at_level(level: Level, fans: Any) -> ColumnElement[bool]:
    """Build the condition that a fan, of these columns, is at a level; at a brand's first are all who hold none."""
    own: ColumnElement[bool] = fans.brand_id == level.brand_id
    if level.rank == 0:
        above = select(fan_levels.c.fan_id).where(fan_levels.c.fan_id == fans.id, fan_levels.c.level_id.is_not(None))
        return own & not_(above.exists()) if level.archived_at is None else own & fans.id.in_(_holders(level))
    return and_(own, fans.id.in_(_holders(level)))


def from_level(level: Level, fans: Any) -> ColumnElement[bool]:
    """Build the condition that a fan, of these columns, is at a level or above it on their brand's ladder."""
    own: ColumnElement[bool] = fans.brand_id == level.brand_id
    higher = (fan_levels.c.brand_id == level.brand_id, fan_levels.c.rank >= level.rank)
    return own if level.rank == 0 else and_(own, fans.id.in_(select(fan_levels.c.fan_id).where(*higher)))


def _holders(level: Level) -> Any:
    return select(fan_levels.c.fan_id).where(fan_levels.c.level_id == level.id, fan_levels.c.rank.is_not(None))
