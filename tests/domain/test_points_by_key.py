"""PostgreSQL holds an entry of points to its transfer by the key, also by a plan made while there were none."""

import re

import pytest
from sqlalchemy import text

from tests.world import World

pytestmark = pytest.mark.postgresql


async def test_an_entry_is_held_to_its_transfer_by_the_key_alone(world: World) -> None:
    async with world.services.database.engine.connect() as session:
        body = (
            await session.execute(text("SELECT prosrc FROM pg_proc WHERE proname = 'point_entries_add_up'"))
        ).scalar_one()
        asked = re.search(r"SELECT 1 FROM added AS one.*?IS NOT TRUE", body, re.DOTALL)
        assert asked is not None
        await session.execute(text("CREATE TEMPORARY TABLE added (LIKE point_entries) ON COMMIT DROP"))
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join((await session.execute(text(f"EXPLAIN {asked[0]}"))).scalars())

    assert "Index Scan using pk_point_transfers on point_transfers" in plan
    assert "Index Cond: (id = one.transfer_id)" in plan
    assert "uq_point_transfers" not in plan
