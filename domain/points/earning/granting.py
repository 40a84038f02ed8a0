"""Granting what fans earn: each source once, held to frequency and caps under the lock of the fan's account."""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.bulk import Bulk
from domain.compiled import Among, Compiled
from domain.levels.standing import levels_among, levels_held
from domain.looks import Asked, look
from domain.points.earning.counting import counts, used, used_among
from domain.points.earning.models import PointGrant
from domain.points.earning.rules import UNUSED, Amounts, Key, Used, Verdict, available_at, day_of, judge, keys_of
from domain.points.ledger import earning as ledger
from domain.points.ledger.accounts import Account, lock_of_fans
from domain.points.ledger.book import transfers
from domain.points.ledger.replays import by_source, known_among
from domain.points.ledger.rules import Earn
from domain.points.programme.rules import Programme
from domain.tables import table_of

grants = table_of(PointGrant)


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
    """What came of an earning: what the caps left of it, the grant that says so, and the fan's account after it."""

    earning: Earning
    verdict: Verdict
    row: PointGrant
    account: Account


class Before(NamedTuple):
    """What there was before earnings: accounts by the fans asked for, all locked, and what is known under sources."""

    accounts: Mapping[int, Account]
    granted: Mapping[str, Any]
    counting: Mapping[str, "_Counted"]
    used: Mapping[Key, Used]
    ids: Sequence[int]
    ledger: ledger.Before


async def grant(
    session: AsyncSession, programme: Programme, earnings: Iterable[Earning], *, actor: str
) -> list[Granted]:
    """Grant what was not granted yet and return it; of two that name one source the earlier counts.

    The fans are the brand's, as `hold_fans` keeps them. A constant number of statements whatever the size. What caps
    leave nothing of is kept too, so that it can be explained and is never looked at again.
    """
    wanted = {one.source: one for one in sorted(earnings, key=_order, reverse=True)}
    if not wanted:
        return []
    before, _ = await look_before(session, programme, list(wanted.values()))
    fresh = [one for source, one in wanted.items() if source not in before.granted]
    return await grant_new(session, programme, fresh, before, actor=actor)


async def look_before(
    session: AsyncSession,
    programme: Programme,
    earnings: Sequence[Earning],
    *also: Asked,
    doubtful: Sequence[Earning] = (),
) -> tuple[Before, Sequence[Sequence[Any]]]:
    """Lock the accounts of fans, look at what is known of what they may earn, and return what is `also` asked for.

    Each earning has its own source. Of the `doubtful` no account is opened, and all that is looked at is whether they
    were granted.
    """
    fans, unsure = {one.fan_id for one in earnings}, {one.fan_id for one in doubtful}
    accounts = await lock_of_fans(session, programme, fans, if_there=unsure)
    counting = {one.source: _Counted.of(programme, one, accounts[one.fan_id].fan_id) for one in earnings}
    sources = list(counting)
    seen = await look(
        session,
        granted_among(programme.brand_id, [*sources, *(one.source for one in doubtful)]),
        known_among(programme.brand_id, sources),
        used_among({key for one in counting.values() for key in one.keys}),
        *levels_among(programme.brand_id, {account.fan_id for account in accounts.values()}),
        *also,
        ids={grants: len(sources), transfers: len(sources)},
    )
    granted, posted, counted, thresholds, kept, *rest = seen.rows
    there = ledger.Before(by_source(posted), seen.ids[transfers], levels_held(thresholds, kept))
    return Before(accounts, by_source(granted), counting, used(counted), seen.ids[grants], there), rest


