"""Whose an earning is: fans as they are now, kept there until the transaction ends.

To be asked before accounts are locked, as a merge does.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.bulk import among
from domain.compiled import Among, Compiled
from domain.fans.models import Fan
from domain.persons.models import FanAlias
from domain.tables import table_of

fans, aliases = table_of(Fan), table_of(FanAlias)


async def current_fans(session: AsyncSession, brand_id: int, fan_ids: Collection[int]) -> dict[int, int]:
    """Return who the brand's fans of these ids are now, kept there until the transaction ends: a merge waits.

    Who was erased, or is of another brand, is left out.
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
