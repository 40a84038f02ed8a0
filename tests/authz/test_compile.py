"""How grants become nodes, case by case."""

from datetime import UTC, datetime, timedelta
from typing import Any

from authz.compile import GrantRow, compile_fan_scope, compile_scope
from authz.templates import RoleRights, Templates
from domain.scope import Scope, TenantSet

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
RIGHTS = {
    "READ": RoleRights(frozenset({"fan:read", "order:read"})),
    "WRITE": RoleRights(frozenset({"fan:read", "fan:write"})),
    "BLIND": RoleRights(deny=frozenset({"fan:read"})),
}


def scope(*grants: GrantRow) -> Scope:
    return compile_scope(
        "staff:1", 1, grants, rights=lambda role: RIGHTS.get(role, RoleRights()), policy_version=7, now=NOW
    )


def nodes(**lists: set[int]) -> TenantSet:
    listed: dict[str, Any] = {name: frozenset(ids) for name, ids in lists.items()}
    return TenantSet(**listed)


def test_a_grant_holds_at_its_node_and_shows_what_stands_above() -> None:
    found = scope(GrantRow("READ", 2, 5, 9))

    assert found.nodes("fan:read") == nodes(stores={9}, above_groups={1}, above_brands={2}, above_dealers={5})
    assert (found.principal, found.group_id, found.policy_version) == ("staff:1", 1, 7)
    assert not found.can("fan:write")


def test_a_node_below_an_allowed_one_is_dropped() -> None:
    found = scope(GrantRow("READ", 2), GrantRow("READ", 2, 5), GrantRow("READ", 3, 6, 8), GrantRow("READ", 3, 6))

    assert found.nodes("fan:read") == nodes(brands={2}, dealers={6}, above_groups={1}, above_brands={3})
    assert scope(GrantRow("READ", 2, 5), GrantRow("READ")).nodes("fan:read") == nodes(groups={1})


def test_roles_unite_per_permission_and_permissions_with_the_same_nodes_share_them() -> None:
    found = scope(GrantRow("READ", 2), GrantRow("WRITE", 3))

    assert found.nodes("fan:read").brands == {2, 3}
    assert found.nodes("fan:write").brands == {3}
    assert found.nodes("order:read").brands == {2}
    alone = scope(GrantRow("READ", 2))
    assert alone.nodes("fan:read") is alone.nodes("order:read")


def test_a_deny_below_is_barred_and_a_deny_at_or_above_takes_the_allow_away() -> None:
    assert scope(GrantRow("READ", 2), GrantRow("BLIND", 2, 5)).nodes("fan:read").barred == {("dealer_id", 5)}
    assert scope(GrantRow("READ"), GrantRow("BLIND", 2)).nodes("fan:read").barred == {("brand_id", 2)}
    assert scope(GrantRow("READ", 2, 5), GrantRow("BLIND", 2, 5, 9)).nodes("fan:read").barred == {("store_id", 9)}
    assert not scope(GrantRow("READ", 2, 5), GrantRow("BLIND", 2)).can("fan:read")
    assert not scope(GrantRow("READ", 2, 5), GrantRow("BLIND", 2, 5)).can("fan:read")
    assert not scope(GrantRow("READ"), GrantRow("BLIND")).can("fan:read")
    assert scope(GrantRow("READ", 2, 5), GrantRow("BLIND")).can("order:read")


def test_a_deny_that_touches_nothing_allowed_or_lies_below_another_is_left_out() -> None:
    beside = scope(GrantRow("READ", 2), GrantRow("BLIND", 3), GrantRow("BLIND", 2, 5), GrantRow("BLIND", 2, 5, 9))

    assert beside.nodes("fan:read") == TenantSet(
        brands=frozenset({2}), above_groups=frozenset({1}), barred=frozenset({("dealer_id", 5)})
    )


def test_an_expired_grant_counts_for_nothing_whether_it_allows_or_denies() -> None:
    before, after = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)

    assert not scope(GrantRow("READ", 2, expires_at=before)).can("fan:read")
    assert not scope(GrantRow("READ", 2, expires_at=NOW)).can("fan:read")
    assert scope(GrantRow("READ", 2, expires_at=after)).can("fan:read")
    assert scope(GrantRow("READ", 2), GrantRow("BLIND", 2, expires_at=before)).can("fan:read")


def test_a_damaged_grant_without_its_brand_is_never_taken_for_the_whole_group() -> None:
    found = scope(GrantRow("READ", None, 5))

    assert found.nodes("fan:read") == nodes(dealers={5}, above_groups={1})


def test_no_grants_and_unknown_roles_give_nothing() -> None:
    assert not scope().permissions
    assert not scope(GrantRow("NOBODY")).permissions


def test_a_fan_reaches_their_own_row_and_sees_what_stands_above_it() -> None:
    found = compile_fan_scope("fan:77", group_id=1, brand_id=2, dealer_id=5, fan_id=77, rights=Templates().of("FAN"))

    expected = nodes(fans={77}, above_groups={1}, above_brands={2}, above_dealers={5})
    assert found.nodes("fan:read") == found.nodes("me:write") == expected
    assert not found.can("fan:write")


def test_a_deny_in_the_fan_role_takes_its_permission_from_every_fan() -> None:
    rights = RoleRights(frozenset({"me:read", "fan:read"}), frozenset({"fan:read"}))

    found = compile_fan_scope("fan:77", group_id=1, brand_id=2, dealer_id=None, fan_id=77, rights=rights)

    assert set(found.permissions) == {"me:read"}
    assert found.nodes("me:read").above_dealers == frozenset()
