"""One effect for each key, however often and however concurrently a caller sends it."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, cast

import orjson
from sqlalchemy import Index, LargeBinary, Select, String, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel

from domain import clock
from domain.bulk import Bulk, among, insert_new, put
from domain.columns import Json
from domain.compiled import Among, Compiled
from domain.database import Database
from domain.errors import DomainError, IdempotencyConflict
from domain.looks import Asked
from domain.scope import system_scope
from domain.tables import moment, ref, table_of


class Idempotency(SQLModel, table=True):
    """The answer given for a key of one caller and mutation. Kept for at least 72 hours."""

    __tablename__ = "idempotency"
    __table_args__ = (Index("ix_idempotency_created_at", "created_at"),)

    principal: str = Field(primary_key=True, sa_type=String(255))
    mutation: str = Field(primary_key=True, sa_type=String(64))
    key: str = Field(primary_key=True, sa_type=String(128))
    group_id: int = ref("groups.id")
    request_hash: bytes = Field(sa_type=LargeBinary(32))
    response: dict[str, Any] | None = Field(default=None, sa_type=Json)
    created_at: datetime = moment(now=True)


keys = table_of(Idempotency)


@dataclass(frozen=True)
class Once:
    """What makes two requests the same: who asks, for which mutation, under which key, with which input."""

    principal: str
    group_id: int
    mutation: str
    key: str
    request: Any

    @cached_property
    def digest(self) -> bytes:
        """The SHA-256 of the request, equal for equal input whatever its order of keys."""
        return hashlib.sha256(orjson.dumps(self.request, default=str, option=orjson.OPT_SORT_KEYS)).digest()


async def prune(database: Database, older_than: datetime) -> int:
    """Forget the keys used before the moment; return how many."""
    async with database.writing(system_scope("idempotency")) as session:
        result: Any = await session.execute(delete(keys).where(keys.c.created_at < older_than))
        return int(result.rowcount)


@dataclass(frozen=True)
class Answer:
    """What an effect answers, and whether it wrote anything that must not be written again."""

    response: dict[str, Any]
    wrote: bool = True


Answered = tuple[dict[str, Any], bool]


async def run_once(session: AsyncSession, once: Once, effect: Callable[[], Awaitable[Answer]]) -> Answered:
    """Run the effect, or return the answer it gave before and True.

    The key is written in the effect's own transaction: a refused input takes it back and does not burn it, and a
    second request in flight waits on the unique key. Raises IdempotencyConflict for another input under the key.
    """

    async def only(_: Sequence[Once]) -> Sequence[Answer]:
        return [await effect()]

    (said,) = await run_each_once(session, [once], only)
    if isinstance(said, DomainError):
        raise said
    return said


async def run_each_once(
    session: AsyncSession,
    wanted: Sequence[Once],
    effect: Callable[[Sequence[Once]], Awaitable[Sequence[Answer | DomainError]]],
) -> list[Answered | DomainError]:
    """Do for requests of one caller, group and mutation, each with its own key, what `run_once` does for one.

    The effect is told those whose key is new, and answers or refuses each. A constant number of statements.
    """
    new = await _claim(session, wanted)
    fresh = [once for once in wanted if once.key in new]
    before = await _known(session, [once for once in wanted if once.key not in new])
    found = dict(zip((once.key for once in fresh), await effect(fresh) if fresh else (), strict=True))
    await _keep(session, fresh or wanted[:1], found)
    return [_said(once, found.get(once.key), before.get(once.key)) for once in wanted]


async def _claim(session: AsyncSession, wanted: Sequence[Once]) -> set[str]:
    # in one order, so that of two who claim the same keys one waits and neither for ever
    rows = _rows(sorted(wanted, key=lambda once: once.key))
    return await insert_new(session, replace(rows, shared={**rows.shared, "response": None}), "key")


async def _known(session: AsyncSession, wanted: Sequence[Once]) -> dict[str, Any]:
    if not wanted:
        return {}
    one = known_among(wanted[0].principal, wanted[0].mutation, [once.key for once in wanted])
    return by_key(await one.select.rows(session, **one.values))


def known_among(principal: str, mutation: str, wanted: Sequence[str]) -> Asked:
    """Ask what is known of keys of one caller and mutation, beside other things."""
    return Asked(_select_known, {"principal": principal, "mutation": mutation, "keys": list(wanted)})


@Compiled
def _select_known(among: Among) -> Select[Any]:
    mine = [keys.c[name] == bindparam(name) for name in ("principal", "mutation")]
    return select(keys.c.key, keys.c.request_hash, keys.c.response).where(*mine, among(keys.c.key, "keys"))


def by_key(rows: Sequence[Any]) -> dict[str, Any]:
    """Return what is known by the keys."""
    return {row.key: row for row in rows}


def answer_of(once: Once, known: Any) -> dict[str, Any] | IdempotencyConflict:
    """Return what was answered to a request under its key, or refuse another input."""
    if known.request_hash != once.digest:
        return IdempotencyConflict(field=("input", "idempotencyKey"))
    return cast("dict[str, Any]", known.response)


def kept_answers(said: Sequence[tuple[Once, dict[str, Any]]]) -> Bulk:
    """Return the rows that keep the answers to requests of one caller, group and mutation, whose keys are new.

    They are for effects that find out under a lock of their own what is known, and write what is answered with the
    effect, last of all: `run_each_once` claims the keys first. Of two at once under one key the later fails on it and,
    done again, knows it.
    """
    ordered = sorted(said, key=lambda one: one[0].key)
    rows = _rows([once for once, _ in ordered])
    return replace(rows, columns={**rows.columns, "response": [response for _, response in ordered]})


async def _keep(session: AsyncSession, claimed: Sequence[Once], found: Mapping[str, Answer | DomainError]) -> None:
    """Write the answers; what wrote nothing, or was refused, takes its key back."""
    kept = {key: said.response for key, said in found.items() if isinstance(said, Answer) and said.wrote}
    if kept:
        answered = [once for once in claimed if once.key in kept]
        rows = _rows(answered)
        said = [kept[once.key] for once in answered]
        await put(session, replace(rows, columns={**rows.columns, "response": said}))
    free = sorted(found.keys() - kept.keys())
    if free:
        mine = [keys.c[name] == value for name, value in _whose(claimed[0]).items()]
        await session.execute(keys.delete().where(*mine, among(session, keys.c.key, free)))


def _rows(wanted: Sequence[Once]) -> Bulk:
    columns: dict[str, Sequence[Any]] = {
        "key": [once.key for once in wanted],
        "request_hash": [once.digest for once in wanted],
    }
    shared = {**_whose(wanted[0]), "group_id": wanted[0].group_id, "created_at": clock.now()}
    return Bulk(keys, shared, columns)


def _whose(once: Once) -> dict[str, str]:
    return {"principal": once.principal, "mutation": once.mutation}


def _said(once: Once, found: Answer | DomainError | None, before: Any) -> Answered | DomainError:
    if isinstance(found, Answer):
        return found.response, False
    if found is not None:
        return found
    known = answer_of(once, before)
    return known if isinstance(known, DomainError) else (known, True)
