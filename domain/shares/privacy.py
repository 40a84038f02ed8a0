"""What shares hold about a fan. A cascade keeps its shape: where the fan stood, somebody without a name stands."""

from functools import partial
from typing import Any

from sqlalchemy import Select, select

from domain.privacy.subject import Holding, Shown, Subject, hands_over, shows
from domain.shares.models import Cascade, Share
from domain.shares.service import share_recorded
from domain.tables import table_of

shares, cascades = table_of(Share), table_of(Cascade)


def _shares(column: str, subject: Subject) -> Select[Any]:
    joined = select(shares, cascades.c.source, cascades.c.code).join(cascades, cascades.c.id == shares.c.cascade_id)
    return joined.where(shares.c[column] == subject.fan_id)


def _share(subject: Subject, row: Any) -> Shown:
    return {
        "cascade": f"{row.source}/{row.code}",
        "from": subject.opaque(row.from_fan_id),
        "to": subject.opaque(row.to_fan_id),
        "channel": row.channel,
        "sharedAt": row.shared_at,
    }


def _cascades(subject: Subject) -> Select[Any]:
    return select(cascades).where(cascades.c.seed_fan_id == subject.fan_id, cascades.c.brand_id == subject.brand_id)


def _cascade(subject: Subject, row: Any) -> Shown:
    return {"cascade": f"{row.source}/{row.code}", "fans": row.size, "createdAt": row.created_at}


HOLDING = Holding(
    tables=("cascades", "shares"),
    sections={
        "cascadesStarted": shows(_cascades, (cascades.c.id,), _cascade),
        "sharesMade": shows(partial(_shares, "from_fan_id"), (shares.c.id,), _share),
        "sharesReceived": shows(partial(_shares, "to_fan_id"), (shares.c.id,), _share),
    },
    erase=(
        hands_over(cascades, "seed_fan_id"),
        hands_over(shares, "from_fan_id", event=share_recorded),
        hands_over(shares, "to_fan_id", event=share_recorded),
    ),
)
