"""The beginning of a deployment: a group with its administrator, brands, and keys for services."""

from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import select

from authz.templates import Templates
from authz.tokens import new_api_key
from domain.access import service as access
from domain.access.models import Staff
from domain.access.rules import Node
from domain.database import Database
from domain.scope import Scope, system_scope
from domain.tables import table_of
from domain.tenancy import service as tenancy
from domain.tenancy.models import Brand, Group
from server.commands.settings import CommandError, read_settings, run
from server.runtime import database_of
from server.settings import Settings

app = typer.Typer(no_args_is_help=True)
console = Console()
groups, brands, staff = table_of(Group), table_of(Brand), table_of(Staff)
SCOPE: Scope = system_scope("command")
ADMIN = "GROUP_ADMIN"

GroupCode = Annotated[str, typer.Argument(help="The group's code.")]


@app.command()
def group(
    code: GroupCode,
    name: Annotated[str, typer.Argument(help="Its name.")],
    admin: Annotated[str, typer.Option(help="The administrator, as the identity provider names them (`sub`).")],
) -> None:
    """Make a group with its data key and its first administrator."""
    run(_group(read_settings(for_people=True), code, name, admin))
    console.print(f"The group {code} is there, and {admin} administers it.", highlight=False)


async def _group(settings: Settings, code: str, name: str, admin: str) -> None:
    async with database_of(settings) as (database, vault), database.writing(SCOPE) as session:
        group_id = await tenancy.create_group(session, vault, code=code, name=name)
        staff_id = await access.add_staff(session, group_id, subject=admin, name=admin)
        member = (await session.execute(select(staff).where(staff.c.id == staff_id))).one()
        permissions = Templates().of(ADMIN).allow
        await access.grant_role(session, SCOPE, access.RoleGrant(staff_id, ADMIN), permissions, member)  # type: ignore[arg-type]


@app.command()
def brand(
    group: GroupCode,
    code: Annotated[str, typer.Argument(help="The brand's code, unique in the group.")],
    name: Annotated[str, typer.Argument(help="Its name.")],
    currency: Annotated[str, typer.Option(help="ISO 4217 code of its money; it cannot change later.")] = "CNY",
    time_zone: Annotated[str, typer.Option(help="The zone of its natural days.")] = "Asia/Shanghai",
) -> None:
    """Make a brand of a group."""
    run(_brand(read_settings(for_people=True), group, code, name, currency, time_zone))
    console.print(f"The brand {group}/{code} is there.", highlight=False)


async def _brand(settings: Settings, group: str, code: str, name: str, currency: str, time_zone: str) -> None:
    async with database_of(settings) as (database, _):
        node = await find_node(database, group)
        async with database.writing(SCOPE) as session:
            await tenancy.create_brand(
                session, node.group_id, code=code, name=name, currency=currency, time_zone=time_zone
            )


@app.command()
def key(
    node: Annotated[str, typer.Argument(help="Where it holds: GROUP or GROUP/BRAND.")],
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[str, typer.Option(help="The role it has there.")] = "SERVICE",
) -> None:
    """Make an API key and print it, once."""
    print(run(_key(read_settings(for_people=True), node, name, role)))  # noqa: T201


async def _key(settings: Settings, path: str, name: str, role: str) -> str:
    if not Templates().is_built_in(role):
        raise CommandError(f"there is no role {role}")
    async with database_of(settings) as (database, _):
        node = await find_node(database, path)
        async with database.writing(SCOPE) as session:
            made = new_api_key()
            key_id = await access.add_api_key(
                session, SCOPE, node.group_id, name=name, prefix=made.prefix, secret_hash=made.secret_hash
            )
            await access.grant_to_key(session, SCOPE, key_id, role, node)
    return made.full_key


async def find_node(database: Database, path: str) -> Node:
    """Find a group, or a brand as GROUP/BRAND. Raises CommandError where there is none."""
    group, _, code = path.partition("/")
    statement = select(groups.c.id, brands.c.id).select_from(groups)
    statement = statement.outerjoin(brands, (brands.c.group_id == groups.c.id) & (brands.c.code == code))
    async with database.reading(SCOPE) as session:
        found = (await session.execute(statement.where(groups.c.code == group))).first()
    if found is None or (code and found[1] is None):
        raise CommandError(f"there is no {path}")
    return Node(found[0], found[1])
