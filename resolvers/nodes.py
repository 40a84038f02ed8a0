"""Any object by its id. One line an entity: how its rows are found under the caller's scope."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.attributes.queries import attributes_by_id
from domain.errors import BadInput, NotFound
from domain.events.definitions import definitions_by_id
from domain.events.queries import events_by_id
from domain.fans.queries import fans_by_any_id
from domain.jobs.queries import jobs_by_id
from domain.levels.queries import levels_by_id
from domain.mall.queries.gifts import gifts_by_id
from domain.mall.queries.redemptions import redemptions_by_id
from domain.orders.queries import orders_by_id
from domain.persons.queries import conflicts_by_id, merges_by_id, persons_by_any_id
from domain.points.earning.queries import rules_by_id
from domain.points.ledger.history import adjustments_by_id
from domain.shares.queries import cascades_by_id
from domain.tags.queries import tags_by_id
from domain.tenancy.queries import (
    brands_by_id,
    channel_accounts_by_id,
    dealers_by_id,
    groups_by_id,
    stores_by_id,
)
from resolvers.context import Context

MAX_IDS = 100

Find = Callable[[Any, Any, Iterable[int]], Awaitable[dict[int, Any]]]
FINDERS: dict[str, tuple[str, Find]] = {
    "Group": ("tenancy:read", groups_by_id),
    "Brand": ("tenancy:read", brands_by_id),
    "Dealer": ("tenancy:read", dealers_by_id),
    "Store": ("tenancy:read", stores_by_id),
    "ChannelAccount": ("tenancy:read", channel_accounts_by_id),
    "Fan": ("fan:read", fans_by_any_id),
    "Attribute": ("fan:read", attributes_by_id),
    "Level": ("fan:read", levels_by_id),
    "Tag": ("tag:read", tags_by_id),
    "Order": ("order:read", orders_by_id),
    "Cascade": ("share:read", cascades_by_id),
    "Person": ("person:link", persons_by_any_id),
    "IdentityConflict": ("person:merge", conflicts_by_id),
    "PersonMerge": ("person:merge", merges_by_id),
    "Job": ("job:read", jobs_by_id),
    "FanEvent": ("event:read", events_by_id),
    "PointAdjustment": ("points:read", adjustments_by_id),
    "PointRule": ("point_rule:read", rules_by_id),
    "EventDefinition": ("event:read", definitions_by_id),
    "Gift": ("gift:read", gifts_by_id),
    "Redemption": ("redemption:read", redemptions_by_id),
}


@dataclass(frozen=True)
class AnyId:
    """An id with the kind of object it names."""

    kind: str
    id: int


class Found:
    """A row that knows which type of the API it is."""

    # names that no column has: a tag and a channel account have a `kind` of their own
    __slots__ = ("_row", "_type_name")

    def __init__(self, type_name: str, row: Any) -> None:
        self._type_name = type_name
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)

    @staticmethod
    def type_of(found: Any) -> str:
        """Return the name of the type of what was found."""
        return str(found._type_name)  # noqa: SLF001 (its own)


async def get_node(context: Context, *, id: AnyId) -> Found:
    """Return any object by its id."""
    found = (await list_nodes(context, ids=[id]))[0]
    if found is None:
        raise NotFound
    return found


async def list_nodes(context: Context, *, ids: list[AnyId]) -> Sequence[Found | None]:
    """Return objects (at most 100) by their ids, in the order asked; null for one that is not there."""
    if not 1 <= len(ids) <= MAX_IDS:
        raise BadInput(f"ids takes 1 to {MAX_IDS} ids.", field=("ids",))
    found: dict[str, dict[int, Any]] = {}
    for kind in dict.fromkeys(wanted.kind for wanted in ids if wanted.kind in FINDERS):
        permission, find = FINDERS[kind]
        if context.scope.can(permission):
            async with context.reading() as session:
                numbers = [wanted.id for wanted in ids if wanted.kind == kind]
                found[kind] = await find(session, context.scope, numbers)
    rows = [(wanted.kind, found.get(wanted.kind, {}).get(wanted.id)) for wanted in ids]
    return [None if row is None else Found(kind, row) for kind, row in rows]
