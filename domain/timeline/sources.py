"""Where the timeline's entries come from. A later capability adds a source here and its kind to `TimelineKind`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, Select, String, cast, literal, literal_column, null, select

from domain.columns import BigInt, Json
from domain.events.models import FanEvent
from domain.fans.models import Fan
from domain.mall.models import Redemption
from domain.orders.models import Order
from domain.points.ledger.models import PointAccount, PointTransfer
from domain.scope import Scope
from domain.tables import table_of
from domain.timeline.models import ChangeKind, FanChange

events, orders, changes = table_of(FanEvent), table_of(Order), table_of(FanChange)
redemptions = table_of(Redemption)
transfers, accounts = table_of(PointTransfer), table_of(PointAccount)


class TimelineKind(StrEnum):
    """What an entry of the timeline is."""

    EVENT = "EVENT"
    ORDER = "ORDER"
    REDEMPTION = "REDEMPTION"
    POINTS = "POINTS"
    TAG = "TAG"
    LEVEL = "LEVEL"
    IDENTITY = "IDENTITY"
    PROFILE = "PROFILE"


# what an entry says beside its key: a source names those it has, the others are NULL
SAID: dict[str, Any] = {
    "kind": String(),
    "name": String(),
    "detail": Json,
    **dict.fromkeys(("content", "product", "campaign", "scene", "number", "source", "currency"), String()),
    "reason": String(),
    **dict.fromkeys(("amount", "tag_id", "points", "growth", "balance"), BigInt),
    "item_count": Integer(),
}


@dataclass(frozen=True, eq=False)
class Source:
    """Rows of one table that belong to a fan. `rank` decides between sources at one moment, and is never changed.

    `owned` is the condition that a row is a fan's, where the table does not name the fan itself. Two sources of one
    table share its rank.
    """

    rank: int
    kinds: frozenset[TimelineKind]
    table: FromClause
    at: ColumnElement[Any]
    said: dict[str, Any]
    owned: Callable[[int], ColumnElement[bool]] | None = None

    @cached_property
    def _columns(self) -> Select[Any]:
        # made once: there are twenty of them, and a page asks six sources
        said = [
            cast(self.said.get(name, null()), kind).label(name)
            if name not in self.said or kind is not Json
            else self.said[name].label(name)
            for name, kind in SAID.items()
        ]
        key = (self.at.label("at"), literal_column(str(self.rank), Integer).label("rank"), self.table.c.id.label("id"))
        return select(*key, *said)

    def rows(self, fan_id: int, *conditions: ColumnElement[bool]) -> Select[Any]:
        """Select the fan's rows in the columns all sources share."""
        mine = self.table.c.fan_id == fan_id if self.owned is None else self.owned(fan_id)
        return self._columns.where(mine, *conditions)


EVENTS = Source(
    1,
    frozenset({TimelineKind.EVENT}),
    events,
    events.c.occurred_at,
    {"kind": literal("EVENT"), "name": events.c.name, "detail": events.c.properties}
    | {name: events.c[name] for name in ("content", "product", "campaign", "scene")}
    | {"number": events.c.order_reference},
)
ORDERS = Source(
    2,
    frozenset({TimelineKind.ORDER}),
    orders,
    orders.c.placed_at,
    {"kind": literal("ORDER"), "name": orders.c.state}
    | {name: orders.c[name] for name in ("number", "source", "currency", "amount", "item_count")},
)
REDEMPTIONS = Source(
    5,
    frozenset({TimelineKind.REDEMPTION}),
    redemptions,
    redemptions.c.created_at,
    {"kind": literal("REDEMPTION"), "name": redemptions.c.state, "product": redemptions.c.title}
    | {"item_count": redemptions.c.quantity, "amount": redemptions.c.cash}
    | {name: redemptions.c[name] for name in ("number", "currency")},
)


def _own_account(fan_id: int) -> ColumnElement[bool]:
    # one account, and so one range of the index, in its order
    own = select(accounts.c.id).where(accounts.c.fan_id == fan_id, accounts.c.former.is_(False))
    return transfers.c.account_id == own.scalar_subquery()


def _former_accounts(fan_id: int) -> ColumnElement[bool]:
    return transfers.c.account_id.in_(select(accounts.c.id).where(accounts.c.fan_id == fan_id, accounts.c.former))


_POINTS = (
    4,
    frozenset({TimelineKind.POINTS}),
    transfers,
    transfers.c.occurred_at,
    {"kind": literal("POINTS"), "name": transfers.c.kind}
    | {name: transfers.c[name] for name in ("reason", "points", "growth", "balance")},
)
POINTS = Source(*_POINTS, _own_account)
# of who was merged into the fan: what moved their accounts before
FORMER_POINTS = Source(*_POINTS, _former_accounts)
CHANGES = Source(
    3,
    frozenset(TimelineKind(kind.value) for kind in ChangeKind),
    changes,
    changes.c.at,
    {"kind": changes.c.kind, "name": changes.c.act, "detail": changes.c.detail, "tag_id": changes.c.tag_id},
)
# what a brand files its fans under is not for the fans
OF_FANS = frozenset(TimelineKind) - {TimelineKind.TAG}


def readable(
    scope: Scope, fan: Fan, kinds: frozenset[TimelineKind], *, own: bool = False
) -> list[tuple[Source, list[ColumnElement[bool]]]]:
    """Return the sources of these kinds that the caller may read of a fan read under the scope, or of themselves."""
    found: list[tuple[Source, list[ColumnElement[bool]]]] = []
    if TimelineKind.EVENT in kinds and (own or scope.holds("event:read", fan)):
        found.append((EVENTS, []))
    if TimelineKind.ORDER in kinds and scope.can("order:read"):
        found.append((ORDERS, [scope.where("order:read", orders)]))
    if TimelineKind.REDEMPTION in kinds and scope.can("redemption:read"):
        found.append((REDEMPTIONS, [scope.where("redemption:read", redemptions)]))
    if TimelineKind.POINTS in kinds and (own or scope.holds("points:read", fan)):
        found += [(POINTS, []), (FORMER_POINTS, [])]
    wanted = kinds & CHANGES.kinds
    if not scope.holds("tag:read", fan):
        wanted -= {TimelineKind.TAG}
    if wanted:
        whole = wanted == CHANGES.kinds
        found.append((CHANGES, [] if whole else [changes.c.kind.in_(_names(wanted))]))
    return found


def _names(kinds: frozenset[TimelineKind]) -> Sequence[str]:
    return sorted(kind.value for kind in kinds)
