"""What was earned in a day, a month or ever: what caps are held by."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import Bulk, replacing
from domain.compiled import Among, Compiled
from domain.looks import Asked
from domain.points.earning.models import PointCounter
from domain.points.earning.rules import UNUSED, Key, Used
from domain.points.programme.rules import Programme
from domain.tables import table_of

counters = table_of(PointCounter)


async def usage_of(session: AsyncSession, keys: Collection[Key]) -> dict[Key, Used]:
    """Return what the counters say, in one statement; what was never counted is UNUSED."""
    one = used_among(keys)
    found = used(await one.select.rows(session, **one.values))
    return {key: found.get(key, UNUSED) for key in keys}


def used_among(keys: Collection[Key]) -> Asked:
    """Ask for counters, beside other things."""
    of = {
        "fans": sorted({key.fan_id for key in keys}),
        "rules": sorted({key.rule_id for key in keys}),
        "starts": sorted({key.starts_on for key in keys}),
    }
    return Asked(_select_used, of)


def used(rows: Iterable[Any]) -> dict[Key, Used]:
    """Return counters by their keys."""
    return {Key(*row[:4]): Used(*row[4:]) for row in rows}


@Compiled
def _select_used(among: Among) -> Select[Any]:
    of = (("fan_id", "fans"), ("rule_id", "rules"), ("starts_on", "starts"))
    columns = [counters.c[name] for name in (*Key._fields, *Used._fields)]
    return select(*columns).where(*(among(counters.c[column], name) for column, name in of))


def counts(programme: Programme, usage: Mapping[Key, Used]) -> list[Bulk]:
    """Return the rows of counters, to be put; the accounts are locked, so that nobody else counts meanwhile."""
    if not usage:
        return []
    keys = sorted(usage)
    columns = {
        **{name: [getattr(key, name) for key in keys] for name in Key._fields},
        "period": [key.period.value for key in keys],
        **{name: [getattr(usage[key], name) for key in keys] for name in Used._fields},
    }
    shared = {"group_id": programme.group_id, "brand_id": programme.brand_id}
    return [replacing(Bulk(counters, shared, columns))]
