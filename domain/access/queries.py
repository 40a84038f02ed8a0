"""Reads of staff, grants and roles, for those who may assign them and for authentication."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock, reads
from domain.access.models import Grant, Role, RolePermission, Staff
from domain.errors import NotFound
from domain.page import Page, PageArgs, Sort, paginate
from domain.scope import Scope
from domain.tables import table_of

staff, grants = table_of(Staff), table_of(Grant)
roles, role_permissions = table_of(Role), table_of(RolePermission)


async def get_staff(session: AsyncSession, scope: Scope, staff_id: int) -> Staff:
    """Return a staff member whom the caller may see. Raises NotFound for any other."""
    found = await reads.by_id(session, _visible_staff(scope), Staff, [staff_id])
    if staff_id not in found:
        raise NotFound
    return found[staff_id]


async def list_staff(session: AsyncSession, scope: Scope, args: PageArgs) -> Page[Staff]:
    """Return a page of the staff whom the caller may see."""
    return await paginate(session, select(staff).where(_visible_staff(scope)), Sort("id", (staff.c.id,)), args)


def _visible_staff(scope: Scope) -> ColumnElement[bool]:
    # seen where they hold a role; who holds none yet is seen by those who read the staff of the whole group
    here = select(grants.c.staff_id).where(grants.c.staff_id.is_not(None), scope.where("staff:read", grants))
    return or_(staff.c.id.in_(here), scope.where("staff:read", staff))


async def grants_by_staff(
    session: AsyncSession, scope: Scope, staff_ids: Sequence[int], first: int
) -> dict[int, list[Grant]]:
    """Return the grants of each staff member that lie where the caller may read staff."""
    visible = select(grants).where(scope.where("staff:read", grants))
    statement = reads.first_of_each(visible, "staff_id", staff_ids, (grants.c.id,), first)
    return reads.grouped(await reads.rows(session, statement, Grant), lambda row: row.staff_id or 0)


async def get_grant(session: AsyncSession, scope: Scope, grant_id: int) -> Grant:
    """Return a grant the caller may take back. Raises NotFound for any other."""
    found = await reads.by_id(session, scope.where("role:assign", grants), Grant, [grant_id])
    if grant_id not in found:
        raise NotFound
    return found[grant_id]


async def role_rows(session: AsyncSession, group_id: int, code: str | None = None) -> list[Any]:
    """Return (code, permission, effect) of the group's own roles."""
    statement = (
        select(roles.c.code, role_permissions.c.permission, role_permissions.c.effect)
        .join(role_permissions, role_permissions.c.role_id == roles.c.id)
        .where(roles.c.group_id == group_id)
    )
    if code is not None:
        statement = statement.where(roles.c.code == code)
    return list((await session.execute(statement)).all())


def valid(table: Any) -> Any:
    """Build the condition that a grant or key has not expired."""
    return or_(table.c.expires_at.is_(None), table.c.expires_at > clock.now())
