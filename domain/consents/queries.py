"""Reads of consents, and the condition that everything which needs one puts into its own statement."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.consents.models import Consent, ConsentRecord, Purpose
from domain.fans.models import Fan
from domain.page import Page, PageArgs, Sort, paginate
from domain.scope import Scope
from domain.tables import table_of

READ = "consent:read"
consents, records, fans = table_of(Consent), table_of(ConsentRecord), table_of(Fan)


def has_consent(fan_id: ColumnElement[Any], purpose: Purpose) -> ColumnElement[bool]:
    """Build the condition that a fan, by the column of a statement that holds their id, agrees to the purpose now.

    Whoever has never been asked does not agree. Read in the statement that uses it, so that what was taken back a
    moment ago counts.
    """
    return exists().where(consents.c.fan_id == fan_id, consents.c.purpose == purpose.value, consents.c.granted)


async def consents_by_fan(session: AsyncSession, scope: Scope, fan_ids: Iterable[int]) -> dict[int, list[Consent]]:
    """Return where each fan stands, by purpose; a purpose that nobody asked about is left out."""
    statement = (
        select(consents)
        .join(fans, fans.c.id == consents.c.fan_id)
        .where(consents.c.fan_id.in_(sorted(set(fan_ids))), scope.where(READ, fans))
        .order_by(consents.c.fan_id, consents.c.purpose)
    )
    return reads.grouped(await reads.rows(session, statement, Consent), lambda row: row.fan_id)


async def list_consent_records(session: AsyncSession, scope: Scope, fan_id: int, args: PageArgs) -> Page[ConsentRecord]:
    """Return a page of what a fan decided, newest first."""
    statement = (
        select(records)
        .join(fans, fans.c.id == records.c.fan_id)
        .where(records.c.fan_id == fan_id, scope.where(READ, fans))
    )
    return await paginate(session, statement, Sort("decided", (records.c.id,), descending=True), args)
