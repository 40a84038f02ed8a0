"""Granting what fans earn: each source once, held to frequency and caps under the lock of the fan's account."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.bulk import Bulk, among, insert_all, put
from domain.compiled import Among, Compiled
from domain.fans.models import Fan
from domain.persons.models import FanAlias
from domain.points.earning.models import PointCounter, PointGrant
from domain.points.earning.rules import UNUSED, Amounts, Key, Used, Verdict, available_at, day_of, judge, keys_of
from domain.points.ledger.accounts import Account, lock_of_fans
from domain.points.ledger.rules import Earn
from domain.points.ledger.service import earn
from domain.points.programme.rules import Programme
from domain.tables import table_of

grants, counters = table_of(PointGrant), table_of(PointCounter)
fans, aliases = table_of(Fan), table_of(FanAlias)


@dataclass(frozen=True)
class Earning:
    """What a fan may earn by a rule for one thing. `source` names that thing, once for ever in the brand."""

    rule: Any
    fan_id: int
    source: str
    at: datetime
    desired: Amounts
    reference: str
    event_id: int | None = None
    order_id: int | None = None
    referral_id: int | None = None
    units: int | None = None
    per_unit: int | None = None
    request_key: str | None = None


@dataclass(frozen=True)
class Granted:
    """What came of an earning: what the caps left of it, and from when it can be spent where that is not at once."""

    id: int
    earning: Earning
    fan_id: int
    verdict: Verdict
    available_at: datetime | None


async def grant(
    session: AsyncSession,
    programme: Programme,
    earnings: Iterable[Earning],
    *,
    actor: str,
    locked: Mapping[int, Account] | None = None,
    known: Collection[str] | None = None,
) -> list[Granted]:
    """Grant what was not granted yet and return it; of two that name one source the earlier counts.

    The fans are the brand's, as `current_fans` keeps them. A constant number of statements whatever the size. What caps
    leave nothing of is kept too, so that it can be explained and is never looked at again. `locked` are the fans'
    accounts, where the caller has them from `lock_of_fans`, and `known` the sources it has found granted since.
    """
    wanted = {one.source: one for one in sorted(earnings, key=_order, reverse=True)}
    if not wanted:
        return []
    if locked is None:
        locked = await lock_of_fans(session, programme, {one.fan_id for one in wanted.values()})
    if known is None:
        known = await _known(session, programme, list(wanted))
    fresh = sorted((one for source, one in wanted.items() if source not in known), key=_order)
    if not fresh:
        return []
    counted = [_Counted.of(programme, one, locked[one.fan_id].fan_id) for one in fresh]
    usage = await usage_of(session, {key for one in counted for key in one.keys})
    judged = [(one, _judge(programme, one, usage)) for one in counted]
    given = await _write(session, programme, judged)
    await _count(session, programme, judged, usage)
    posted = [_posted(one) for one in given if one.verdict.granted]
    await earn(session, programme, posted, actor=actor, locked={one.fan_id: one for one in locked.values()})
    return given


async def current_fans(session: AsyncSession, brand_id: int, fan_ids: Collection[int]) -> dict[int, int]:
    """Return who the brand's fans of these ids are now, kept there until the transaction ends: a merge waits.

    Who was erased, or is of another brand, is left out. To be asked before accounts are locked, as a merge does.
    """
    there = await _living(session, brand_id, fan_ids)
    found = {fan_id: fan_id for fan_id in there}
    missing = sorted(set(fan_ids) - there)
    if missing:
        gone = (aliases.c.brand_id == brand_id, among(session, aliases.c.old_id, missing))
        leads = {row.old_id: row.fan_id for row in await session.execute(select(aliases).where(*gone))}
        heirs = await _living(session, brand_id, set(leads.values())) if leads else set()
        found |= {old: fan_id for old, fan_id in leads.items() if fan_id in heirs}
    return found


async def _living(session: AsyncSession, brand_id: int, fan_ids: Collection[int]) -> set[int]:
    return set(await _select_living.scalars(session, brand=brand_id, fans=sorted(fan_ids)))


@Compiled
def _select_living(among: Among) -> Select[Any]:
    mine = (fans.c.brand_id == bindparam("brand"), among(fans.c.id, "fans"), fans.c.erased_at.is_(None))
    return select(fans.c.id).where(*mine).order_by(fans.c.id).with_for_update(read=True, key_share=True)


def _order(one: Earning) -> tuple[datetime, int, str]:
    return one.at, one.event_id or one.order_id or 0, one.source


async def _known(session: AsyncSession, programme: Programme, sources: Sequence[str]) -> set[str]:
    mine = (grants.c.brand_id == programme.brand_id, among(session, grants.c.source, sources))
    return set((await session.execute(select(grants.c.source).where(*mine))).scalars())


async def usage_of(session: AsyncSession, keys: Collection[Key]) -> dict[Key, Used]:
    """Return what the counters say, in one statement; what was never counted is UNUSED."""
    of = {
        "fans": sorted({key.fan_id for key in keys}),
        "rules": sorted({key.rule_id for key in keys}),
        "starts": sorted({key.starts_on for key in keys}),
    }
    found = {Key(*row[:4]): Used(*row[4:]) for row in await _select_used.rows(session, **of)}
    return {key: found.get(key, UNUSED) for key in keys}


@Compiled
def _select_used(among: Among) -> Select[Any]:
    of = (("fan_id", "fans"), ("rule_id", "rules"), ("starts_on", "starts"))
    columns = [counters.c[name] for name in (*Key._fields, *Used._fields)]
    return select(*columns).where(*(among(counters.c[column], name) for column, name in of))


class _Counted(NamedTuple):
    """An earning, whose it is by now, and in which counters it counts."""

    earning: Earning
    fan_id: int
    day: date
    keys: Sequence[Key]

    @classmethod
    def of(cls, programme: Programme, one: Earning, fan_id: int) -> "_Counted":
        day = day_of(one.at, programme.zone)
        return cls(one, fan_id, day, keys_of(fan_id, one.rule.id, day))


def _judge(programme: Programme, one: _Counted, usage: dict[Key, Used]) -> Verdict:
    """Hold an earning to what was earned before it, and count it for those that come after."""
    used = {key.period: usage[key] for key in one.keys}
    verdict = judge(one.earning.rule, one.earning.desired, used, one.day, programme.zone)
    for key in one.keys:
        usage[key] = usage[key].plus(verdict.granted)
    return verdict


async def _write(
    session: AsyncSession, programme: Programme, judged: Sequence[tuple[_Counted, Verdict]]
) -> list[Granted]:
    rows, shared = [_row(programme, *one) for one in judged], {**_place(programme), "created_at": clock.now()}
    ids = await insert_all(session, Bulk(grants, shared, _columns(rows)))
    return [
        Granted(id_, one.earning, one.fan_id, verdict, row["available_at"])
        for id_, (one, verdict), row in zip(ids, judged, rows, strict=True)
    ]


def _place(programme: Programme) -> dict[str, int]:
    return {"group_id": programme.group_id, "brand_id": programme.brand_id}


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _row(programme: Programme, counted: _Counted, verdict: Verdict) -> dict[str, Any]:
    one = counted.earning
    cuts = [{"cap": cut.cap.value, "resetsAt": cut.resets_at and cut.resets_at.isoformat()} for cut in verdict.cuts]
    own = {name: getattr(one, name) for name in ("source", "event_id", "order_id", "referral_id", "units", "per_unit")}
    return own | {
        "fan_id": counted.fan_id,
        "rule_id": one.rule.id,
        "rule_version": one.rule.version,
        "event": one.rule.event,
        "occurred_at": one.at,
        "day": counted.day,
        "desired_points": verdict.desired.points,
        "desired_growth": verdict.desired.growth,
        "granted_points": verdict.granted.points,
        "granted_growth": verdict.granted.growth,
        "cuts": cuts or None,
        "available_at": available_at(one.rule, one.at, programme.zone),
        "taken_points": 0,
        "taken_growth": 0,
    }


async def _count(
    session: AsyncSession,
    programme: Programme,
    judged: Sequence[tuple[_Counted, Verdict]],
    usage: Mapping[Key, Used],
) -> None:
    """Write the counters of what was earned; the accounts are locked, so that nobody else counts meanwhile."""
    touched = {key for one, verdict in judged if verdict.granted for key in one.keys}
    if not touched:
        return
    rows = [{**key._asdict(), "period": key.period.value, **usage[key]._asdict()} for key in sorted(touched)]
    await put(session, Bulk(counters, _place(programme), _columns(rows)))


def _posted(given: Granted) -> Earn:
    one, granted = given.earning, given.verdict.granted
    return Earn(
        given.fan_id,
        one.source,
        granted.points,
        granted.growth,
        one.rule.name,
        one.at,
        given.available_at,
        one.rule.id,
        one.reference,
        one.request_key,
    )
