from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import SQLModel

from domain.tables import key, moment, ref, within


class Referral(SQLModel, table=True):
    """Who brought a fan to a brand (推荐): the first valid referrer, for ever."""

    __tablename__ = "referrals"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        within("fans", "brand_id", "referrer_fan_id"),
        within("fans", "brand_id", "invitee_fan_id"),
        UniqueConstraint("invitee_fan_id"),
        CheckConstraint("referrer_fan_id <> invitee_fan_id", name="not_self"),
        Index("ix_referrals_brand_id_id", "brand_id", "id"),
        Index("ix_referrals_referrer_fan_id", "referrer_fan_id", "id"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    referrer_fan_id: int = ref()
    invitee_fan_id: int = ref()
    referred_at: datetime = moment()
    created_at: datetime = moment(now=True)
