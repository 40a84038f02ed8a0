from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, String
from sqlmodel import Field, SQLModel

from domain.tables import moment, ref, within

MAX_MONTHS = 120


class ExpiryPolicy(StrEnum):
    """When granted points expire (积分有效期)."""

    NEVER = "NEVER"
    ROLLING_MONTHS = "ROLLING_MONTHS"
    END_OF_YEAR = "END_OF_YEAR"


class ClawBackPolicy(StrEnum):
    """What is taken back of points that were granted already: nothing, what is there, or all of it, as debt."""

    ONLY_PENDING = "ONLY_PENDING"
    WITHIN_BALANCE = "WITHIN_BALANCE"
    DEBT = "DEBT"


class PointsProgramme(SQLModel, table=True):
    """A brand's points programme (积分计划). A brand without a row has the one of `rules.DEFAULTS`."""

    __tablename__ = "points_programmes"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        CheckConstraint(f"expiry IN ({', '.join(repr(p.value) for p in ExpiryPolicy)})", name="expiry"),
        CheckConstraint(f"claw_back IN ({', '.join(repr(p.value) for p in ClawBackPolicy)})", name="claw_back"),
        CheckConstraint(
            "(expiry = 'ROLLING_MONTHS') = (expiry_months IS NOT NULL) AND "
            f"(expiry_months IS NULL OR expiry_months BETWEEN 1 AND {MAX_MONTHS})",
            name="expiry_months",
        ),
        CheckConstraint("four_eyes_limit >= 0", name="four_eyes_limit"),
    )

    brand_id: int = Field(primary_key=True, sa_type=ref().sa_type, sa_column_kwargs={"autoincrement": False})
    group_id: int = ref()
    expiry: ExpiryPolicy = Field(sa_type=String(16))
    expiry_months: int | None = None
    claw_back: ClawBackPolicy = Field(sa_type=String(16))
    four_eyes_limit: int | None = Field(default=None, sa_type=BigInteger)
    version: int = Field(default=1)
    created_at: datetime = moment(now=True)
    updated_at: datetime = moment(now=True)