async def grant_new(
    session: AsyncSession,
    programme: Programme,
    earnings: Sequence[Earning],
    before: Before,
    *,
    actor: str,
    beside: Callable[[Sequence[Granted]], Sequence[Bulk]] = lambda _: (),
) -> list[Granted]:
    """Grant those of the earnings looked at that were not granted yet, and return it in the order it happened.

    What comes of them, and what is to be written `beside`, is one statement. `beside` is asked once, when it is known.
    """
    counted = [before.counting[one.source] for one in sorted(earnings, key=_order)]
    usage = {key: before.used.get(key, UNUSED) for one in counted for key in one.keys}
    judged = [(one, _judge(programme, one, usage)) for one in counted]
    now = clock.now()
    rows = [_row(programme, now, id_, *one) for id_, one in zip(before.ids, judged, strict=False)]
    made = list(zip(judged, rows, strict=True))
    locked = {one.fan_id: one for one in before.accounts.values()}
    given = [Granted(one.earning, verdict, _shown(row), locked[one.fan_id]) for (one, verdict), row in made]
    touched = {key: usage[key] for one, verdict in judged if verdict.granted for key in one.keys}

    def written() -> list[Bulk]:
        return [*([_bulk(rows)] if rows else []), *counts(programme, touched), *beside(given)]

    posted = [_posted(one, verdict, row) for (one, verdict), row in made if verdict.granted]
    await ledger.earn(session, programme, posted, actor=actor, locked=locked, before=before.ledger, beside=written)
    return given


def _order(one: Earning) -> tuple[datetime, int, str]:
    return one.at, one.event_id or one.order_id or 0, one.source


@Compiled
def _select_granted(among: Among) -> Select[Any]:
    columns = (grants.c.source, grants.c.id, grants.c.rule_id, grants.c.fan_id)
    return select(*columns).where(grants.c.brand_id == bindparam("brand"), among(grants.c.source, "sources"))


def granted_among(brand_id: int, sources: Sequence[str]) -> Asked:
    """Ask what was granted under these sources of a brand, beside other things."""
    return Asked(_select_granted, {"brand": brand_id, "sources": sources})


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


def _place(programme: Programme) -> dict[str, int]:
    return {"group_id": programme.group_id, "brand_id": programme.brand_id}


_SHARED = ("group_id", "brand_id", "taken_points", "taken_growth", "reversed_at", "created_at")
_Row: Any = namedtuple("_Row", grants.c.keys())  # type: ignore[misc]


def _bulk(rows: Sequence[Mapping[str, Any]]) -> Bulk:
    columns = {name: [row[name] for row in rows] for name in rows[0] if name not in _SHARED}
    return Bulk(grants, {name: rows[0][name] for name in _SHARED}, columns)


def _shown(row: Mapping[str, Any]) -> PointGrant:
    """Return a grant as it will be read."""
    return cast("PointGrant", _Row(**row))


def _row(programme: Programme, now: datetime, id_: int, counted: _Counted, verdict: Verdict) -> dict[str, Any]:
    one = counted.earning
    cuts = [{"cap": cut.cap.value, "resetsAt": cut.resets_at and cut.resets_at.isoformat()} for cut in verdict.cuts]
    own = {name: getattr(one, name) for name in ("source", "event_id", "order_id", "referral_id", "units", "per_unit")}
    return (
        _place(programme)
        | own
        | {
            "id": id_,
            "fan_id": counted.fan_id,
            "rule_id": one.rule.id,
            "rule_version": one.rule.version,
            "event": one.rule.event,
            "occurred_at": one.at.astimezone(UTC),
            "day": counted.day,
            "desired_points": verdict.desired.points,
            "desired_growth": verdict.desired.growth,
            "granted_points": verdict.granted.points,
            "granted_growth": verdict.granted.growth,
            "cuts": cuts or None,
            "available_at": available_at(one.rule, one.at, programme.zone),
            "taken_points": 0,
            "taken_growth": 0,
            "reversed_at": None,
            "created_at": now,
        }
    )


def _posted(one: _Counted, verdict: Verdict, row: Mapping[str, Any]) -> Earn:
    earning, granted = one.earning, verdict.granted
    return Earn(
        one.fan_id,
        earning.source,
        granted.points,
        granted.growth,
        earning.rule.name,
        earning.at,
        row["available_at"],
        earning.rule.id,
        earning.reference,
        earning.request_key,
    )
