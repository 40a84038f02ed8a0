"""From header to scope on a real database: who is let in, what it costs, and how soon a no takes effect."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import SQLModel

from authz.authenticate import Audience, Authenticator
from authz.templates import Templates
from authz.tokens import Tokens, TokenSettings, new_api_key
from authz.viewer import Anonymous, FanViewer, ServiceViewer, StaffViewer
from domain import clock
from domain.access.models import ApiKey, Effect, Grant, Role, RolePermission, Staff
from domain.database import Database
from domain.errors import Unauthenticated
from domain.fans.models import Fan
from domain.persons.models import Person
from domain.scope import system_scope
from domain.standing import Standing
from domain.tables import table_of
from domain.tenancy.models import Brand, Dealer, Group
from tests.authz.identity_provider import FAN, ISSUER, NOW, SECRET, STAFF
from tests.statements import statements_of

TEMPLATES = Templates()
TOKENS = Tokens(TokenSettings(ISSUER, STAFF, FAN, hs256_secret=SECRET))
KEY = new_api_key()
SYSTEM = system_scope("test")


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with clock.at(NOW):
        yield


@pytest.fixture
async def world(database: Database) -> Database:
    """Fill two groups: Ann runs brand 10 of group 1, Bob dealer 100, a service reads, fan 77 is of brand 10."""
    await add(
        database,
        *(Group(id=1, code="g1", name="One"), Group(id=2, code="g2", name="Two")),
        *(Brand(id=10, group_id=1, code="b10", name="B10"), Brand(id=11, group_id=1, code="b11", name="B11")),
        Dealer(id=100, group_id=1, brand_id=10, code="d", name="D"),
        Person(id=7, group_id=1),
        Fan(id=77, group_id=1, brand_id=10, person_id=7, dealer_id=100, currency="CNY"),
        Staff(id=1, group_id=1, subject="ann", name="Ann"),
        Staff(id=2, group_id=1, subject="bob", name="Bob"),
        ApiKey(id=1, group_id=1, name="Shop", prefix=KEY.prefix, secret_hash=KEY.secret_hash),
        Grant(id=1, group_id=1, staff_id=1, role="BRAND_ADMIN", brand_id=10, granted_by="x"),
        Grant(id=2, group_id=1, staff_id=2, role="DEALER_STAFF", brand_id=10, dealer_id=100, granted_by="x"),
        Grant(id=3, group_id=1, api_key_id=1, role="SERVICE", granted_by="x"),
    )
    return database


@pytest.fixture
def door(world: Database) -> Authenticator:
    return Authenticator(world, TOKENS, TEMPLATES)


async def add(database: Database, *rows: SQLModel) -> None:
    async with database.writing(SYSTEM) as session:
        for row in rows:
            session.add(row)
            await session.flush()


async def change(database: Database, model: type[SQLModel], node: int, **values: Any) -> None:
    table = table_of(model)
    async with database.writing(SYSTEM) as session:
        await session.execute(update(table).where(table.c.id == node).values(**values))


async def change_rights(database: Database, model: type[SQLModel], node: int, **values: Any) -> None:
    await change(database, model, node, **values)
    groups = table_of(Group)
    await change(database, Group, 1, policy_version=groups.c.policy_version + 1)


def staff(subject: str) -> str:
    return f"Bearer {TOKENS.mint_staff(subject)}"


def service() -> str:
    return f"Bearer {KEY.full_key}"


def fan(fan_id: int = 77, brand_id: int = 10, group_id: int = 1) -> str:
    return f"Bearer {TOKENS.mint_fan(fan_id, brand_id, group_id)}"


async def refused(door: Authenticator, header: str | None, audience: Audience = "staff", **more: bool) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await door.authenticate(header, audience, **more)
    assert (refusal.value.message, refusal.value.field) == (Unauthenticated.default, ())


async def test_staff_come_in_with_the_rights_of_their_grants(door: Authenticator) -> None:
    viewer, scope = await door.authenticate(staff("ann"), "staff")

    assert viewer == StaffViewer(1, 1, "Ann", "ann")
    assert (viewer.principal, scope.principal, scope.group_id) == ("staff:1", "staff:1", 1)
    assert scope.nodes("fan:write").brands == {10}
    assert not scope.can("staff:write")


async def test_a_service_comes_in_by_its_key_and_the_key_is_not_written_to(
    door: Authenticator, world: Database
) -> None:
    with statements_of(world) as statements:
        viewer, scope = await door.authenticate(service(), "staff")

    assert viewer == ServiceViewer(1, 1, "Shop")
    assert viewer.principal == scope.principal == "api_key:1"
    assert scope.nodes("order:write").groups == {1}
    assert not scope.can("role:assign")
    assert all(statement.startswith("SELECT") for statement in statements)


async def test_a_fan_comes_in_with_their_own_row_by_one_statement(door: Authenticator, world: Database) -> None:
    with statements_of(world) as statements:
        viewer, scope = await door.authenticate(fan(), "fan")

    assert viewer == FanViewer(77, 10, 1, 7)
    assert viewer.principal == scope.principal == "fan:77"
    assert scope.nodes("me:read").fans == {77}
    assert scope.nodes("me:read").above_dealers == {100}
    assert len(statements) == 1


async def test_staff_cost_one_statement_while_nothing_changed(door: Authenticator, world: Database) -> None:
    with statements_of(world) as first:
        _, scope = await door.authenticate(staff("ann"), "staff")
    with statements_of(world) as second:
        _, again = await door.authenticate(staff("ann"), "staff")

    assert (len(first), len(second)) == (2, 1)
    assert again is scope


@pytest.mark.parametrize(
    "header, audience",
    [
        (lambda: None, "staff"),
        (lambda: None, "fan"),
        (lambda: "", "staff"),
        (lambda: "Basic YTpi", "staff"),
        (lambda: staff("nobody"), "staff"),
        (lambda: staff("ann"), "fan"),
        (service, "fan"),
        (fan, "staff"),
        (lambda: fan(78), "fan"),
        (lambda: fan(77, 11), "fan"),
        (lambda: fan(77, 10, 2), "fan"),
        (lambda: service()[:-1] + ("A" if service()[-1] != "A" else "E"), "staff"),
        (lambda: f"Bearer scrm_{'0' * 12}_{'a' * 43}", "staff"),
    ],
)
async def test_whoever_is_not_known_or_at_the_wrong_door_gets_the_same_refusal(
    door: Authenticator, header: Callable[[], str | None], audience: Audience
) -> None:
    await refused(door, header(), audience)


async def test_without_a_token_nothing_is_asked_of_the_database(door: Authenticator, world: Database) -> None:
    with statements_of(world) as statements:
        await refused(door, None)

    assert statements == []


async def test_nobody_is_let_in_only_where_that_is_allowed_and_without_rights(door: Authenticator) -> None:
    viewer, scope = await door.authenticate(None, "fan", anonymous_allowed=True)

    assert viewer == Anonymous()
    assert (scope.principal, scope.group_id, dict(scope.permissions)) == ("anonymous", None, {})
    await refused(door, "", "fan", anonymous_allowed=True)
    await refused(door, "Bearer x", "fan", anonymous_allowed=True)


async def test_disabled_staff_are_refused_at_the_very_next_request(door: Authenticator, world: Database) -> None:
    token = staff("ann")
    await door.authenticate(token, "staff")

    await change(world, Staff, 1, disabled_at=NOW)

    await refused(door, token)
    await door.authenticate(staff("bob"), "staff")


async def test_a_revoked_or_expired_key_is_refused_at_the_very_next_request(
    door: Authenticator, world: Database
) -> None:
    await change(world, ApiKey, 1, expires_at=NOW + timedelta(seconds=1))
    await door.authenticate(service(), "staff")
    with clock.at(NOW + timedelta(seconds=1)):
        await refused(door, service())

    await change(world, ApiKey, 1, expires_at=None, revoked_at=NOW)
    await refused(door, service())


async def test_a_fan_that_is_gone_is_refused(door: Authenticator, world: Database) -> None:
    await door.authenticate(fan(), "fan")

    async with world.writing(SYSTEM) as session:
        await session.delete(await session.get_one(Fan, 77))

    await refused(door, fan(), "fan")


async def test_a_changed_grant_binds_the_next_request_on_every_worker(world: Database) -> None:
    workers = [Authenticator(world, TOKENS, TEMPLATES) for _ in range(2)]
    for worker in workers:
        _, before = await worker.authenticate(staff("ann"), "staff")
        assert before.can("fan:write")

    await change_rights(world, Grant, 1, role="BRAND_ANALYST")

    for worker in workers:
        _, after = await worker.authenticate(staff("ann"), "staff")
        assert not after.can("fan:write")
        assert after.policy_version == 2


async def test_a_grant_ends_at_its_time_though_the_scope_was_kept(door: Authenticator, world: Database) -> None:
    await change(world, Grant, 2, expires_at=NOW + timedelta(minutes=1))
    await add(world, Grant(id=4, group_id=1, staff_id=2, role="BRAND_ANALYST", brand_id=11, granted_by="x"))

    with clock.at(NOW + timedelta(seconds=59)):
        _, before = await door.authenticate(staff("bob"), "staff")
    with clock.at(NOW + timedelta(minutes=1)), statements_of(world) as statements:
        _, after = await door.authenticate(staff("bob"), "staff")
    with clock.at(NOW + timedelta(minutes=2)), statements_of(world) as later:
        await door.authenticate(staff("bob"), "staff")

    assert before.can("tag:write")
    assert not after.can("tag:write")
    assert after.nodes("fan:read").brands == {11}
    assert (len(statements), len(later)) == (2, 1)


async def test_a_role_of_the_groups_own_allows_and_denies_and_another_groups_role_does_not(
    door: Authenticator, world: Database
) -> None:
    await add(
        world,
        *(Role(id=1, group_id=1, code="CARE", name="Care"), Role(id=2, group_id=2, code="SPY", name="Spy")),
        RolePermission(id=1, group_id=1, role_id=1, permission="fan:export"),
        RolePermission(id=2, group_id=1, role_id=1, permission="fan:read", effect=Effect.DENY),
        RolePermission(id=3, group_id=2, role_id=2, permission="audit:read"),
        Grant(id=4, group_id=1, staff_id=2, role="CARE", brand_id=10, granted_by="x"),
        Grant(id=5, group_id=1, staff_id=2, role="SPY", granted_by="x"),
    )

    with statements_of(world) as statements:
        _, scope = await door.authenticate(staff("bob"), "staff")

    assert scope.nodes("fan:export").brands == {10}
    assert not scope.can("fan:read")
    assert scope.can("order:read")
    assert not scope.can("audit:read")
    assert len(statements) == 3


async def test_a_policy_that_cannot_be_read_leaves_everybody_without_rights(world: Database, tmp_path: Path) -> None:
    door = Authenticator(world, TOKENS, Templates(policy=tmp_path / "gone.csv"))

    callers: list[tuple[str, Audience]] = [(staff("ann"), "staff"), (service(), "staff"), (fan(), "fan")]
    for header, audience in callers:
        _, scope = await door.authenticate(header, audience)
        assert not scope.permissions


async def test_a_service_that_was_found_is_remembered_with_what_must_still_be_so(door: Authenticator) -> None:
    assert door.remembered(service(), "staff") is None
    viewer, scope = await door.authenticate(service(), "staff")

    found = door.remembered(service(), "staff")

    assert found is not None
    assert (found.viewer, found.scope) == (viewer, scope)
    assert found.standing == Standing(1, 1, KEY.secret_hash, scope.policy_version)


async def test_nobody_else_is_remembered(door: Authenticator) -> None:
    other = new_api_key()
    for header in (service(), staff("ann")):
        await door.authenticate(header, "staff")
    await door.authenticate(fan(), "fan")
    await refused(door, f"Bearer {other.full_key}")

    unknown: tuple[str | None, ...] = (None, "", "Bearer", "nonsense", staff("ann"), fan(), f"Bearer {other.full_key}")
    assert [door.remembered(header, "staff") for header in unknown] == [None] * len(unknown)
    for header in (service(), fan(), staff("ann")):
        assert door.remembered(header, "fan") is None


async def test_who_was_refused_or_whose_grant_ended_is_not_remembered(door: Authenticator, world: Database) -> None:
    await change_rights(world, Grant, 3, expires_at=NOW + timedelta(hours=1))
    await door.authenticate(service(), "staff")
    assert door.remembered(service(), "staff") is not None
    with clock.at(NOW + timedelta(hours=1)):
        assert door.remembered(service(), "staff") is None

    await change(world, ApiKey, 1, revoked_at=NOW)
    await refused(door, service())

    assert door.remembered(service(), "staff") is None
