"""Changes of fans who become one."""

from domain.persons.moving import PlainRows
from domain.tables import table_of
from domain.timeline.models import FanChange

CHANGES = PlainRows(table_of(FanChange), "at")
