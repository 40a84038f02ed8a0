"""Row-level security: the scope's reach as settings of a PostgreSQL transaction, and the policies that read them.

The last of three walls, after the predicate every query builds from its scope and the write guard: it holds where code
forgets both.
"""

from functools import lru_cache

from domain.scope import Scope, TenantSet

_LISTS = ("groups", "brands", "dealers", "stores", "fans", "above_groups", "above_brands", "above_dealers")
WALL_VALUES = 1 + len(_LISTS)

# What places a row of each table; a table's own id stands in for the level it is.
FAN_TABLES = ("fans", "orders", "redemptions")
BRAND_TABLES = (
    *("channel_accounts", "identity_brands", "fan_aliases", "fan_tags", "fan_tag_lists"),
    *("order_lines", "cascades", "shares", "referrals"),
    *("event_definitions", "events", "event_keys", "event_counts", "fan_activity", "follows", "hot_counts"),
    *("attributes", "fan_attributes", "fan_changes", "fan_name_parts"),
    *("consents", "consent_records", "erasures"),
    *("order_refunds", "point_rules", "point_grants", "point_counters"),
    "gifts",
    *("points_programmes", "point_accounts", "point_transfers", "point_entries"),
    *("point_lots", "point_draws", "point_pendings", "point_adjustments", "point_seals"),
    *("levels", "level_programmes", "fan_levels"),
)
# What is a fan's alone: their brand's staff may see that it is there, another fan or a dealer may not.
OWN_TABLES = ("jobs", "export_parts")
GROUP_TABLES = (
    *("persons", "person_aliases", "identities", "blocked_identities", "identity_conflicts"),
    *("roles", "role_permissions", "staff", "api_keys", "grants"),
)
# what holds rows of several brands is for those alone whose scope is the whole group
WHOLE_GROUP_TABLES = ("person_merges", "merge_moves")


def wall_values(scope: Scope) -> tuple[str, ...]:
    """Return the scope's reach as the settings say it, in the order of their names."""
    return _written(scope.reach)


@lru_cache(maxsize=10_000)
def _written(reach: TenantSet) -> tuple[str, ...]:
    lists = ("{" + ",".join(map(str, sorted(getattr(reach, name)))) + "}" for name in _LISTS)
    return ("on" if reach.everything else "off", *lists)


def wall_settings(scope: Scope, statement_seconds: float | None = None) -> tuple[str, tuple[object, ...]]:
    """Return the one statement, with its parameters, that binds a transaction to the scope's reach."""
    values = [*wall_values(scope)]
    calls = _calls(1)
    if statement_seconds is not None:
        values.append(f"{int(statement_seconds * 1000)}ms")
        calls.append(f"set_config('statement_timeout', ${len(values)}, true)")
    return f"SELECT {', '.join(calls)}", tuple(values)


def wall_gate(first: int) -> str:
    """Return the condition that binds the statement it stands in to the `wall_values` at parameter `first` and after.

    It names no column, so PostgreSQL decides it before it reads a row (a one-time filter), and the settings end with
    the statement where that is its own transaction. Were it decided later, the policies would let nothing through.
    """
    return f"(SELECT {' || '.join(_calls(first))}) IS NOT NULL"


def _calls(first: int) -> list[str]:
    names = enumerate(("everything", *_LISTS), start=first)
    return [f"set_config('app.{name}', ${number}, true)" for number, name in names]


def _listed(column: str, *lists: str) -> str:
    # the sub-select makes PostgreSQL read the setting once a statement and not once a row; after the transaction that
    # set it, it is empty and not unset
    setting = "(SELECT NULLIF(current_setting('app.{}', true), '')::bigint[])::bigint[]"
    return " OR ".join(f"{column} = ANY ({setting.format(name)})" for name in lists)


_EVERYTHING = "(SELECT current_setting('app.everything', true)) = 'on'"


def _fan_level(fan: str) -> str:
    levels = [("group_id", "groups"), ("brand_id", "brands"), ("dealer_id", "dealers"), ("store_id", "stores")]
    return " OR ".join(_listed(column, name) for column, name in [*levels, (fan, "fans")])


def _brand_level(brand: str) -> str:
    return f"{_listed('group_id', 'groups')} OR {_listed(brand, 'brands', 'above_brands')}"


def _own_level(fan: str) -> str:
    levels = [("group_id", "groups"), ("brand_id", "brands"), (fan, "fans")]
    return " OR ".join(_listed(column, name) for column, name in levels)


def _group_level(group: str) -> str:
    return _listed(group, "groups", "above_groups")


def policies() -> dict[str, str]:
    """Return, for each table with a wall, the condition a row must meet to be read or written."""
    walls = {
        "groups": _group_level("id"),
        "brands": _brand_level("id"),
        "dealers": f"{_brand_level('brand_id')} OR {_listed('id', 'dealers', 'above_dealers')}",
        "stores": f"{_brand_level('brand_id')} OR {_listed('id', 'stores')}",
        "tags": f"{_brand_level('brand_id')} OR (brand_id IS NULL AND ({_group_level('group_id')}))",
        "audit_log": f"{_brand_level('brand_id')} OR (brand_id IS NULL AND ({_group_level('group_id')}))",
    }
    walls |= {name: _fan_level("id" if name == "fans" else "fan_id") for name in FAN_TABLES}
    walls |= {name: _brand_level("brand_id") for name in BRAND_TABLES}
    walls |= {name: _own_level("fan_id") for name in OWN_TABLES}
    walls |= {name: _group_level("group_id") for name in GROUP_TABLES}
    walls |= {name: _listed("group_id", "groups") for name in WHOLE_GROUP_TABLES}
    return {name: f"{_EVERYTHING} OR {condition}" for name, condition in walls.items()}
