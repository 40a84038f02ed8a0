"""What each role allows and denies, decided by Casbin once per role and never per row or field."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from casbin import Enforcer

from authz.lru import Lru
from authz.permissions import PERMISSIONS

MODEL = Path(__file__).with_name("model.conf")
POLICY = Path(__file__).with_name("policy.csv")
FAN_ROLE = "FAN"
EFFECTS = frozenset({"allow", "deny"})
CUSTOM_ROLES_KEPT = 10_000
# Templates say what a role is, not where it holds: where is the grant's business, so the domain is always this one.
_ANYWHERE = "templates"


class PolicyUnavailable(Exception):
    """The policy is missing, empty or wrong: nobody has any right, and the process must not take traffic."""


@dataclass(frozen=True)
class RoleRights:
    """The permissions a role gives where it is granted, and those it takes away there and below."""

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()


class PermissionRow(NamedTuple):
    """One permission of one role; `effect` is `allow` or `deny`."""

    role: str
    permission: str
    effect: str


@dataclass(frozen=True)
class CustomRoles:
    """The roles a group made itself, as they were at one version of its policy."""

    group_id: int
    policy_version: int
    rows: tuple[PermissionRow, ...] = ()


class Templates:
    """The built-in roles from model.conf and policy.csv, and the decisions on custom ones.

    A policy that cannot be read leaves every role without rights; `check` says why.
    """

    def __init__(self, model: Path = MODEL, policy: Path = POLICY) -> None:
        self._fault: str | None = None
        self._built_in: dict[str, RoleRights] = {}
        self._enforcer: Any = None
        self._custom: Lru[tuple[int, int, str], RoleRights] = Lru(CUSTOM_ROLES_KEPT)
        try:
            self._model = model.read_text(encoding="utf-8")
            self._load(_read_policy(policy))
        except (OSError, ValueError, RuntimeError, KeyError, csv.Error, PolicyUnavailable) as error:
            self._fault = str(error) or type(error).__name__

    def of(self, role: str, custom: CustomRoles | None = None) -> RoleRights:
        """Return the rights of a role; none for a name that is neither built in nor a custom role of the group."""
        built_in = self._built_in.get(role)
        if built_in is not None or custom is None or self._fault is not None:
            return built_in or RoleRights()
        key = (custom.group_id, custom.policy_version, role)
        rights = self._custom.get(key)
        if rights is None:
            rights = self._decide_one(role, custom.rows)
            self._custom.put(key, rights)
        return rights

    def is_built_in(self, role: str) -> bool:
        """Tell whether the role is one of policy.csv; a custom role of the same name has no effect."""
        return role in self._built_in

    def roles(self) -> tuple[str, ...]:
        """Return the names of the built-in roles."""
        return tuple(self._built_in)

    def check(self) -> None:
        """Raise PolicyUnavailable unless the policy is loaded, gives rights, and gives none to a nameless caller."""
        if self._fault is not None:
            raise PolicyUnavailable(self._fault)
        if not any(rights.allow for rights in self._built_in.values()):
            raise PolicyUnavailable("the policy gives no right to any role")
        strangers = [("", "", "", ""), ("", _ANYWHERE, "fan", "read"), ("stranger", _ANYWHERE, "fan", "read")]
        if any(self._enforcer.enforce(*request) for request in strangers):
            raise PolicyUnavailable("the policy lets in a caller without a role")

    def _load(self, rows: list[PermissionRow]) -> None:
        if not rows:
            raise PolicyUnavailable("the policy is empty")
        self._enforcer = _enforcer(self._model, rows)
        self._built_in = {role: self._decide_one(role, rows) for role in dict.fromkeys(row.role for row in rows)}

    def _decide_one(self, role: str, rows: Iterable[PermissionRow]) -> RoleRights:
        # Casbin walks every rule for every question, so it is asked with the role's own; a permission that the product
        # does not know, or does not know any more, gives nothing
        own = [row for row in rows if row.role == role and row.permission in PERMISSIONS and row.effect in EFFECTS]
        return _decide(_enforcer(self._model, own), role) if own else RoleRights()


def _enforcer(model: str, rows: Iterable[PermissionRow]) -> Any:
    enforcer: Any = Enforcer(Enforcer.new_model(text=model))
    for row in rows:
        thing, _, act = row.permission.partition(":")
        enforcer.add_policy(row.role, thing, act, row.effect)
    return enforcer


def _decide(enforcer: Any, role: str) -> RoleRights:
    allow, deny = set(), set()
    for permission in PERMISSIONS:
        thing, _, act = permission.partition(":")
        allowed, rule = enforcer.enforce_ex(role, _ANYWHERE, thing, act)
        if allowed:
            allow.add(permission)
        elif rule and rule[-1] == "deny":
            deny.add(permission)
    return RoleRights(frozenset(allow), frozenset(deny))


def _read_policy(path: Path) -> list[PermissionRow]:
    # Casbin's own file adapter turns a line break inside a name into one more rule
    with path.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.reader(file, skipinitialspace=True, strict=True) if line]
    return [_row(line) for line in lines if not line[0].startswith("#")]


def _row(line: list[str]) -> PermissionRow:
    if len(line) != 5 or line[0] != "p":
        raise PolicyUnavailable(f"not a policy rule: {line}")
    _, role, thing, act, effect = line
    row = PermissionRow(role, f"{thing}:{act}", effect)
    if not role or row.permission not in PERMISSIONS or effect not in EFFECTS:
        raise PolicyUnavailable(f"a policy rule names what is not known: {line}")
    return row
