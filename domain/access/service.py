"""Writes of rights. Each bumps the group's policy version in its own transaction, so that it binds the next request."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.access.models import ApiKey, Grant, Staff
from domain.access.queries import valid
from domain.access.rules import Node, missing_permissions
from domain.errors import BadInput, DomainError, Forbidden, NotFound
from domain.ids import BrandId, DealerId, GrantId, StaffId, StoreId
from domain.inputs import said
from domain.scope import Scope
from domain.tables import table_of
from domain.tenancy.models import Brand, Dealer, Group, Store

grants, groups, staff = table_of(Grant), table_of(Group), table_of(Staff)
api_keys = table_of(ApiKey)
_PLACES = ((Store, "store_id"), (Dealer, "dealer_id"), (Brand, "brand_id"))


class AlreadyGranted(DomainError):
    code = "ALREADY_GRANTED"
    default = "They hold this role here already."


class SubjectTaken(DomainError):
    code = "SUBJECT_TAKEN"
    default = "Somebody has this subject already."


@dataclass(frozen=True)
class RoleGrant:
    """A role for a staff member at a node: a store, else a dealer, else a brand, else the whole group."""

    staff_id: StaffId = said("Who gets the role.")
    role: str = said("The role: a built-in one or one of the group.")
    brand_id: BrandId | None = said("The brand it is given at.", None)
    dealer_id: DealerId | None = said("The dealer it is given at.", None)
    store_id: StoreId | None = said("The store it is given at.", None)
    expires_at: datetime | None = said("When it ends; never without it.", None)


@dataclass(frozen=True)
class GrantRef:
    """A grant to be taken back."""

    grant_id: GrantId = said("The grant.")


async def grant_role(
    session: AsyncSession, scope: Scope, wanted: RoleGrant, permissions: Collection[str], to: Staff
) -> int:
    """Give the role, whose permissions are given, and return the grant's id.

    Raises Forbidden where the giver lacks one of the permissions at the node, or gives to themselves.
    """
    await _turn(session, to.group_id)
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
    if (await session.execute(select(grants.c.id).where(*same, valid(grants)))).first():
        raise AlreadyGranted(field=("input", "role"))
    stamps = {"granted_by": scope.principal, "expires_at": wanted.expires_at, "created_at": clock.now()}
    grant_id = (await session.execute(insert(grants).values(**row, **stamps).returning(grants.c.id))).scalar_one()
    await _changed(session, scope, node, "role:assign", to.id, {"after": row})
    return int(grant_id)


async def add_staff(session: AsyncSession, group_id: int, *, subject: str, name: str) -> int:
    """Make a staff member, who can do nothing yet, and return their id. Raises SubjectTaken."""
    row = {"group_id": group_id, "subject": subject, "name": name, "created_at": clock.now()}
    try:
        return int((await session.execute(insert(staff).values(row).returning(staff.c.id))).scalar_one())
    except IntegrityError as error:
        raise SubjectTaken(field=("subject",)) from error


async def add_api_key(
    session: AsyncSession, scope: Scope, group_id: int, *, name: str, prefix: str, secret_hash: bytes
) -> int:
    """Keep a service's key, of which only the hash is kept, and return its id."""
    row = {"group_id": group_id, "name": name, "prefix": prefix, "secret_hash": secret_hash}
    statement = insert(api_keys).values(**row, created_at=clock.now()).returning(api_keys.c.id)
    key_id = int((await session.execute(statement)).scalar_one())
    deed = audit.Deed(group_id, None, "api_key:create", f"ApiKey:{key_id}", {"after": {"name": name}})
    await audit.record(session, scope.principal, [deed])
    return key_id


async def grant_to_key(session: AsyncSession, scope: Scope, key_id: int, role: str, node: Node) -> None:
    """Give an API key a role at a node. For the product's own commands: it asks nobody's rights."""
    stamps = {"granted_by": scope.principal, "created_at": clock.now()}
    await session.execute(insert(grants).values(**vars(node), api_key_id=key_id, role=role, **stamps))
    await _turn(session, node.group_id)


async def revoke_grant(session: AsyncSession, scope: Scope, grant: Grant, permissions: Collection[str]) -> None:
    """Take a grant back. Raises Forbidden where the caller lacks what the role gives: none unseats their superior."""
    node = Node(grant.group_id, grant.brand_id, grant.dealer_id, grant.store_id)
    lacking = missing_permissions(scope, permissions, node)
    if lacking:
        raise Forbidden(f"You cannot take back what you do not hold there: {', '.join(lacking)}.")
    await _turn(session, grant.group_id)
    if not (await session.execute(delete(grants).where(grants.c.id == grant.id).returning(grants.c.id))).first():
        raise NotFound(field=("input", "grantId"))
    before = {**vars(node), "staff_id": grant.staff_id, "role": grant.role}
    await _changed(session, scope, node, "role:revoke", grant.staff_id, {"before": before})


async def disable_staff(session: AsyncSession, scope: Scope, member: Staff) -> None:
    """Shut a staff member out from their next request on."""
    await _turn(session, member.group_id)
    await session.execute(update(staff).where(staff.c.id == member.id).values(disabled_at=clock.now()))
    detail = {"before": {"disabled": member.disabled_at is not None}, "after": {"disabled": True}}
    await _changed(session, scope, Node(member.group_id), "staff:disable", member.id, detail)


async def _turn(session: AsyncSession, group_id: int) -> None:
    """Bump the group's policy version. Its row lock makes changes of one group's rights wait for each other."""
    await session.execute(
        update(groups).where(groups.c.id == group_id).values(policy_version=groups.c.policy_version + 1)
    )


async def _changed(
    session: AsyncSession, scope: Scope, node: Node, action: str, staff_id: int | None, detail: dict[str, Any]
) -> None:
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
