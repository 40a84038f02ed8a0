"""What was granted to a caller: read when their group's policy has a version that was not seen yet."""

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from authz.compile import GrantRow
from authz.templates import PermissionRow
from authz.viewer import ServiceViewer, StaffViewer
from domain.access.models import Grant, Role, RolePermission
from domain.tables import table_of

_grants, _roles, _permissions = table_of(Grant), table_of(Role), table_of(RolePermission)

_GRANT_COLUMNS = (_grants.c.role, _grants.c.brand_id, _grants.c.dealer_id, _grants.c.store_id, _grants.c.expires_at)
_STAFF_GRANTS = select(*_GRANT_COLUMNS).where(
    _grants.c.staff_id == bindparam("principal_id"), _grants.c.group_id == bindparam("group_id")
)
_API_KEY_GRANTS = select(*_GRANT_COLUMNS).where(
    _grants.c.api_key_id == bindparam("principal_id"), _grants.c.group_id == bindparam("group_id")
)
_ROLE_PERMISSIONS = (
    select(_roles.c.code, _permissions.c.permission, _permissions.c.effect)
    .join(_permissions, _permissions.c.role_id == _roles.c.id)
    .where(_roles.c.group_id == bindparam("group_id"), _roles.c.code.in_(bindparam("codes", expanding=True)))
)


async def list_grants(session: AsyncSession, viewer: StaffViewer | ServiceViewer) -> list[GrantRow]:
    """Return the principal's grants, expired ones too."""
    if isinstance(viewer, StaffViewer):
        statement, principal_id = _STAFF_GRANTS, viewer.staff_id
    else:
        statement, principal_id = _API_KEY_GRANTS, viewer.api_key_id
    found = await session.execute(statement, {"principal_id": principal_id, "group_id": viewer.group_id})
    return [GrantRow._make(row) for row in found]


async def list_role_permissions(session: AsyncSession, group_id: int, codes: set[str]) -> tuple[PermissionRow, ...]:
    """Return what the group's own roles of these codes allow and deny."""
    found = await session.execute(_ROLE_PERMISSIONS, {"group_id": group_id, "codes": sorted(codes)})
    return tuple(PermissionRow._make(row) for row in found)
