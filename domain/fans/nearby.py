"""Which lists of fans look at what is near first (`domain.near`), and in which index that lies."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from domain.events.activity import activity, lately
from domain.fans.filters import READ, FanFilter, every
from domain.fans.names import is_common
from domain.fans.sorts import BESIDE, SORTS, FanSort, fans
from domain.places import listed, places
from domain.ranges import TimeRange
from domain.scope import LEVELS, Scope, TenantSet

_BY_ID = (FanSort.ID_ASC, FanSort.ID_DESC)
_GROUP, _BRAND, _DEALER, _STORE, _ = LEVELS
# the levels that an index of the order begins with
INDEXED = {
    **dict.fromkeys(SORTS, (_GROUP, _BRAND)),
    FanSort.SPEND_DESC: (_GROUP, _BRAND, _DEALER),
    **dict.fromkeys(_BY_ID, (_GROUP, _BRAND, _DEALER, _STORE)),
}
_NEARBY = dict(fans.alias("nearby").c)


@dataclass(frozen=True)
class Nearby:
    """The keys of an order, and what of the filter is left to ask of each row. See `domain.near`."""

    keys: Select[Any]
    left: FanFilter | None
    of_activity: bool
    worth: ColumnElement[bool] | None


def nearby(scope: Scope, wanted: FanFilter | None, order: FanSort) -> Nearby | None:
    """Return where to look first, or None.

    None where the list is a range of an index in its order, or its filter has no index that it were better found by.
    """
    nodes, named = scope.nodes(READ), _named(wanted)
    known = places(nodes)
    level = [one for one in INDEXED[order] if one in known | named][-1:] if known else []
    if not level or not (_is_unsure(wanted) or (SORTS[order].gapped and _is_wider(level[0], nodes, named))):
        return None
    node = (known | named)[level[0]]
    worth = None if wanted is None or wanted.nickname is None else is_common(scope, wanted.nickname, READ)
    if wanted is not None and wanted.last_active_at is not None and _among_active(order, level[0]):
        left = replace(wanted, last_active_at=None)
        return Nearby(_active(order, level[0], node, wanted.last_active_at), left, of_activity=True, worth=worth)
    lasts = order is FanSort.LAST_ACTIVE_AT_DESC
    return Nearby(_keys(order, level[0], node), wanted, of_activity=lasts, worth=worth)


def _named(wanted: FanFilter | None) -> dict[str, int]:
    given = {} if wanted is None else {name: getattr(wanted, name) for name in (_BRAND, _DEALER, _STORE)}
    return {name: node for name, node in given.items() if node is not None}


def _is_unsure(wanted: FanFilter | None) -> bool:
    """Tell whether the filter may find few by an index of its own, or nearly all."""
    return any(one.nickname is not None or one.last_active_at is not None for one in every(wanted))


def _is_wider(level: str, nodes: TenantSet, named: Mapping[str, int]) -> bool:
    """Tell whether there are fans below the index's node who cannot be in the list, by where they are."""
    own = listed(nodes)
    deepest = max(LEVELS.index(one) for one in (*dict(own), *named))
    return LEVELS.index(level) < deepest or (len(own) > 1 and level not in named)


def _among_active(order: FanSort, level: str) -> bool:
    # by id those active then are sorted: they lie in an index of the moment, and nowhere near in that of the fans
    return order is FanSort.LAST_ACTIVE_AT_DESC or (order in _BY_ID and level in (_GROUP, _BRAND))


def _active(order: FanSort, level: str, node: int, wanted: TimeRange) -> Select[Any]:
    found = select(activity.c.last_active_at, activity.c.fan_id.label("id"))
    found = found.where(activity.c[level] == node, *lately(wanted))
    if order is FanSort.LAST_ACTIVE_AT_DESC:
        return found  # a part of the index, in its own order
    # the OFFSET lets them be found by that index, and not by id among all who were active ever
    return select(found.offset(0).subquery("active"))


def _keys(order: FanSort, level: str, node: int) -> Select[Any]:
    if order not in BESIDE:
        return select(*(_NEARBY[str(one.key)] for one in SORTS[order].columns)).where(_NEARBY[level] == node)
    beside = BESIDE[order].table.c
    return select(BESIDE[order], beside.fan_id.label("id")).where(beside[level] == node)
