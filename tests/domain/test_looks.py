"""Several hot selects looked at once say what each says alone, and take the ids that come next."""

from datetime import UTC, datetime

from sqlalchemy import Select, bindparam, insert, select

from domain.compiled import Among, Compiled
from domain.fans.models import Fan
from domain.idempotency import Once, by_key, keys, known_among
from domain.looks import Asked, look
from domain.points.ledger.models import PointTransfer
from domain.tables import table_of
from domain.tags.models import Tag
from tests.cast import EVERYTHING
from tests.statements import statements_of
from tests.world import World

fans, tags, transfers = table_of(Fan), table_of(Tag), table_of(PointTransfer)
MOMENT = datetime(2026, 5, 1, 4, 0, 0, 123_456, tzinfo=UTC)


@Compiled
def _fans(among: Among) -> Select[tuple[object, ...]]:
    mine = (fans.c.brand_id == bindparam("brand"), among(fans.c.id, "ids"))
    return select(fans).where(*mine, fans.c.gender.in_(["UNKNOWN", "FEMALE", "MALE"])).order_by(fans.c.id.desc())


async def test_each_of_several_selects_answers_as_it_does_alone(world: World) -> None:
    one, two = (
        Asked(_fans, {"brand": world.nodes[brand], "ids": sorted(world.fans.values())}) for brand in ("g1/b1", "g1/b2")
    )
    none = Asked(_fans, {"brand": world.nodes["g1/b1"], "ids": []})
    async with world.services.database.reading(EVERYTHING) as session:
        alone = [await asked.select.rows(session, **asked.values) for asked in (one, none, two)]
        with statements_of(world.services.database) as statements:
            seen = await look(session, one, none, two)

    assert [len(rows) > 1 for rows in alone] == [True, False, True]
    assert [list(rows) for rows in seen.rows] == [list(rows) for rows in alone]
    assert seen.rows[0][0].created_at == alone[0][0].created_at
    assert len(statements) == (1 if world.services.database.dialect == "postgresql" else 3)


async def test_bytes_json_and_moments_come_as_they_went(world: World) -> None:
    once = Once("staff:1", world.nodes["g1"], "earnPoints", "k", {"fan": 1})
    response = {"grant": 1, "text": "积分 $1", "none": None, "list": [1.5, True]}
    row = {"principal": "staff:1", "mutation": "earnPoints", "key": "k", "group_id": world.nodes["g1"]}
    async with world.services.database.writing(EVERYTHING) as session:
        kept = {"request_hash": once.digest, "response": response, "created_at": MOMENT}
        await session.execute(insert(keys).values({**row, **kept}))

    @Compiled
    def moments(_: Among) -> Select[tuple[object, ...]]:
        return select(keys.c.created_at).where(keys.c.key == bindparam("key"))

    async with world.services.database.reading(EVERYTHING) as session:
        known, at = (
            await look(session, known_among("staff:1", "earnPoints", ["k"]), Asked(moments, {"key": "k"}))
        ).rows

    assert (by_key(known)["k"].request_hash, by_key(known)["k"].response) == (once.digest, response)
    assert [row.created_at for row in at] == [MOMENT]


async def test_ids_are_as_many_as_asked_for_and_nobody_elses(world: World) -> None:
    async with world.services.database.writing(EVERYTHING) as session:
        seen = await look(session, ids={tags: 3, transfers: 2})
        place = {"group_id": world.nodes["g1"], "brand_id": None}
        rows = [{**place, "id": id_, "name": f"new {id_}"} for id_ in seen.ids[tags]]
        await session.execute(insert(tags), rows)
        later = await look(session, ids={tags: 1})

    assert [len(seen.ids[tags]), len(seen.ids[transfers])] == [3, 2]
    assert list(seen.ids[tags]) == sorted(set(seen.ids[tags]))
    assert later.ids[tags][0] > seen.ids[tags][-1]
