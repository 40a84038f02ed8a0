"""Who may give which role where. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from domain.scope import Scope


@dataclass(frozen=True)
class Node:
    """A node of the tenancy, with those above it; the deepest id that is set is the node."""

    group_id: int
    brand_id: int | None = None
    dealer_id: int | None = None
    store_id: int | None = None


def missing_permissions(scope: Scope, permissions: Collection[str], node: Node) -> list[str]:
    """Return what a role would give at the node and its giver does not hold there."""
    return sorted(permission for permission in permissions if not scope.holds(permission, node))
