"""Grants into a scope: where each permission holds. Pure, and run once per principal and policy version."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from authz.templates import RoleRights
from domain.scope import NOTHING, Scope, TenantSet

Node = tuple[str, int]
Roles = tuple[str, ...]


class GrantRow(NamedTuple):
    """A role at one node of the principal's group; the deepest id that is set is the node, none set is the group."""

    role: str
    brand_id: int | None = None
    dealer_id: int | None = None
    store_id: int | None = None
    expires_at: datetime | None = None


def compile_scope(
    principal: str,
    group_id: int,
    grants: Sequence[GrantRow],
    *,
    rights: Callable[[str], RoleRights],
    policy_version: int,
    now: datetime,
) -> Scope:
    """Unite what the grants allow and cut out what they deny; expired grants count for nothing."""
    by_role: defaultdict[str, list[GrantRow]] = defaultdict(list)
    for grant in grants:
        if grant.expires_at is None or grant.expires_at > now:
            by_role[grant.role].append(grant)
    permissions = {}
    for (allowing, denying), names in _permissions_by_roles(by_role, rights).items():
        nodes = _nodes(group_id, _of(by_role, allowing), _of(by_role, denying))
        if nodes:
            permissions.update(dict.fromkeys(names, nodes))
    return Scope(principal, group_id, permissions, policy_version)


def compile_fan_scope(
    principal: str, *, group_id: int, brand_id: int, dealer_id: int | None, fan_id: int, rights: RoleRights
) -> Scope:
    """Give a fan the rights of the FAN role over their own row, and sight of what stands above it."""
    nodes = TenantSet(
        fans=frozenset({fan_id}),
        above_groups=frozenset({group_id}),
        above_brands=frozenset({brand_id}),
        above_dealers=frozenset({dealer_id} if dealer_id is not None else ()),
    )
    return Scope(principal, group_id, dict.fromkeys(rights.allow - rights.deny, nodes))


def _permissions_by_roles(
    roles: Iterable[str], rights: Callable[[str], RoleRights]
) -> dict[tuple[Roles, Roles], list[str]]:
    # permissions allowed and denied by the same roles hold at the same nodes, which are then worked out once
    allowing: dict[str, Roles] = {}
    denying: dict[str, Roles] = {}
    for role in roles:
        given = rights(role)
        for permission in given.allow:
            allowing[permission] = (*allowing.get(permission, ()), role)
        for permission in given.deny:
            denying[permission] = (*denying.get(permission, ()), role)
    grouped: defaultdict[tuple[Roles, Roles], list[str]] = defaultdict(list)
    for permission, names in allowing.items():
        grouped[names, denying.get(permission, ())].append(permission)
    return grouped


def _of(by_role: dict[str, list[GrantRow]], roles: Roles) -> list[GrantRow]:
    return by_role[roles[0]] if len(roles) == 1 else [grant for role in roles for grant in by_role[role]]


def _nodes(group_id: int, allowed: list[GrantRow], denied: list[GrantRow]) -> TenantSet:
    if not denied:
        return _tenant_set(group_id, allowed)
    paths = [_path(grant) for grant in denied]
    if () in paths:
        return NOTHING
    bars = {path[-1] for path in paths}
    nodes = _tenant_set(group_id, [grant for grant in allowed if bars.isdisjoint(_path(grant))])
    listed = {("brand_id", node) for node in nodes.brands} | {("dealer_id", node) for node in nodes.dealers}
    # a bar beside the listed nodes, or below another bar, would only make every predicate longer
    kept = frozenset(
        path[-1] for path in paths if bars.isdisjoint(path[:-1]) and (nodes.groups or not listed.isdisjoint(path[:-1]))
    )
    return replace(nodes, barred=kept)


def _path(grant: GrantRow) -> tuple[Node, ...]:
    places = (("brand_id", grant.brand_id), ("dealer_id", grant.dealer_id), ("store_id", grant.store_id))
    return tuple((name, node) for name, node in places if node is not None)


def _tenant_set(group_id: int, grants: list[GrantRow]) -> TenantSet:
    brands: set[int] = set()
    dealers: dict[int, GrantRow] = {}
    stores: dict[int, GrantRow] = {}
    for grant in grants:
        if grant.store_id is not None:
            stores[grant.store_id] = grant
        elif grant.dealer_id is not None:
            dealers[grant.dealer_id] = grant
        elif grant.brand_id is not None:
            brands.add(grant.brand_id)
        else:
            return TenantSet(groups=frozenset({group_id}))
    if brands:
        dealers = {node: grant for node, grant in dealers.items() if grant.brand_id not in brands}
    stores = {
        n: grant for n, grant in stores.items() if grant.brand_id not in brands and grant.dealer_id not in dealers
    }
    below = [*dealers.values(), *stores.values()]
    return TenantSet(
        brands=frozenset(brands),
        dealers=frozenset(dealers),
        stores=frozenset(stores),
        above_groups=frozenset({group_id} if brands or below else ()),
        above_brands=frozenset(grant.brand_id for grant in below if grant.brand_id is not None),
        above_dealers=frozenset(grant.dealer_id for grant in stores.values() if grant.dealer_id is not None),
    )
