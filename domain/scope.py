"""What a caller may reach, compiled once from their grants and used as SQL predicates everywhere after."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from hashlib import blake2b
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, Table, and_, false, or_, true

from domain.errors import Forbidden

EMPTY: frozenset[int] = frozenset()
EMPTY_PAIRS: frozenset[tuple[str, int]] = frozenset()
LEVELS = ("group_id", "brand_id", "dealer_id", "store_id", "fan_id")


@dataclass(frozen=True)
class TenantSet:
    """Nodes of the tenancy. Everything below a listed node belongs to the set, but what `barred` cuts out of it.

    `above_*` are the nodes over the listed ones: the brand of a dealer, the group of a brand. Their owner sees them
    by name, and what is kept at that level for all below (the tags of a brand), but nothing else below them.
    """

    everything: bool = False
    groups: frozenset[int] = EMPTY
    brands: frozenset[int] = EMPTY
    dealers: frozenset[int] = EMPTY
    stores: frozenset[int] = EMPTY
    fans: frozenset[int] = EMPTY
    above_groups: frozenset[int] = EMPTY
    above_brands: frozenset[int] = EMPTY
    above_dealers: frozenset[int] = EMPTY
    barred: frozenset[tuple[str, int]] = EMPTY_PAIRS

    def __bool__(self) -> bool:
        return self.everything or any(self._listed)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # asked for at every request, and a set of a thousand dealers is slow to look through
        return hash((self.everything, *(getattr(self, name) for name in _PARTS)))

    @cached_property
    def _listed(self) -> tuple[frozenset[int], ...]:
        return (self.groups, self.brands, self.dealers, self.stores, self.fans)

    @cached_property
    def _above(self) -> dict[str, frozenset[int]]:
        return {"group_id": self.above_groups, "brand_id": self.above_brands, "dealer_id": self.above_dealers}

    def __or__(self, other: "TenantSet") -> "TenantSet":
        """Unite two sets as an outer wall: what only one of them bars is let through by the other."""
        if self.everything or other.everything:
            return EVERYTHING
        pairs = {name: getattr(self, name) | getattr(other, name) for name in _UNITED}
        return TenantSet(**pairs, barred=self.barred & other.barred)

    def covers(self, row: Any) -> bool:
        """Tell whether a row with tenant columns lies in the set, as `where` decides it in SQL."""
        if self.everything:
            return True
        places = {name: _place(row, name) for name in LEVELS}
        listed = any(places[name] in nodes for name, nodes in zip(LEVELS, self._listed, strict=True) if nodes)
        return listed and not any(places[name] == node for name, node in self.barred)

    def where(self, table: Table, source: FromClause | None = None) -> ColumnElement[bool]:
        """Build the predicate that keeps the rows of `table`, or of a source of its rows, that lie below a node."""
        return self._predicate(table, {}, source)

    def where_shared(self, table: Table) -> ColumnElement[bool]:
        """Build the predicate that also keeps what stands at a node above: brands by name, the tags of a brand."""
        return self._predicate(table, self._above)

    def _predicate(
        self, table: Table, above: Mapping[str, frozenset[int]], source: FromClause | None = None
    ) -> ColumnElement[bool]:
        # An arm is left out where its set is empty: `brand_id IN () OR dealer_id IN (3)` costs a full scan.
        if self.everything:
            return true()
        columns: Mapping[str, ColumnElement[Any]] = tenant_columns(table)
        if source is not None:
            columns = {name: source.c[column.key] for name, column in tenant_columns(table).items()}
        deepest = [name for name in LEVELS if name in columns][-1]
        arms: list[ColumnElement[bool]] = []
        for name, nodes in zip(LEVELS, self._listed, strict=True):
            wanted = nodes | above.get(name, EMPTY) if name == deepest else nodes
            if wanted and name in columns:
                arms.append(columns[name].in_(sorted(wanted)))
        if above and deepest != "group_id" and tenant_columns(table)[deepest].nullable and self.above_groups:
            arms.append(and_(columns[deepest].is_(None), columns["group_id"].in_(sorted(self.above_groups))))
        if not arms:
            return false()
        bars = [_absent(columns[name], node) for name, node in sorted(self.barred) if name in columns]
        return and_(or_(*arms), *bars)


_UNITED = (
    *("groups", "brands", "dealers", "stores", "fans"),
    *("above_groups", "above_brands", "above_dealers"),
)
_PARTS = (*_UNITED, "barred")
EVERYTHING = TenantSet(everything=True)
NOTHING = TenantSet()


def _absent(column: ColumnElement[Any], node: int) -> ColumnElement[bool]:
    # a row without a dealer is not of a barred dealer, and `NULL <> 5` would drop it
    return or_(column.is_(None), column != node)


@cache
def tenant_columns(table: Table) -> dict[str, Column[Any]]:
    """Name the columns that place a row of `table` in the tenancy. A node's own id is its deepest place."""
    own = table.info.get("node")
    found = {name: table.c[name] for name in LEVELS if name in table.c}
    return {**found, own: table.c.id} if own else found


