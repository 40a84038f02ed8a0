"""Consents of fans who become one: of two answers to one purpose the later holds."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.consents.models import Consent, ConsentRecord
from domain.persons.holdings import among
from domain.persons.moving import FanPair, Move, PlainRows, Undoing, rows_of
from domain.persons.written import read_row, write_row
from domain.tables import table_of

consents = table_of(Consent)
_SAID = ("purpose", "granted", "policy", "at")

CONSENT_RECORDS = PlainRows(table_of(ConsentRecord), "at")


class Consents:
    """Moves where fans stand. What was withdrawn since a merge is withdrawn for both when they come apart."""

    what = "consents"
    tables = frozenset({"consents"})

    async def move(self, session: AsyncSession, pairs: Sequence[FanPair]) -> list[Move]:
        rows = await rows_of(session, consents, pairs)
        moving = [pair for pair in pairs if rows.of(pair.gone)]
        standing: list[dict[str, Any]] = []
        for pair in moving:
            by_time = sorted([*rows.of(pair.into), *rows.of(pair.gone)], key=lambda row: row.at)
            held = {row.purpose: row for row in by_time}
            standing += [
                _place(pair, pair.into) | {name: getattr(row, name) for name in _SAID} for row in held.values()
            ]
        await _replace(session, [fan for pair in moving for fan in (pair.into, pair.gone)], standing)
        return [
            Move(pair, {"gone": _written(rows.of(pair.gone)), "into": _written(rows.of(pair.into))}) for pair in moving
        ]

    async def restore(self, session: AsyncSession, undoing: Undoing) -> None:
        if not undoing.moves:
            return
        pair, since = undoing.pair, undoing.since
        now = (await session.execute(select(consents).where(consents.c.fan_id == pair.into).with_for_update())).all()
        came = {row.purpose: row for row in now if row.at >= since}
        rows: list[dict[str, Any]] = []
        for fan, name in ((pair.gone, "gone"), (pair.into, "into")):
            own = {row["purpose"]: read_row(consents, row) for row in undoing.listed(name)}
            for purpose, row in came.items():
                if not row.granted or undoing.to_gone == (fan == pair.gone):
                    own[purpose] = {column: getattr(row, column) for column in _SAID}
            rows += [_place(pair, fan) | row for row in own.values()]
        known = {purpose["purpose"] for name in ("gone", "into") for purpose in undoing.listed(name)}
        # what another merge brought meanwhile stays
        rows += [
            _place(pair, pair.into) | {column: getattr(row, column) for column in _SAID}
            for row in now
            if row.purpose not in known and row.purpose not in came
        ]
        await _replace(session, [pair.into, pair.gone], rows)


def _written(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [write_row(row, _SAID) for row in rows]


def _place(pair: FanPair, fan_id: int) -> dict[str, Any]:
    return {"group_id": pair.group_id, "brand_id": pair.brand_id, "fan_id": fan_id}


async def _replace(session: AsyncSession, fans: Sequence[int], rows: Sequence[dict[str, Any]]) -> None:
    if fans:
        await session.execute(delete(consents).where(among(session, consents.c.fan_id, fans)))
    if rows:
        await session.execute(insert(consents), list(rows))


CONSENTS = Consents()
