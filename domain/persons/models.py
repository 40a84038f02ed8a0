from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, Uuid
from sqlalchemy import String as Text
from sqlmodel import Field, SQLModel

from domain.columns import BigInt, Json
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
    # an id is never given twice: that of a person who was merged away still leads to whom they are now
    __table_args__ = (UniqueConstraint("group_id", "id"), {"sqlite_autoincrement": True})

    id: int = key()
    group_id: int = ref("groups.id")
    uid: UUID = Field(default_factory=uuid4, sa_type=Uuid, unique=True)
    created_at: datetime = moment(now=True)


class Identity(SQLModel, table=True):
    """A key that leads to one person of the group. The value is encrypted; the hash is keyed and holds kind and issuer.

    `verified_at` says when a phone was proved to be the person's, for the first time. `first_brand_id` is the brand
    that was told of it first; those that were told later are `IdentityBrand`s.
    """

    __tablename__ = "identities"
    __table_args__ = (
        within("persons", "group_id", "person_id"),
        UniqueConstraint("group_id", "value_hash"),
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
    verified_at: datetime | None = moment(nullable=True)
    first_brand_id: int | None = ref(nullable=True)
    created_at: datetime = moment(now=True)


class IdentityBrand(SQLModel, table=True):
    """That a brand was told of an identity which another was told of before: it may look for its fan by it."""

    __tablename__ = "identity_brands"
    identity_id: int = Field(
        primary_key=True, sa_type=BigInt, sa_column_args=[ForeignKey("identities.id", ondelete="CASCADE")]
    )
    brand_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_kwargs={"autoincrement": False})
    group_id: int = ref()


class BlockedIdentity(SQLModel, table=True):
    """A value that leads to nobody in this group, beside those that never do: a number that many people share."""

    __tablename__ = "blocked_identities"
    __table_args__ = (
        UniqueConstraint("group_id", "value_hash"),
        Index("ix_blocked_identities_group", "group_id", "id"),
    )

    id: int = key()
    group_id: int = ref("groups.id")
    kind: IdentityKind = Field(sa_type=Text(16))
    issuer: str = Field(default="", sa_type=Text(128))
    value_hash: bytes = Field(sa_type=LargeBinary(32))
    value_cipher: bytes = Field(sa_type=LargeBinary)
    reason: str = Field(sa_type=Text(500))
    blocked_by: str = Field(sa_type=Text(255))
    created_at: datetime = moment(now=True)


class ConflictState(StrEnum):
    """Where a conflict of identities stands: OPEN, or decided. Persons of a rejected one are kept apart."""

    OPEN = "OPEN"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class IdentityConflict(SQLModel, table=True):
    """Two persons whom a claim named as one although their strong identities differ: for staff to decide.

    The persons are named without a foreign key: what was decided outlives whom it was about.
    """

    __tablename__ = "identity_conflicts"
    __table_args__ = (
        UniqueConstraint("group_id", "one_person_id", "other_person_id"),
        Index("ix_identity_conflicts_state", "group_id", "state", "id"),
        Index("ix_identity_conflicts_one", "one_person_id"),
        Index("ix_identity_conflicts_other", "other_person_id"),
        CheckConstraint("one_person_id < other_person_id", name="ordered"),
        CheckConstraint(f"state IN ({', '.join(repr(s.value) for s in ConflictState)})", name="state"),
    )

    id: int = key()
    group_id: int = ref("groups.id")
    one_person_id: int = ref()
    other_person_id: int = ref()
    state: ConflictState = Field(default=ConflictState.OPEN, sa_type=Text(16))
    kind: IdentityKind = Field(sa_type=Text(16))
    issuer: str = Field(default="", sa_type=Text(128))
    evidence: str = Field(default="", sa_type=Text(200))
    times: int = Field(default=1)
    last_at: datetime = moment(now=True)
    decided_by: str | None = Field(default=None, sa_type=Text(255))
    decided_at: datetime | None = moment(nullable=True)
    note: str | None = Field(default=None, sa_type=Text(500))
    created_at: datetime = moment(now=True)


