from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, LargeBinary, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.tables import key, moment, ref, within


class Effect(StrEnum):
    """What a permission row of a role says; a deny wins over every allow at the same node or above."""

    ALLOW = "allow"
    DENY = "deny"


class Staff(SQLModel, table=True):
    """A person who works for the group, a brand or a dealer. `subject` is who their identity provider says they are."""

    __tablename__ = "staff"
    __table_args__ = (UniqueConstraint("group_id", "id"),)

    id: int = key()
    group_id: int = ref("groups.id", index=True)
    subject: str = Field(sa_type=String(255), unique=True)
    name: str = Field(sa_type=String(200))
    disabled_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)


class Role(SQLModel, table=True):
    """A role the group made itself. The built-in ones live in authz/policy.csv."""

    __tablename__ = "roles"
    __table_args__ = (UniqueConstraint("group_id", "code"), UniqueConstraint("group_id", "id"))

    id: int = key()
    group_id: int = ref("groups.id")
    code: str = Field(sa_type=String(64))
    name: str = Field(sa_type=String(200))
    created_at: datetime = moment(now=True)


class RolePermission(SQLModel, table=True):
    """One permission of a role of the group's own, such as `fan:read`."""

    __tablename__ = "role_permissions"
    __table_args__ = (
        within("roles", "group_id", "role_id"),
        UniqueConstraint("role_id", "permission"),
        CheckConstraint("effect IN ('allow', 'deny')", name="effect"),
    )

    id: int = key()
    group_id: int = ref()
    role_id: int = ref()
    permission: str = Field(sa_type=String(64))
    effect: Effect = Field(default=Effect.ALLOW, sa_type=String(8))


class ApiKey(SQLModel, table=True):
    """A service's key. The secret is shown once; `secret_hash` is its SHA-256, enough for 256 random bits."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("group_id", "id"),)

    id: int = key()
    group_id: int = ref("groups.id", index=True)
    name: str = Field(sa_type=String(200))
    prefix: str = Field(sa_type=String(16), unique=True)
    secret_hash: bytes = Field(sa_type=LargeBinary(32))
    expires_at: datetime | None = moment(nullable=True)
    revoked_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)


class Grant(SQLModel, table=True):
    """A role given to one staff member or API key at one node; the deepest id that is set is the node."""

    __tablename__ = "grants"
    __table_args__ = (
        within("staff", "group_id", "staff_id"),
        within("api_keys", "group_id", "api_key_id"),
        within("brands", "group_id", "brand_id"),
        within("dealers", "brand_id", "dealer_id"),
        within("stores", "dealer_id", "store_id"),
        CheckConstraint("(staff_id IS NULL) <> (api_key_id IS NULL)", name="one_principal"),
        CheckConstraint("dealer_id IS NULL OR brand_id IS NOT NULL", name="dealer_in_brand"),
        CheckConstraint("store_id IS NULL OR dealer_id IS NOT NULL", name="store_in_dealer"),
    )

    id: int = key()
    group_id: int = ref("groups.id")
    staff_id: int | None = ref(nullable=True, index=True)
    api_key_id: int | None = ref(nullable=True, index=True)
    role: str = Field(sa_type=String(64))
    brand_id: int | None = ref(nullable=True)
    dealer_id: int | None = ref(nullable=True)
    store_id: int | None = ref(nullable=True)
    granted_by: str = Field(sa_type=String(255))
    expires_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)
