"""A compiled scope sees what Casbin, asked about one row at a time, says it sees: in Python and in SQL.

The oracle is a plain Enforcer over paths. It knows roles, grants and rows and nothing of the compiler.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, NamedTuple

import pytest
from casbin import Enforcer
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, insert, select
from sqlmodel import SQLModel

from authz.compile import GrantRow, compile_scope
from authz.templates import MODEL, CustomRoles, PermissionRow, Templates
from domain.fans.models import Fan
from domain.scope import Scope
from domain.tables import table_of
from domain.tenancy.models import Brand, Dealer, Store

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ASKED = ("fan:read", "fan:write")
TEMPLATES = Templates()
VERSIONS = count(1)


class Place(NamedTuple):
    """A node: ids repeat between levels, and one is the beginning of another, on purpose."""

    group: int
    brand: int | None = None
    dealer: int | None = None
    store: int | None = None

    @property
    def path(self) -> str:
        return "/".join(f"{letter}{node}" for letter, node in zip("gbds", self, strict=True) if node is not None)


HOME = [
    *(Place(1), Place(1, 1), Place(1, 10), Place(1, 2)),
    *(Place(1, 1, 1), Place(1, 1, 11), Place(1, 1, 2), Place(1, 10, 10), Place(1, 2, 110)),
    *(Place(1, 1, 1, 1), Place(1, 1, 1, 11), Place(1, 1, 11, 111), Place(1, 10, 10, 10), Place(1, 2, 110, 2)),
]
ABROAD = [Place(11, 11), Place(11, 11, 12), Place(11, 11, 12, 12)]


def under(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer + "/")


def fan_at(number: int, place: Place) -> SQLModel:
    where: dict[str, Any] = {"brand_id": place.brand, "dealer_id": place.dealer, "store_id": place.store}
    return Fan(id=1000 + number, group_id=place.group, person_id=number, currency="CNY", **where)


def node_at(place: Place) -> SQLModel:
    ids = {"brand_id": place.brand, "dealer_id": place.dealer, "store_id": place.store}
    above: dict[str, Any] = {name: node for name, node in ids.items() if node is not None}
    own = above.popitem()[1]
    kind: type[SQLModel] = (Brand, Dealer, Store)[len(above)]
    return kind(id=own, group_id=place.group, code=place.path, name=place.path, **above)


WORLD = [
    *((place, fan_at(number, place)) for number, place in enumerate([*HOME, *ABROAD]) if place.brand is not None),
    *((place, node_at(place)) for place in [*HOME, *ABROAD] if place.brand is not None),
]

# RED allows and BLUE denies in every world, so that most worlds hold a deny that meets an allow; GREEN is anything
effects = st.sampled_from(["allow", "allow", "deny"])
lines = st.sets(st.tuples(st.sampled_from(ASKED), effects), max_size=3)
roles = lines.map(lambda green: {"RED": {(ASKED[0], "allow")}, "BLUE": {(ASKED[0], "deny")}, "GREEN": green})
places = st.sampled_from([*HOME[:4] * 2, *HOME])
expiries = st.sampled_from([None, None, None, NOW, NOW - timedelta(days=1), NOW + timedelta(days=1)])
grant_lists = st.lists(
    st.tuples(st.sampled_from(["RED", "RED", "BLUE", "GREEN", "NONE"]), places, expiries), max_size=6
)
Templated = dict[str, set[tuple[str, str]]]
Granted = list[tuple[str, Place, datetime | None]]


def oracle(templates: Templated, grants: Granted) -> Callable[[str, str], bool]:
    enforcer: Any = Enforcer(str(MODEL))
    enforcer.add_named_domain_matching_func("g", under)
    for role, lines in templates.items():
        for permission, effect in lines:
            enforcer.add_policy(role, *permission.split(":"), effect)
    for role, place, expires_at in grants:
        if expires_at is None or expires_at > NOW:
            enforcer.add_grouping_policy("ann", role, place.path)
    return lambda path, permission: bool(enforcer.enforce("ann", path, *permission.split(":")))


def compiled(templates: Templated, grants: Granted) -> Scope:
    version = next(VERSIONS)
    lines = tuple(PermissionRow(role, *line) for role, lines in templates.items() for line in sorted(lines))
    custom = CustomRoles(1, version, lines)
    return compile_scope(
        "staff:1",
        1,
        [GrantRow(role, place.brand, place.dealer, place.store, expires_at) for role, place, expires_at in grants],
        rights=lambda role: TEMPLATES.of(role, custom),
        policy_version=version,
        now=NOW,
    )


@pytest.fixture(scope="module")
def tables() -> Iterable[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        for model in (Brand, Dealer, Store, Fan):
            table_of(model).create(connection)
        for _, row in WORLD:
            connection.execute(insert(table_of(type(row))), row.model_dump())
        yield connection
    engine.dispose()


def named(row: Any) -> tuple[str, int]:
    return type(row).__name__, row.id


def wanted(allows: Callable[[str, str], bool], permission: str) -> set[tuple[str, int]]:
    answers = {path: allows(path, permission) for path in {place.path for place, _ in WORLD}}
    return {named(row) for place, row in WORLD if answers[place.path]}


def visible_in_sql(connection: Connection, scope: Scope, permission: str) -> set[tuple[str, int]]:
    found = set()
    for model in (Brand, Dealer, Store, Fan):
        table = table_of(model)
        kept = connection.scalars(select(table.c.id).where(scope.where(permission, table)))
        found |= {(model.__name__, node) for node in kept}
    return found


@settings(max_examples=200, deadline=None)
@given(templates=roles, grants=grant_lists)
def test_what_a_query_returns_equals_what_casbin_allows(
    tables: Connection, templates: Templated, grants: Granted
) -> None:
    allows = oracle(templates, grants)
    scope = compiled(templates, grants)

    for permission in ASKED:
        want = wanted(allows, permission)
        assert visible_in_sql(tables, scope, permission) == want
        assert scope.can(permission) or not want


@pytest.mark.parametrize("kinds", [{Fan}, {Brand, Dealer, Store}], ids=["fans", "nodes"])
@settings(max_examples=200, deadline=None)
@given(templates=roles, grants=grant_lists)
def test_the_rows_a_scope_covers_are_those_casbin_allows(
    kinds: set[type[SQLModel]], templates: Templated, grants: Granted
) -> None:
    allows = oracle(templates, grants)
    scope = compiled(templates, grants)

    for permission in ASKED:
        covered = {named(row) for _, row in WORLD if type(row) in kinds and scope.holds(permission, row)}
        names = {kind.__name__ for kind in kinds}
        assert covered == {row for row in wanted(allows, permission) if row[0] in names}


@settings(max_examples=200, deadline=None)
@given(templates=roles, grants=grant_lists)
def test_the_outer_wall_of_a_scope_lets_through_all_that_any_permission_covers(
    templates: Templated, grants: Granted
) -> None:
    scope = compiled(templates, grants)

    for _, row in WORLD:
        if any(scope.holds(permission, row) for permission in ASKED):
            assert scope.reach.covers(row)


def test_the_oracle_knows_the_traps() -> None:
    allows = oracle({"RED": {("fan:read", "allow")}, "BLUE": {("fan:read", "deny")}}, [("RED", Place(1, 1), None)])

    assert allows("g1/b1/d11/s111", "fan:read")
    assert not allows("g1/b10/d10", "fan:read")
    assert not allows("g11/b11", "fan:read")
    assert not allows("g1", "fan:read")
    assert not allows("g1/b1", "fan:write")
