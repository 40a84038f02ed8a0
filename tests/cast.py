"""Who plays in a test beside the callers of world W, and what the stage looks like before and after."""

from typing import Any

from sqlalchemy import insert, select, update

from authz.authenticate import Authenticator
from domain.access.models import Grant, Role, RolePermission, Staff
from domain.scope import Scope, system_scope
from domain.tables import metadata, table_of
from domain.tenancy.models import Group
from tests.world import Client, World

EVERYTHING = system_scope("test")
LEVELS = ("group_id", "brand_id", "dealer_id", "store_id")


def at(world: World, node: str) -> dict[str, int]:
    """Return the tenant columns of a node such as `g1/b1/d1`."""
    parts = node.split("/")
    return {LEVELS[n]: world.nodes["/".join(parts[: n + 1])] for n in range(len(parts))}


async def add(world: World, model: Any, **values: Any) -> int:
    """Insert a row past every right and return its id."""
    table = table_of(model)
    async with world.services.database.writing(EVERYTHING) as session:
        return int((await session.execute(insert(table).values(**values).returning(table.c.id))).scalar_one())


async def hire(world: World, name: str, *grants: tuple[str, str], group: str = "g1") -> None:
    """Make a staff member who holds each (role, node)."""
    world.staff[name] = await add(world, Staff, group_id=world.nodes[group], subject=name, name=name)
    for role, node in grants:
        await give(world, name, role, node)


async def give(world: World, name: str, role: str, node: str) -> int:
    """Give a role past every right, so that it binds the next request."""
    grant = await add(world, Grant, **at(world, node), staff_id=world.staff[name], role=role, granted_by="test")
    groups = table_of(Group)
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(groups).values(policy_version=groups.c.policy_version + 1))
    return grant


async def make_role(world: World, code: str, group: str = "g1", **permissions: str) -> None:
    """Make a role of the group's own from permissions such as `fan__read="allow"`."""
    group_id = world.nodes[group]
    role_id = await add(world, Role, group_id=group_id, code=code, name=code)
    for name, effect in permissions.items():
        permission = name.replace("__", ":")
        await add(world, RolePermission, group_id=group_id, role_id=role_id, permission=permission, effect=effect)


def token_of(world: World, who: str) -> str:
    """Return the token of a caller of world W or of somebody hired."""
    known = who == "SERVICE" or "#" in who
    return world.token(who) if known else world.services.tokens.mint_staff(who)


async def scope_of(world: World, who: str) -> Scope:
    """Return the scope the product compiles for a caller."""
    services = world.services
    authenticator = Authenticator(services.database, services.tokens, services.templates)
    header = f"Bearer {token_of(world, who)}"
    return (await authenticator.authenticate(header, "fan" if "#" in who else "staff"))[1]


async def ask(client: Client, who: str, query: str, **variables: Any) -> dict[str, Any]:
    """Return the whole answer to somebody hired."""
    return await ask_with(client, token_of(client.world, who), query, **variables)


async def ask_with(
    client: Client, token: str | None, query: str, path: str = "/graphql", **variables: Any
) -> dict[str, Any]:
    """Return the whole answer to whoever holds the token."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    answer = await client.http.post(path, json={"query": query, "variables": variables}, headers=headers)
    assert answer.status_code < 500, answer.text
    found: dict[str, Any] = answer.json()
    return found


def codes(answer: dict[str, Any]) -> list[str]:
    """Return the codes of an answer's errors."""
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


async def snapshot(world: World) -> dict[str, list[Any]]:
    """Return every row of every table."""
    async with world.services.database.reading(EVERYTHING) as session:
        return {
            table.name: sorted(map(repr, await session.execute(select(table))))
            for table in metadata.sorted_tables
            if table.name != "alembic_version"
        }


def changed(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> set[str]:
    """Return the names of the tables that differ."""
    return {name for name, rows in before.items() if rows != after[name]}
