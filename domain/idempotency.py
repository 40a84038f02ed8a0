"""One effect for each key, however often and however concurrently a caller sends it."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Index, LargeBinary, String, delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel

from domain import clock
from domain.columns import Json
from domain.database import Database, insert_ignore
from domain.errors import IdempotencyConflict
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


@dataclass(frozen=True)
class Once:
    """What makes two requests the same: who asks, for which mutation, under which key, with which input."""

    principal: str
    group_id: int
    mutation: str
    key: str
    request: Any

    def digest(self) -> bytes:
        """Return the SHA-256 of the request, equal for equal input whatever its order of keys."""
        return hashlib.sha256(orjson.dumps(self.request, default=str, option=orjson.OPT_SORT_KEYS)).digest()


async def prune(database: Database, older_than: datetime) -> int:
    """Forget the keys used before the moment; return how many."""
    table = table_of(Idempotency)
    async with database.writing(system_scope("idempotency")) as session:
        result: Any = await session.execute(delete(table).where(table.c.created_at < older_than))
        return int(result.rowcount)


@dataclass(frozen=True)
class Answer:
    """What an effect answers, and whether it wrote anything that must not be written again."""

    response: dict[str, Any]
    wrote: bool = True


async def run_once(
    session: AsyncSession, once: Once, effect: Callable[[], Awaitable[Answer]]
) -> tuple[dict[str, Any], bool]:
    """Run the effect, or return the answer it gave before and True.

    The key is written in the effect's own transaction: a refused input takes it back and does not burn it, and a
    second request in flight waits on the unique key. Raises IdempotencyConflict for another input under the key.
    """
    table = table_of(Idempotency)
    mine = {"principal": once.principal, "mutation": once.mutation, "key": once.key}
    row = {**mine, "group_id": once.group_id, "request_hash": once.digest(), "created_at": clock.now()}
    same = [table.c[name] == value for name, value in mine.items()]
    if not (await session.execute(insert_ignore(session, table, [row]).returning(table.c.key))).first():
        known = (await session.execute(select(table.c.request_hash, table.c.response).where(*same))).one()
        if known.request_hash != row["request_hash"]:
            raise IdempotencyConflict(field=("input", "idempotencyKey"))
        return known.response, True
    answer = await effect()
    kept = table.update().values(response=answer.response) if answer.wrote else table.delete()
    await session.execute(kept.where(*same))
    return answer.response, False
