from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from domain.columns import JsonOrNull
from domain.tables import key, moment, ref, within

CODE_LENGTH, SOURCE_LENGTH = 64, 200
_OF_ORDERS = text("order_id IS NOT NULL")


class Basis(StrEnum):
    """What a rule's points and growth are for: EVENT gives them each time, AMOUNT for every so much money."""

    EVENT = "EVENT"
    AMOUNT = "AMOUNT"


class Frequency(StrEnum):
    """How often a fan earns by a rule: EACH time, once a natural day of the brand (DAILY), or ONCE ever."""

    EACH = "EACH"
    DAILY = "DAILY"
    ONCE = "ONCE"


class Beneficiary(StrEnum):
    """Who earns: the FAN who did it, or, where another brought them, that REFERRER or BOTH of them."""

    FAN = "FAN"
    REFERRER = "REFERRER"
    BOTH = "BOTH"


class Period(StrEnum):
    """What a counter counts over."""

    DAY = "DAY"
    MONTH = "MONTH"
    EVER = "EVER"


def _one_of(column: str, enum: type[StrEnum]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(one.value) for one in enum)})", name=column)


class PointRule(SQLModel, table=True):
    """What a brand gives points (积分) and growth (成长值) for. Money is in minor units of its currency.

    A rule counts what happened from `starts_at` on and before `ends_at`. Caps are per fan, in the brand's days.
    """

    __tablename__ = "point_rules"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        UniqueConstraint("brand_id", "code"),
        UniqueConstraint("brand_id", "id"),
        _one_of("basis", Basis),
        _one_of("frequency", Frequency),
        _one_of("beneficiary", Beneficiary),
        CheckConstraint("points >= 0 AND growth >= 0 AND points + growth > 0", name="gives"),
        CheckConstraint("(basis = 'AMOUNT') = (per_amount IS NOT NULL)", name="per_amount"),
        CheckConstraint("per_amount IS NULL OR per_amount > 0", name="per_amount_positive"),
        CheckConstraint("delay_days BETWEEN 0 AND 3660", name="delay_days"),
        Index("ix_point_rules_brand_event", "brand_id", "event"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    code: str = Field(sa_type=String(CODE_LENGTH))
    name: str = Field(sa_type=String(100))
    module: str = Field(sa_type=String(64))
    event: str = Field(sa_type=String(64))
    order_source: str | None = Field(default=None, sa_type=String(64))
    basis: Basis = Field(default=Basis.EVENT, sa_type=String(8))
    points: int = Field(default=0, sa_type=BigInteger)
    growth: int = Field(default=0, sa_type=BigInteger)
    per_amount: int | None = Field(default=None, sa_type=BigInteger)
    frequency: Frequency = Field(default=Frequency.EACH, sa_type=String(8))
    beneficiary: Beneficiary = Field(default=Beneficiary.FAN, sa_type=String(8))
    daily_points_cap: int | None = Field(default=None, sa_type=BigInteger)
    daily_growth_cap: int | None = Field(default=None, sa_type=BigInteger)
    monthly_points_cap: int | None = Field(default=None, sa_type=BigInteger)
    monthly_growth_cap: int | None = Field(default=None, sa_type=BigInteger)
    delay_days: int = Field(default=0)
    starts_at: datetime = moment()
    ends_at: datetime | None = moment(nullable=True)
    enabled: bool = Field(default=True)
    version: int = Field(default=1)
    created_at: datetime = moment(now=True)
    updated_at: datetime = moment(now=True)


class PointGrant(SQLModel, table=True):
    """What one thing earned one fan by one rule: how much the rule wanted to give, how much it gave, and what cut it.

    `source` names what earned it, once for ever in the brand. `taken_*` is what was to be taken back since, by
    refunds or for cheating; what came of that the ledger says. Of an order, `units` is how much of it earned: so many
    times `per_unit`, or its whole price where the rule goes by the event.
    """

    __tablename__ = "point_grants"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        within("fans", "brand_id", "fan_id"),
        within("point_rules", "brand_id", "rule_id"),
        UniqueConstraint("brand_id", "source"),
        CheckConstraint("taken_points BETWEEN 0 AND granted_points", name="taken_points"),
        CheckConstraint("taken_growth BETWEEN 0 AND granted_growth", name="taken_growth"),
        Index("ix_point_grants_fan_id_id", "fan_id", "id"),
        Index("ix_point_grants_brand_id_id", "brand_id", "id"),
        Index("ix_point_grants_rule_id_id", "rule_id", "id"),
        Index("ix_point_grants_order_id", "order_id", sqlite_where=_OF_ORDERS, postgresql_where=_OF_ORDERS),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    rule_id: int = ref()
    rule_version: int
    source: str = Field(sa_type=String(SOURCE_LENGTH))
    event: str = Field(sa_type=String(64))
    event_id: int | None = ref(nullable=True)
    order_id: int | None = ref(nullable=True)
    referral_id: int | None = ref(nullable=True)
    occurred_at: datetime = moment()
    day: date
    units: int | None = Field(default=None, sa_type=BigInteger)
    per_unit: int | None = Field(default=None, sa_type=BigInteger)
    desired_points: int = Field(sa_type=BigInteger)
    desired_growth: int = Field(sa_type=BigInteger)
    granted_points: int = Field(sa_type=BigInteger)
    granted_growth: int = Field(sa_type=BigInteger)
    cuts: list[Any] | None = Field(default=None, sa_type=JsonOrNull)
    available_at: datetime | None = moment(nullable=True)
    taken_points: int = Field(default=0, sa_type=BigInteger)
    taken_growth: int = Field(default=0, sa_type=BigInteger)
    reversed_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)


class PointCounter(SQLModel, table=True):
    """How often and how much a fan earned by a rule in one day, one month or ever. What caps are held by.

    `starts_on` is the first day of the period in the brand's calendar.
    """

    __tablename__ = "point_counters"
    __table_args__ = (
        within("fans", "brand_id", "fan_id"),
        within("point_rules", "brand_id", "rule_id"),
        _one_of("period", Period),
        CheckConstraint("times >= 0 AND points >= 0 AND growth >= 0", name="counts"),
    )

    fan_id: int = Field(primary_key=True, sa_type=ref().sa_type)
    rule_id: int = Field(primary_key=True, sa_type=ref().sa_type)
    period: Period = Field(primary_key=True, sa_type=String(5))
    starts_on: date = Field(primary_key=True)
    group_id: int = ref()
    brand_id: int = ref()
    times: int = Field(default=0)
    points: int = Field(default=0, sa_type=BigInteger)
    growth: int = Field(default=0, sa_type=BigInteger)
