"""Fans by any id of theirs, for whoever is going to write what concerns them."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.compiled import Among, Compiled
from domain.errors import Conflict
from domain.fans.holding import whom_they_lead_to
from domain.fans.models import Fan
from domain.fans.queries import fans_by_any_id
from domain.scope import Scope
from domain.tables import table_of

fans = table_of(Fan)
LOOKS = 5


async def fans_to_change(session: AsyncSession, scope: Scope, ids: Collection[int], permission: str) -> dict[int, Fan]:
    """Return the fans by the ids asked for, for whoever is going to write what concerns them.

    As `fans_by_any_id`; and whom the id of a merged fan leads to is kept there, so that it leads there until the
    transaction ends, even while the merge is being undone. Raises Conflict where it leads elsewhere time and again.
    """
    for _ in range(LOOKS):
        found = await fans_by_any_id(session, scope, ids, permission)
        led = {old: fan.id for old, fan in found.items() if fan.id != old}
        if not led:
            return found
        held = await _select_kept.scalars(session, ids=sorted(set(led.values())))
        if set(held) == set(led.values()) and await whom_they_lead_to(session, led) == led:
            return found
    raise Conflict


@Compiled
def _select_kept(among: Among) -> Select[Any]:
    mine = select(fans.c.id).where(among(fans.c.id, "ids"))
    return mine.order_by(fans.c.id).with_for_update(read=True, key_share=True)
