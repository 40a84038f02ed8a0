"""Who the caller is, and the rights of others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from authz.permissions import PERMISSIONS
from authz.templates import CustomRoles, PermissionRow
from domain.access import queries, service
from domain.access.models import Grant, Staff
from domain.access.rules import Node
from domain.access.service import GrantRef, RoleGrant
from domain.errors import BadInput, Forbidden
from domain.ids import StaffId
from domain.inputs import said
from domain.page import Page, PageArgs
from resolvers.context import Context


@dataclass(frozen=True)
class Caller:
    """Who is asking and what they may do anywhere."""

    principal: str
    group_id: int | None
    permissions: list[str]


@dataclass(frozen=True)
class StaffRef:
    """A staff member."""

    staff_id: StaffId = said("The staff member.")


async def viewer(context: Context) -> Caller:
    """Say who the caller is and which permissions they hold anywhere."""
    held = [permission for permission in PERMISSIONS if context.scope.can(permission)]
    return Caller(context.viewer.principal, context.scope.group_id, held)


async def list_staff(context: Context, *, page: PageArgs) -> Page[Staff]:
    """List the staff who hold a role where the caller may read staff."""
    async with context.reading() as session:
        return await queries.list_staff(session, context.scope, page)


async def grants_of(context: Context, staff: Sequence[Staff], *, first: int = 20) -> Sequence[list[Grant]]:
    """The roles they hold, as far as the caller may see."""
    async with context.reading() as session:
        found = await queries.grants_by_staff(session, context.scope, [member.id for member in staff], first)
    return [found.get(member.id, []) for member in staff]


async def grant_role(context: Context, input: RoleGrant) -> dict[str, Any]:
    """Give a staff member a role at the group, a brand, a dealer or a store; never more than the caller holds there."""
    async with context.transaction() as session:
        to = await queries.get_staff(session, context.scope, input.staff_id)
        permissions = await _permissions_of(context, session, to.group_id, input.role)
        grant_id = await service.grant_role(session, context.scope, input, permissions, to)
        return {"grant": await queries.get_grant(session, context.scope, grant_id), "staff": to}


async def revoke_grant(context: Context, input: GrantRef) -> dict[str, Any]:
    """Take a role back; it binds the next request of its holder."""
    async with context.transaction() as session:
        grant = await queries.get_grant(session, context.scope, input.grant_id)
        permissions = await _permissions_of(context, session, grant.group_id, grant.role, known=True)
        await service.revoke_grant(session, context.scope, grant, permissions)
        return {"revoked_id": grant.id}


async def disable_staff(context: Context, input: StaffRef) -> dict[str, Any]:
    """Shut a staff member out from their next request on."""
    async with context.transaction() as session:
        member = await queries.get_staff(session, context.scope, input.staff_id)
        if not context.scope.holds("staff:write", Node(member.group_id)):
            raise Forbidden("Only the group's own administrators disable staff.")
        await service.disable_staff(session, context.scope, member)
        return {"staff": await queries.get_staff(session, context.scope, input.staff_id)}


async def _permissions_of(context: Context, session: Any, group_id: int, role: str, known: bool = False) -> set[str]:
    rows = await queries.role_rows(session, group_id, role)
    custom = CustomRoles(group_id, context.scope.policy_version, tuple(PermissionRow(*row) for row in rows))
    rights = context.services.templates.of(role, custom)
    if not rights.allow and not rights.deny and not known:
        raise BadInput("No such role.", field=("input", "role"))
    # what a role denies is touched too: without it, who is barred could lift the bar
    return set(rights.allow | rights.deny)
