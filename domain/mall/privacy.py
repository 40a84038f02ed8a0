"""What the mall holds about a fan. Redemptions stay for the books, under a stand-in, without where they went."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Select, select

from domain.mall.delivery import opened
from domain.mall.models import Redemption
from domain.privacy.subject import Holding, Subject, hands_over, plainly, shows
from domain.tables import table_of

redemptions = table_of(Redemption)


def _redemptions(subject: Subject) -> Select[Any]:
    return select(redemptions).where(redemptions.c.fan_id == subject.fan_id)


def _shown(subject: Subject, row: Any) -> dict[str, Any]:
    cipher = row.delivery_cipher
    return plainly(subject, row) | {"delivery": None if cipher is None else asdict(opened(subject.keys, cipher))}


_gone = hands_over(redemptions, delivery_cipher=None, carrier=None, tracking_number=None, cancel_reason=None)
HOLDING = Holding(
    tables=("redemptions",),
    sections={"redemptions": shows(_redemptions, (redemptions.c.created_at, redemptions.c.id), _shown)},
    erase=(_gone,),
)
