"""The caller, staff and their roles."""

from datetime import datetime

import strawberry

from resolvers import access, tenancy
from schema.bind import Payload, column, mutation, query, relation, value
from schema.ids import encode
from schema.page import Connection
from schema.tenancy import Brand, Dealer, Store


@strawberry.type(description="Who is asking.")
class Viewer:
    principal: str = column("The caller's name in the audit log, such as `staff:12`.")
    permissions: list[str] = column("The permissions the caller holds anywhere.", size=1)


@strawberry.type(
    description="A role given to a staff member at a node: a store, else a dealer, else a brand, else all."
)
class Grant:
    id = value(lambda row: encode("Grant", row.id), strawberry.ID, "The grant's id.")
    role: str = column("The role.")
    granted_by: str = column("Who gave it.")
    expires_at: datetime | None = column("When it ends; null for never.")
    created_at: datetime = column("When it was given.")
    brand = relation(tenancy.brands_of, Brand | None, permission="tenancy:read")
    dealer = relation(tenancy.dealers_of, Dealer | None, permission="tenancy:read")
    store = relation(tenancy.stores_of, Store | None, permission="tenancy:read")


@strawberry.type(description="A person who works for the group, a brand or a dealer.")
class Staff:
    id = value(lambda row: encode("Staff", row.id), strawberry.ID, "The staff member's id.")
    name: str = column("Their name.")
    subject: str = column("Who their identity provider says they are.")
    disabled_at: datetime | None = column("When they were shut out; null where they were not.")
    grants = relation(access.grants_of, list[Grant])


@strawberry.type(description="What grantRole answers.")
class GrantRolePayload(Payload):
    grant: Grant | None = column("The grant that was made.")
    staff: Staff | None = column("The staff member who holds it.")


@strawberry.type(description="What revokeGrant answers.")
class RevokeGrantPayload(Payload):
    revoked_id = value(
        lambda root: None if root.revoked_id is None else encode("Grant", root.revoked_id),
        strawberry.ID | None,
        "The id of the grant that is no more.",
    )


@strawberry.type(description="What disableStaff answers.")
class DisableStaffPayload(Payload):
    staff: Staff | None = column("The staff member as they are now.")


@strawberry.type
class AccessQuery:
    viewer = query(access.viewer, Viewer, permission="viewer:read")
    staff = query(access.list_staff, Connection[Staff], permission="staff:read")


@strawberry.type
class AccessMutation:
    grant_role = mutation(access.grant_role, GrantRolePayload, permission="role:assign")
    revoke_grant = mutation(access.revoke_grant, RevokeGrantPayload, permission="role:assign")
    disable_staff = mutation(access.disable_staff, DisableStaffPayload, permission="staff:write")
