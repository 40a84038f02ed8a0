"""What the timeline holds about a fan beside what others hold: changes of tags, profile and identities."""

from typing import Any

from sqlalchemy import Select, select

from domain.privacy.subject import Holding, Subject, deletes, shows
from domain.tables import table_of
from domain.timeline.models import FanChange

changes = table_of(FanChange)


def _changes(subject: Subject) -> Select[Any]:
    columns = (changes.c.id, changes.c.kind, changes.c.act, changes.c.at)
    return select(*columns).where(changes.c.fan_id == subject.fan_id)


HOLDING = Holding(
    tables=("fan_changes",),
    sections={"changes": shows(_changes, (changes.c.at, changes.c.id))},
    erase=(deletes(changes),),
)
