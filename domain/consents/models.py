from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, String, text
from sqlmodel import Field, SQLModel

from domain.columns import BigInt
from domain.tables import key, moment, ref, within

POLICY_LENGTH, EVIDENCE_LENGTH = 64, 200


class Purpose(StrEnum):
    """What personal data may be used for, beyond what serving the fan needs (处理目的).

    MARKETING is being written to, PROFILING is being described, tagged and scored by machine, PERSONALISATION is being
    shown other things than others, LOCATION is use of where they are, GROUP_SHARING is passing data to the group's
    other brands. GUARDIAN is said by the guardian of a child under 14: that the child may be described at all.
    """

    MARKETING = "MARKETING"
    PROFILING = "PROFILING"
    PERSONALISATION = "PERSONALISATION"
    LOCATION = "LOCATION"
    GROUP_SHARING = "GROUP_SHARING"
    GUARDIAN = "GUARDIAN"


_PURPOSES = ", ".join(repr(purpose.value) for purpose in Purpose)


class Consent(SQLModel, table=True):
    """Where a fan stands with one purpose now: read by everything that needs consent, written with its record."""

    __tablename__ = "consents"
    __table_args__ = (
        within("fans", "brand_id", "fan_id"),
        CheckConstraint(f"purpose IN ({_PURPOSES})", name="purpose"),
        Index(
            "ix_consents_standing",
            "brand_id",
            "purpose",
            "fan_id",
            sqlite_where=text("granted"),
            postgresql_where=text("granted"),
        ),
    )

    fan_id: int = Field(primary_key=True, sa_type=BigInt)
    purpose: Purpose = Field(primary_key=True, sa_type=String(16))
    group_id: int = ref()
    brand_id: int = ref()
    granted: bool
    policy: str = Field(sa_type=String(POLICY_LENGTH))
    at: datetime = moment(now=True)


class ConsentRecord(SQLModel, table=True):
    """One time a fan agreed to a purpose or took it back. Never changed; erased with the fan."""

    __tablename__ = "consent_records"
    __table_args__ = (
        within("fans", "brand_id", "fan_id"),
        CheckConstraint(f"purpose IN ({_PURPOSES})", name="purpose"),
        Index("ix_consent_records_fan_id_id", "fan_id", "id"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    purpose: Purpose = Field(sa_type=String(16))
    granted: bool
    policy: str = Field(sa_type=String(POLICY_LENGTH))
    evidence: str | None = Field(default=None, sa_type=String(EVIDENCE_LENGTH))
    principal: str = Field(sa_type=String(255))
    at: datetime = moment(now=True)