def _place(row: Any, name: str) -> Any:
    """Return the row's node of a level. A driver's row must have all levels, or it cannot be placed."""
    table = getattr(row, "__table__", None)
    if table is not None:
        return row.id if table.info.get("node") == name else getattr(row, name, None)
    if name == "fan_id":
        return row.id if hasattr(row, "person_id") else getattr(row, name, None)
    return getattr(row, name)


@dataclass(frozen=True, eq=False)
class Scope:
    """One principal's rights, frozen for a request: for each permission the nodes where it holds."""

    principal: str
    group_id: int | None
    permissions: Mapping[str, TenantSet] = field(default_factory=dict)
    policy_version: int = 0

    def can(self, permission: str) -> bool:
        """Tell whether the permission holds anywhere."""
        return bool(self.permissions.get(permission))

    def nodes(self, permission: str) -> TenantSet:
        """Return the nodes where the permission holds; an empty set where it holds nowhere."""
        return self.permissions.get(permission, NOTHING)

    def holds(self, permission: str, row: Any) -> bool:
        """Tell whether the permission holds for this row."""
        return self.nodes(permission).covers(row)

    def require(self, permission: str) -> TenantSet:
        """Return where the permission holds, or raise Forbidden where it holds nowhere."""
        nodes = self.nodes(permission)
        if not nodes:
            raise Forbidden(f"This needs the permission {permission}.")
        return nodes

    def where(self, permission: str, table: Table, source: FromClause | None = None) -> ColumnElement[bool]:
        """Build the predicate that keeps the rows of `table` (or of a source of them) where the permission holds."""
        return self.nodes(permission).where(table, source)

    def where_shared(self, permission: str, table: Table) -> ColumnElement[bool]:
        """Build the same predicate widened to what stands at a node above the caller's own."""
        return self.nodes(permission).where_shared(table)

    @cached_property
    def digest(self) -> bytes:
        """Say what is allowed in 16 bytes: who has an equal digest has equal rights, whoever they are."""
        rights = [
            (name, nodes.everything, [sorted(getattr(nodes, part)) for part in _PARTS])
            for name, nodes in self.permissions.items()
        ]
        return blake2b(repr((self.group_id, sorted(rights))).encode(), digest_size=16).digest()

    @cached_property
    def breadth(self) -> int:
        """Return how many nodes the widest list of nodes holds."""
        return max((len(getattr(self.reach, part)) for part in _PARTS), default=0)

    @cached_property
    def reach(self) -> TenantSet:
        """Unite the nodes of all permissions: the outer wall of a session under this scope."""
        united = NOTHING
        for number, nodes in enumerate(set(self.permissions.values())):
            united = nodes if number == 0 else united | nodes
        return united


def system_scope(reason: str, *, group_id: int | None = None) -> Scope:
    """Return the scope of the product's own work (migration, worker, import), bound to one group where it has one."""
    group = frozenset({group_id} if group_id is not None else ())
    nodes = TenantSet(groups=group, above_groups=group) if group else EVERYTHING
    return Scope(f"system:{reason}", group_id, _Always(nodes))


class _Always(Mapping[str, TenantSet]):
    """Every permission at the same nodes."""

    def __init__(self, nodes: TenantSet) -> None:
        self._nodes = nodes

    def __getitem__(self, permission: str) -> TenantSet:
        return self._nodes

    def __iter__(self) -> Iterator[str]:
        return iter(("*",))

    def __len__(self) -> int:
        return 1