class MergeReason(StrEnum):
    """Why two persons were made one: by identities a claim named, by a decided conflict, or by hand."""

    IDENTITIES = "IDENTITIES"
    REVIEW = "REVIEW"
    MANUAL = "MANUAL"


class Side(StrEnum):
    """One of the two persons of a merge."""

    SURVIVOR = "SURVIVOR"
    ABSORBED = "ABSORBED"


class PersonMerge(SQLModel, table=True):
    """That one person was absorbed by another: who did it, why, by which evidence, and whether it was undone."""

    __tablename__ = "person_merges"
    __table_args__ = (
        UniqueConstraint("group_id", "id"),
        Index("ix_person_merges_survivor", "survivor_person_id"),
        Index("ix_person_merges_absorbed", "absorbed_person_id"),
        CheckConstraint(f"reason IN ({', '.join(repr(r.value) for r in MergeReason)})", name="reason"),
        CheckConstraint(f"later_went_to IN ({', '.join(repr(s.value) for s in Side)})", name="later_went_to"),
    )

    id: int = key()
    group_id: int = ref("groups.id")
    survivor_person_id: int = ref()
    absorbed_person_id: int = ref()
    absorbed_uid: UUID = Field(sa_type=Uuid)
    absorbed_created_at: datetime = moment()
    reason: MergeReason = Field(sa_type=Text(16))
    merged_by: str = Field(sa_type=Text(255))
    kind: IdentityKind | None = Field(default=None, sa_type=Text(16))
    issuer: str | None = Field(default=None, sa_type=Text(128))
    evidence: str = Field(default="", sa_type=Text(200))
    note: str | None = Field(default=None, sa_type=Text(500))
    created_at: datetime = moment(now=True)
    undone_by: str | None = Field(default=None, sa_type=Text(255))
    undone_at: datetime | None = moment(nullable=True)
    undone_note: str | None = Field(default=None, sa_type=Text(500))
    later_went_to: Side | None = Field(default=None, sa_type=Text(16))


class MergeMove(SQLModel, table=True):
    """What one merge moved, dropped or changed in one table, as it was before: what undoing it puts back.

    `gone_fan_id` and `into_fan_id` are the two fans of one brand who became one; they are absent for what belongs to
    the person alone.
    """

    __tablename__ = "merge_moves"
    __table_args__ = (
        within("person_merges", "group_id", "merge_id"),
        Index("ix_merge_moves_merge_id", "merge_id", "id"),
        Index("ix_merge_moves_into_fan_id", "into_fan_id"),
        Index("ix_merge_moves_gone_fan_id", "gone_fan_id"),
    )

    id: int = key()
    group_id: int = ref()
    merge_id: int = ref()
    what: str = Field(sa_type=Text(32))
    brand_id: int | None = ref(nullable=True)
    gone_fan_id: int | None = ref(nullable=True)
    into_fan_id: int | None = ref(nullable=True)
    before: dict[str, Any] = Field(sa_type=Json)


class PersonAlias(SQLModel, table=True):
    """Whom the id of a person who was merged away leads to now."""

    __tablename__ = "person_aliases"
    __table_args__ = (within("persons", "group_id", "person_id"), Index("ix_person_aliases_person_id", "person_id"))

    old_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_kwargs={"autoincrement": False})
    group_id: int = ref()
    person_id: int = ref()


class FanAlias(SQLModel, table=True):
    """Whom the id of a fan who was merged away leads to now."""

    __tablename__ = "fan_aliases"
    __table_args__ = (within("fans", "brand_id", "fan_id"), Index("ix_fan_aliases_fan_id", "fan_id"))

    old_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_kwargs={"autoincrement": False})
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()


class GroupKey(SQLModel, table=True):
    """The data key of a group, wrapped by the deployment's master key."""

    __tablename__ = "group_keys"
    __table_args__ = (UniqueConstraint("group_id", "version"),)

    id: int = key()
    group_id: int = ref("groups.id")
    version: int
    wrapped_key: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = moment(now=True)
