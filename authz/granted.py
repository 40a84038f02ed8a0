"""Rights as the database says them now: compiled for a request, and asked again where work goes on without one."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from authz import records
from authz.compile import GrantRow, compile_scope
from authz.templates import CustomRoles, Templates
from authz.viewer import ServiceViewer, StaffViewer
from domain import clock
from domain.access.models import ApiKey, Staff
from domain.scope import Scope
from domain.tables import table_of
from domain.tenancy.models import Group

_staff, _keys, _groups = table_of(Staff), table_of(ApiKey), table_of(Group)


async def compile_granted(
    session: AsyncSession, templates: Templates, viewer: StaffViewer | ServiceViewer, version: int, now: datetime
) -> tuple[Scope, list[GrantRow]]:
    """Return the scope of what was granted to a caller, and the grants it is made of."""
    grants = await records.list_grants(session, viewer)
    custom = await _custom_roles(session, templates, viewer.group_id, version, grants)
    scope = compile_scope(
        viewer.principal,
        viewer.group_id,
        grants,
        rights=lambda role: templates.of(role, custom),
        policy_version=version,
        now=now,
    )
    return scope, grants


async def scope_of(session: AsyncSession, templates: Templates, principal: str, group_id: int) -> Scope | None:
    """Return what a principal of the group may do now, or None where they may not come in any more."""
    viewer = await _viewer(session, principal, group_id)
    if viewer is None:
        return None
    # read before the grants: what is kept under a version is never older than it
    wanted = select(_groups.c.policy_version).where(_groups.c.id == group_id)
    version = (await session.execute(wanted)).scalar_one()
    return (await compile_granted(session, templates, viewer, version, clock.now()))[0]


async def _viewer(session: AsyncSession, principal: str, group_id: int) -> StaffViewer | ServiceViewer | None:
    kind, _, number = principal.partition(":")
    if kind == "staff" and number.isdecimal():
        mine = (_staff.c.id == int(number), _staff.c.group_id == group_id, _staff.c.disabled_at.is_(None))
        row = (await session.execute(select(_staff).where(*mine))).one_or_none()
        return None if row is None else StaffViewer(row.id, row.group_id, row.name, row.subject)
    if kind == "api_key" and number.isdecimal():
        own = (_keys.c.id == int(number), _keys.c.group_id == group_id, _keys.c.revoked_at.is_(None))
        key = (await session.execute(select(_keys).where(*own))).one_or_none()
        is_over = key is None or (key.expires_at is not None and key.expires_at <= clock.now())
        return None if key is None or is_over else ServiceViewer(key.id, key.group_id, key.name)
    return None


async def _custom_roles(
    session: AsyncSession, templates: Templates, group_id: int, version: int, grants: list[GrantRow]
) -> CustomRoles:
    codes = {grant.role for grant in grants if not templates.is_built_in(grant.role)}
    rows = await records.list_role_permissions(session, group_id, codes) if codes else ()
    return CustomRoles(group_id, version, rows)
