"""What fans can be sorted by."""

from enum import StrEnum

from domain.events.models import FanActivity
from domain.fans.models import Fan
from domain.levels.models import FanLevel
from domain.page import Sort
from domain.tables import table_of

fans, fan_levels, activity = table_of(Fan), table_of(FanLevel), table_of(FanActivity)


class FanSort(StrEnum):
    """How a list of fans is sorted. Who has no such moment comes last, and so do those at the first level.

    By LAST_ACTIVE_AT_DESC only fans are listed whose events the caller may read, by the minute of the newest.
    """

    ID_ASC = "ID_ASC"
    ID_DESC = "ID_DESC"
    SPEND_DESC = "SPEND_DESC"
    CREATED_AT_ASC = "CREATED_AT_ASC"
    CREATED_AT_DESC = "CREATED_AT_DESC"
    LAST_FOLLOWED_AT_DESC = "LAST_FOLLOWED_AT_DESC"
    LAST_ORDER_AT_DESC = "LAST_ORDER_AT_DESC"
    LEVEL_DESC = "LEVEL_DESC"
    LAST_ACTIVE_AT_DESC = "LAST_ACTIVE_AT_DESC"


def _by(column: str, *, descending: bool = True) -> Sort:
    keys = (fans.c[column], fans.c.id)
    return Sort(f"{'-' if descending else ''}{column}", keys, descending, gapped=bool(fans.c[column].nullable))


SORTS = {
    FanSort.ID_ASC: Sort("id", (fans.c.id,)),
    FanSort.ID_DESC: Sort("-id", (fans.c.id,), descending=True),
    FanSort.SPEND_DESC: _by("spend"),
    FanSort.CREATED_AT_ASC: _by("created_at", descending=False),
    FanSort.CREATED_AT_DESC: _by("created_at"),
    FanSort.LAST_FOLLOWED_AT_DESC: _by("last_followed_at"),
    FanSort.LAST_ORDER_AT_DESC: _by("last_order_at"),
    FanSort.LAST_ACTIVE_AT_DESC: Sort(
        "-last_active_at", (activity.c.last_active_at, fans.c.id), descending=True, gapped=True
    ),
    FanSort.LEVEL_DESC: Sort("-level", (fan_levels.c.rank, fans.c.id), descending=True, gapped=True),
}
# what some orders are read off, beside the fan: the table and its column
BESIDE = {
    FanSort.LEVEL_DESC: fan_levels.c.rank,
    FanSort.LAST_ACTIVE_AT_DESC: activity.c.last_active_at,
}
