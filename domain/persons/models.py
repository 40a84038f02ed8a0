from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Index, LargeBinary, UniqueConstraint, Uuid
from sqlalchemy import String as Text
from sqlmodel import Field, SQLModel

from domain.tables import key, moment, ref, within


class IdentityKind(StrEnum):
    """What an identity is; `issuer` says whose: the account of an openid, the system of an external id."""

    OPENID = "OPENID"
    UNIONID = "UNIONID"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    EXTERNAL_ID = "EXTERNAL_ID"
    DEVICE = "DEVICE"


class Person(SQLModel, table=True):
    """A natural person (OneID, 自然人), once in a group."""

    __tablename__ = "persons"
    __table_args__ = (UniqueConstraint("group_id", "id"),)

    id: int = key()
    group_id: int = ref("groups.id")
    uid: UUID = Field(default_factory=uuid4, sa_type=Uuid, unique=True)
    created_at: datetime = moment(now=True)


class Identity(SQLModel, table=True):
    """A key that leads to one person of the group. Found by the keyed hash; the value itself is encrypted."""

    __tablename__ = "identities"
    __table_args__ = (
        within("persons", "group_id", "person_id"),
        UniqueConstraint("group_id", "kind", "issuer", "value_hash"),
        Index("ix_identities_person_id", "person_id"),
        CheckConstraint(f"kind IN ({', '.join(repr(k.value) for k in IdentityKind)})", name="kind"),
    )

    id: int = key()
    group_id: int = ref()
    person_id: int = ref()
    kind: IdentityKind = Field(sa_type=Text(16))
    issuer: str = Field(default="", sa_type=Text(128))
    value_hash: bytes = Field(sa_type=LargeBinary(32))
    value_cipher: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = moment(now=True)


class GroupKey(SQLModel, table=True):
    """The data key of a group, wrapped by the deployment's master key."""

    __tablename__ = "group_keys"
    __table_args__ = (UniqueConstraint("group_id", "version"),)

    id: int = key()
    group_id: int = ref("groups.id")
    version: int
    wrapped_key: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = moment(now=True)
