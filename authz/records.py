"""What authentication reads: one indexed statement each, built once because every request runs one of them."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from authz.compile import GrantRow
from authz.templates import PermissionRow
from authz.tokens import FanClaims
from authz.viewer import ServiceViewer, StaffViewer
from domain.access.models import ApiKey, Grant, Role, RolePermission, Staff
from domain.fans.models import Fan
from domain.tables import table_of
from domain.tenancy.models import Group

_groups, _staff, _keys, _fans = table_of(Group), table_of(Staff), table_of(ApiKey), table_of(Fan)
_grants, _roles, _permissions = table_of(Grant), table_of(Role), table_of(RolePermission)

_STAFF = (
    select(_staff.c.id, _staff.c.group_id, _staff.c.name, _staff.c.disabled_at, _groups.c.policy_version)
    .join(_groups, _groups.c.id == _staff.c.group_id)
    .where(_staff.c.subject == bindparam("subject"))
)
_API_KEY = (
    select(
        *(_keys.c.id, _keys.c.group_id, _keys.c.name, _keys.c.secret_hash, _keys.c.expires_at, _keys.c.revoked_at),
        _groups.c.policy_version,
    )
    .join(_groups, _groups.c.id == _keys.c.group_id)
    .where(_keys.c.prefix == bindparam("prefix"))
)
_FAN = select(_fans.c.id, _fans.c.brand_id, _fans.c.group_id, _fans.c.person_id, _fans.c.dealer_id).where(
    _fans.c.id == bindparam("fan_id"),
    _fans.c.brand_id == bindparam("brand_id"),
    _fans.c.group_id == bindparam("group_id"),
)
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


class StaffRecord(NamedTuple):
    """A staff member, and the version their group's rights are at."""

    id: int
    group_id: int
    name: str
    disabled_at: datetime | None
    policy_version: int


class ApiKeyRecord(NamedTuple):
    """A service's key, and the version its group's rights are at."""

    id: int
    group_id: int
    name: str
    secret_hash: bytes
    expires_at: datetime | None
    revoked_at: datetime | None
    policy_version: int


class FanRecord(NamedTuple):
    """A fan and their place."""

    id: int
    brand_id: int
    group_id: int
    person_id: int
    dealer_id: int | None


async def find_staff(session: AsyncSession, subject: str) -> StaffRecord | None:
    """Return the staff member of this subject, disabled or not, or None."""
    found = (await session.execute(_STAFF, {"subject": subject})).one_or_none()
    return StaffRecord._make(found) if found else None


async def find_api_key(session: AsyncSession, prefix: str) -> ApiKeyRecord | None:
    """Return the key of this prefix, expired or revoked or not, or None."""
    found = (await session.execute(_API_KEY, {"prefix": prefix})).one_or_none()
    return ApiKeyRecord._make(found) if found else None


async def find_fan(session: AsyncSession, claims: FanClaims) -> FanRecord | None:
    """Return the fan where fan, brand and group of the claim belong together, or None."""
    found = (await session.execute(_FAN, claims._asdict())).one_or_none()
    return FanRecord._make(found) if found else None


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
