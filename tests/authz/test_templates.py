"""The built-in roles, the group's own, and a policy that is missing or wrong."""

from pathlib import Path

import pytest

from authz.permissions import PERMISSIONS
from authz.templates import MODEL, POLICY, CustomRoles, PermissionRow, PolicyUnavailable, RoleRights, Templates

ROLES = {
    *("GROUP_ADMIN", "GROUP_ANALYST", "BRAND_ADMIN", "BRAND_OPERATOR", "BRAND_ANALYST"),
    *("DEALER_MANAGER", "DEALER_STAFF", "SERVICE", "FAN"),
}
TEMPLATES = Templates()


def policy(folder: Path, text: str) -> Templates:
    file = folder / "policy.csv"
    file.write_text(text, encoding="utf-8")
    return Templates(policy=file)


def own(*rows: tuple[str, str, str], version: int = 1) -> CustomRoles:
    return CustomRoles(1, version, tuple(PermissionRow(*row) for row in rows))


def test_the_policy_names_the_built_in_roles_and_only_known_permissions() -> None:
    lines = [line.split(", ") for line in POLICY.read_text(encoding="utf-8").splitlines() if line[:1] == "p"]

    assert {line[1] for line in lines} == ROLES == set(TEMPLATES.roles())
    assert {f"{line[2]}:{line[3]}" for line in lines} == set(PERMISSIONS)
    assert len(lines) == len({tuple(line) for line in lines})


def test_casbin_gives_each_role_what_its_lines_say() -> None:
    lines = [line.split(", ") for line in POLICY.read_text(encoding="utf-8").splitlines() if line[:1] == "p"]

    for role in ROLES:
        stated = {f"{line[2]}:{line[3]}" for line in lines if line[1] == role}
        assert TEMPLATES.of(role) == RoleRights(frozenset(stated))


def test_everyone_sees_who_they_are_and_only_fans_act_as_fans() -> None:
    assert all("viewer:read" in TEMPLATES.of(role).allow for role in ROLES)
    assert {role for role in ROLES if TEMPLATES.of(role).allow & {"me:read", "me:write"}} == {"FAN"}


def test_rights_over_the_whole_group_stay_with_its_admin() -> None:
    for permission in ("role:write", "staff:write", "schema:introspect"):
        assert {role for role in ROLES if permission in TEMPLATES.of(role).allow} == {"GROUP_ADMIN"}


def test_analysts_dealer_staff_and_fans_see_no_personal_data_and_services_give_no_roles() -> None:
    for role in ("GROUP_ANALYST", "BRAND_ANALYST", "DEALER_STAFF", "FAN"):
        assert not TEMPLATES.of(role).allow & {"fan:read_personal", "fan:export", "fan:write"}
    assert "role:assign" not in TEMPLATES.of("SERVICE").allow


def test_an_unknown_or_empty_role_has_no_rights() -> None:
    assert (
        TEMPLATES.of("NOBODY") == TEMPLATES.of("") == TEMPLATES.of("", own(("", "fan:read", "allow"))) == RoleRights()
    )


def test_a_custom_role_allows_and_denies_and_its_deny_wins() -> None:
    rows = own(("CARE", "fan:read", "allow"), ("CARE", "fan:write", "allow"), ("CARE", "fan:write", "deny"))

    assert TEMPLATES.of("CARE", rows) == RoleRights(frozenset({"fan:read"}), frozenset({"fan:write"}))


def test_a_custom_role_never_exceeds_the_known_permissions_nor_changes_a_built_in_role() -> None:
    rows = own(
        *(("WILD", "*:*", "allow"), ("WILD", "fan:*", "allow"), ("WILD", "fan:destroy", "allow")),
        *(("WILD", "fan:read\np, WILD, fan, write", "allow"), ("WILD", "fan:read", "perhaps")),
        ("FAN", "fan:export", "allow"),
        version=2,
    )

    assert TEMPLATES.of("WILD", rows) == RoleRights()
    assert TEMPLATES.of("FAN", rows) == TEMPLATES.of("FAN")


def test_a_custom_role_is_decided_anew_at_the_next_policy_version_and_for_another_group() -> None:
    first = TEMPLATES.of("SHIFT", own(("SHIFT", "fan:read", "allow"), version=3))
    second = TEMPLATES.of("SHIFT", own(version=4))
    elsewhere = TEMPLATES.of("SHIFT", CustomRoles(2, 3))

    assert first.allow == {"fan:read"}
    assert second == elsewhere == RoleRights()


def test_the_shipped_policy_passes_the_readiness_check() -> None:
    TEMPLATES.check()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "p, GROUP_ADMIN, fan, destroy, allow\n",
        "p, GROUP_ADMIN, fan, read\n",
        "p, GROUP_ADMIN, fan, read, perhaps\n",
        "p, , fan, read, allow\n",
        "g, ann, GROUP_ADMIN, g1\n",
        'p, "GROUP_ADMIN, fan, read, allow\n',
    ],
)
def test_an_empty_or_wrong_policy_denies_everyone_and_is_not_ready(tmp_path: Path, text: str) -> None:
    templates = policy(tmp_path, text)

    with pytest.raises(PolicyUnavailable):
        templates.check()
    assert templates.of("GROUP_ADMIN") == templates.of("CARE", own(("CARE", "fan:read", "allow"))) == RoleRights()


def test_a_policy_that_only_denies_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(PolicyUnavailable, match="no right"):
        policy(tmp_path, "p, GROUP_ADMIN, fan, read, deny\n").check()


def test_an_unreadable_policy_or_model_denies_everyone_and_is_not_ready(tmp_path: Path) -> None:
    for templates in (Templates(policy=tmp_path / "gone.csv"), Templates(model=tmp_path / "gone.conf")):
        with pytest.raises(PolicyUnavailable):
            templates.check()
        assert templates.of("GROUP_ADMIN") == RoleRights()


def test_a_matcher_that_lets_in_a_nameless_caller_is_not_ready(tmp_path: Path) -> None:
    careless = tmp_path / "model.conf"
    matcher = "m = r.obj == p.obj && r.act == p.act"
    careless.write_text(MODEL.read_text(encoding="utf-8").split("m = ")[0] + matcher, encoding="utf-8")

    with pytest.raises(PolicyUnavailable, match="without a role"):
        Templates(model=careless).check()
