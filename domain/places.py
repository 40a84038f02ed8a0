"""Which place of the tenancy holds all fans of a list: what indexes begin with."""

from sqlalchemy import ColumnElement, Table

from domain.scope import LEVELS, Scope, TenantSet

LISTED = dict(zip(LEVELS, ("groups", "brands", "dealers", "stores", "fans"), strict=True))


def listed(nodes: TenantSet) -> list[tuple[str, int]]:
    """Return the nodes of a set, each with its level, from the top down."""
    return [(level, node) for level, name in LISTED.items() for node in sorted(getattr(nodes, name))]


def places(nodes: TenantSet) -> dict[str, int]:
    """Return the one node of each level, as far as there is one, that everything in the set lies below."""
    if nodes.everything or nodes.fans:
        return {}
    own = listed(nodes)
    found = dict(own) if len(own) == 1 else {}
    brands, groups = nodes.brands | nodes.above_brands, nodes.groups | nodes.above_groups
    if len(brands) == 1 and not nodes.groups:
        found["brand_id"] = next(iter(brands))
    if len(groups) == 1:
        found["group_id"] = next(iter(groups))
    return found


def within(scope: Scope, permission: str, table: Table) -> list[ColumnElement[bool]]:
    """Build the condition that a row lies in the deepest such place that it names; of no use but to find it by."""
    known = places(scope.nodes(permission))
    deepest = [level for level in LEVELS if level in known and level in table.c][-1:]
    return [table.c[level] == known[level] for level in deepest]
