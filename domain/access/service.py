"""Writes of rights. Each bumps the group's policy version in its own transaction, so that it binds the next request."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.access.models import Grant, Staff
from domain.access.rules import Node, missing_permissions
from domain.errors import BadInput, DomainError, Forbidden, NotFound
from domain.ids import BrandId, DealerId, GrantId, StaffId, StoreId
from domain.scope import Scope
from domain.tables import table_of
from domain.tenancy.models import Brand, Dealer, Group, Store

grants, groups, staff = table_of(Grant), table_of(Group), table_of(Staff)
_PLACES = ((Store, "store_id"), (Dealer, "dealer_id"), (Brand, "brand_id"))


class AlreadyGranted(DomainError):
    code = "ALREADY_GRANTED"
    default = "They hold this role here already."


@dataclass(frozen=True)
class RoleGrant:
    """A role for a staff member at a node: a store, else a dealer, else a brand, else the whole group."""

    staff_id: StaffId
    role: str
    brand_id: BrandId | None = None
    dealer_id: DealerId | None = None
    store_id: StoreId | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class GrantRef:
    """A grant to be taken back."""

    grant_id: GrantId


async def grant_role(
    session: AsyncSession, scope: Scope, wanted: RoleGrant, permissions: Collection[str], to: Staff
) -> int:
    """Give the role, whose permissions are given, and return the grant's id.

    Raises Forbidden where the giver lacks one of the permissions at the node, or gives to themselves.
    """
    node = await _node(session, scope, to.group_id, wanted)
    lacking = missing_permissions(scope, {*permissions, "role:assign"}, node)
    if lacking:
        raise Forbidden(f"You cannot give what you do not hold there: {', '.join(lacking)}.")
    if scope.principal == f"staff:{to.id}":
        raise Forbidden("Nobody gives a role to themselves.")
    if wanted.expires_at is not None and wanted.expires_at <= clock.now():
        raise BadInput("expiresAt must lie in the future.", field=("input", "expiresAt"))
    row = {**vars(node), "staff_id": to.id, "role": wanted.role}
    same = [grants.c[name].is_not_distinct_from(value) for name, value in row.items()]
    if (await session.execute(select(grants.c.id).where(*same))).first():
        raise AlreadyGranted(field=("input", "role"))
    stamps = {"granted_by": scope.principal, "expires_at": wanted.expires_at, "created_at": clock.now()}
    grant_id = (await session.execute(insert(grants).values(**row, **stamps).returning(grants.c.id))).scalar_one()
    await _changed(session, scope, node, "role:assign", to.id, {"after": row})
    return int(grant_id)


async def revoke_grant(session: AsyncSession, scope: Scope, grant: Grant, permissions: Collection[str]) -> None:
    """Take a grant back. Raises Forbidden where the caller lacks what the role gives: none unseats their superior."""
    node = Node(grant.group_id, grant.brand_id, grant.dealer_id, grant.store_id)
    lacking = missing_permissions(scope, permissions, node)
    if lacking:
        raise Forbidden(f"You cannot take back what you do not hold there: {', '.join(lacking)}.")
    await session.execute(delete(grants).where(grants.c.id == grant.id))
    before = {**vars(node), "staff_id": grant.staff_id, "role": grant.role}
    await _changed(session, scope, node, "role:revoke", grant.staff_id, {"before": before})


async def disable_staff(session: AsyncSession, scope: Scope, member: Staff) -> None:
    """Shut a staff member out from their next request on."""
    await session.execute(update(staff).where(staff.c.id == member.id).values(disabled_at=clock.now()))
    detail = {"before": {"disabled": member.disabled_at is not None}, "after": {"disabled": True}}
    await _changed(session, scope, Node(member.group_id), "staff:disable", member.id, detail)


async def _changed(
    session: AsyncSession, scope: Scope, node: Node, action: str, staff_id: int | None, detail: dict[str, Any]
) -> None:
    bump = update(groups).where(groups.c.id == node.group_id).values(policy_version=groups.c.policy_version + 1)
    await session.execute(bump)
    deed = audit.Deed(node.group_id, node.brand_id, action, f"Staff:{staff_id}", detail)
    await audit.record(session, scope.principal, [deed])


async def _node(session: AsyncSession, scope: Scope, group_id: int, wanted: RoleGrant) -> Node:
    """Find the node a grant names, with those above it.

    Raises NotFound for one that is not in the group, that the giver has nothing to do with, or below another.
    """
    for model, name in _PLACES:
        place_id = getattr(wanted, name)
        if place_id is None:
            continue
        table = table_of(model)
        visible = scope.where_shared("role:assign", table)
        statement = select(table).where(table.c.id == place_id, table.c.group_id == group_id, visible)
        found = (await session.execute(statement)).one_or_none()
        if found is None:
            raise _no_such(name)
        above = {level: getattr(found, level, None) for level in ("brand_id", "dealer_id")}
        node = Node(group_id, **{**above, name: place_id})
        for level in above:
            if getattr(wanted, level) not in (None, getattr(node, level)):
                raise _no_such(level)
        return node
    return Node(group_id)


def _no_such(place: str) -> NotFound:
    return NotFound(field=("input", place.replace("_i", "I")))
