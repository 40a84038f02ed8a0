"""Granting what fans earn: each source once, held to frequency and caps under the lock of the fan's account."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.bulk import Bulk, among, insert_rows, put
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
) -> list[Granted]:
    """Grant what was not granted yet and return it; of two that name one source the earlier counts.

    The fans are the brand's, as `current_fans` keeps them. A constant number of statements whatever the size. What caps
    leave nothing of is kept too, so that it can be explained and is never looked at again. `locked` are the fans'
    accounts, where the caller has them from `lock_of_fans`.
    """
    wanted = {one.source: one for one in sorted(earnings, key=_order, reverse=True)}
    if not wanted:
        return []
    if locked is None:
        locked = await lock_of_fans(session, programme, {one.fan_id for one in wanted.values()})
    known = await _known(session, programme, list(wanted))
    fresh = sorted((one for source, one in wanted.items() if source not in known), key=_order)
    if not fresh:
        return []
    owner = {asked: account.fan_id for asked, account in locked.items()}
    usage = await _usage(session, programme, fresh, owner)
    given = [_judged(programme, one, owner[one.fan_id], usage) for one in fresh]
    rows, now = [_row(programme, one) for one in given], clock.now()
    await insert_rows(session, Bulk(grants, {**_place(programme), "created_at": now}, _columns(rows)))
    await _count(session, programme, given, usage)
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


async def _usage(
    session: AsyncSession, programme: Programme, fresh: Sequence[Earning], owner: Mapping[int, int]
) -> dict[Key, Used]:
    """Return what the fans have earned by the rules in the periods that count. Their accounts are locked."""
    return await usage_of(session, {key for one in fresh for key in _keys(programme, one, owner[one.fan_id])})


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


def _keys(programme: Programme, one: Earning, fan_id: int) -> list[Key]:
    return keys_of(fan_id, one.rule.id, day_of(one.at, programme.zone))


def _judged(programme: Programme, one: Earning, fan_id: int, usage: dict[Key, Used]) -> Granted:
    """Hold an earning to what was earned before it, and count it for those that come after."""
    keys, zone = _keys(programme, one, fan_id), programme.zone
    verdict = judge(one.rule, one.desired, {key.period: usage[key] for key in keys}, day_of(one.at, zone), zone)
    for key in keys:
        usage[key] = usage[key].plus(verdict.granted)
    return Granted(one, fan_id, verdict, available_at(one.rule, one.at, zone))


def _place(programme: Programme) -> dict[str, int]:
    return {"group_id": programme.group_id, "brand_id": programme.brand_id}


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _row(programme: Programme, given: Granted) -> dict[str, Any]:
    one, verdict = given.earning, given.verdict
    cuts = [{"cap": cut.cap.value, "resetsAt": cut.resets_at and cut.resets_at.isoformat()} for cut in verdict.cuts]
    own = {name: getattr(one, name) for name in ("source", "event_id", "order_id", "referral_id", "units", "per_unit")}
    return own | {
        "fan_id": given.fan_id,
        "rule_id": one.rule.id,
        "rule_version": one.rule.version,
        "event": one.rule.event,
        "occurred_at": one.at,
        "day": day_of(one.at, programme.zone),
        "desired_points": verdict.desired.points,
        "desired_growth": verdict.desired.growth,
        "granted_points": verdict.granted.points,
        "granted_growth": verdict.granted.growth,
        "cuts": cuts or None,
        "available_at": given.available_at,
        "taken_points": 0,
        "taken_growth": 0,
    }


async def _count(
    session: AsyncSession, programme: Programme, given: Sequence[Granted], usage: Mapping[Key, Used]
) -> None:
    """Write the counters of what was earned; the accounts are locked, so that nobody else counts meanwhile."""
    touched = {key for one in given if one.verdict.granted for key in _keys(programme, one.earning, one.fan_id)}
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
