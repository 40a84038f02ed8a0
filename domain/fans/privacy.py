"""What the fan's own row holds. It goes last, when nothing names it any more."""

from typing import Any

from sqlalchemy import Select, select

from domain.fans.models import Fan
from domain.privacy.subject import Holding, Shown, Subject, plainly, shows
from domain.tables import table_of

fans = table_of(Fan)
OURS = {"version", "erasedAt", "dealerId", "storeId", "sourceAccountId"}


def _fan(subject: Subject) -> Select[Any]:
    return select(fans).where(fans.c.id == subject.fan_id)


def _profile(subject: Subject, row: Any) -> Shown:
    phone = None if row.phone_cipher is None else subject.keys.open(row.phone_cipher, "fans.phone")
    return {"phone": phone} | {name: value for name, value in plainly(subject, row).items() if name not in OURS}


HOLDING = Holding(
    tables=("fans", "fan_name_parts"),
    sections={"profile": shows(_fan, (fans.c.id,), _profile)},
    why="the row itself is deleted at the end, and triggers take the parts of its nickname with it",
)
