"""What consents hold about a fan."""

from typing import Any

from sqlalchemy import Select, select

from domain.consents.models import Consent, ConsentRecord
from domain.privacy.subject import Holding, Subject, deletes, shows
from domain.tables import table_of

consents, records = table_of(Consent), table_of(ConsentRecord)


def _records(subject: Subject) -> Select[Any]:
    return select(records).where(records.c.fan_id == subject.fan_id)


HOLDING = Holding(
    tables=("consents", "consent_records"),
    sections={"consents": shows(_records, (records.c.id,))},
    erase=(deletes(consents), deletes(records)),
)
