"""What referrals hold about a fan. Who brought whom stays, or an invitee could be brought, and rewarded, again."""

from functools import partial
from typing import Any

from sqlalchemy import Select, select

from domain.privacy.subject import Holding, Shown, Subject, hands_over, shows
from domain.referrals.models import Referral
from domain.referrals.service import fan_referred
from domain.tables import table_of

referrals = table_of(Referral)


def _referrals(column: str, subject: Subject) -> Select[Any]:
    return select(referrals).where(referrals.c[column] == subject.fan_id)


def _referral(subject: Subject, row: Any) -> Shown:
    ends = {"referrer": subject.opaque(row.referrer_fan_id), "invitee": subject.opaque(row.invitee_fan_id)}
    return ends | {"referredAt": row.referred_at}


HOLDING = Holding(
    tables=("referrals",),
    sections={
        "referredBy": shows(partial(_referrals, "invitee_fan_id"), (referrals.c.id,), _referral),
        "referrals": shows(partial(_referrals, "referrer_fan_id"), (referrals.c.id,), _referral),
    },
    erase=(
        hands_over(referrals, "invitee_fan_id", event=fan_referred),
        hands_over(referrals, "referrer_fan_id", event=fan_referred),
    ),
)
