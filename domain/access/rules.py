"""Who may give which role where. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from domain.scope import LEVELS, Scope, TenantSet


@dataclass(frozen=True)
class Node:
    """A node of the tenancy, with those above it; the deepest id that is set is the node."""

    group_id: int
    brand_id: int | None = None
    dealer_id: int | None = None
    store_id: int | None = None


def missing_permissions(scope: Scope, permissions: Collection[str], node: Node) -> list[str]:
    """Return what a role would give at the node or below it and its giver does not hold there."""
    return sorted(
        permission
        for permission in permissions
        if not scope.holds(permission, node) or _may_be_barred_below(scope.nodes(permission), node)
    )


def _may_be_barred_below(nodes: TenantSet, node: Node) -> bool:
    # a bar knows its node and not those above it, so one on a deeper level counts wherever it lies
    depth = max(level for level, name in enumerate(LEVELS) if getattr(node, name, None) is not None)
    return any(LEVELS.index(name) > depth for name, _ in nodes.barred)
