"""What earning holds about a fan. Grants stay beside the ledger's transfers, under a stand-in; counters go."""

from typing import Any

from sqlalchemy import Select, select

from domain.points.earning.models import PointCounter, PointGrant
from domain.privacy.subject import Holding, Shown, Subject, deletes, hands_over, plainly, shows
from domain.tables import table_of

grants, counters = table_of(PointGrant), table_of(PointCounter)
_INNER = ("ruleId", "ruleVersion", "source", "eventId", "orderId", "referralId")


def _grants(subject: Subject) -> Select[Any]:
    return select(grants).where(grants.c.fan_id == subject.fan_id)


def _grant(subject: Subject, row: Any) -> Shown:
    return {name: value for name, value in plainly(subject, row).items() if name not in _INNER}


HOLDING = Holding(
    tables=("point_grants", "point_counters"),
    sections={"pointGrants": shows(_grants, (grants.c.id,), _grant)},
    erase=(deletes(counters), hands_over(grants, event_id=None)),
)
