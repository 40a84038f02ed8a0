"""The tags, and which fan carries which: a few tags on many fans, most on few."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock, reads
from domain.database import Database
from domain.fans.models import Fan
from domain.tables import table_of
from domain.tags.models import FanTag, Tag, TagKind, TagSource
from domain.tags.service import NewTag, add_fan_tags, create_tag
from server.demo.batching import batches
from server.demo.catalogue import BRANDS, GROUP_TAGS, MOMENT, TagSpec
from server.demo.people import DemoFan
from server.demo.tenancy import DemoGroup
from server.progress import Progress

fans, tags, fan_tags = table_of(Fan), table_of(Tag), table_of(FanTag)
_HOW_MANY, _HOW_OFTEN = range(8), (5, 16, 22, 22, 16, 10, 6, 3)
_ROUNDS = (1.0, 0.2, 0.25)  # how likely a tag is put on, then once more, then a third time
_SOURCES = {TagKind.FACT: TagSource.RULE, TagKind.MODEL: TagSource.MODEL, TagKind.STRATEGY: TagSource.CAMPAIGN}


async def load_tags(
    database: Database, group: DemoGroup, crowds: Sequence[Sequence[DemoFan]], progress: Progress
) -> None:
    """Make the tags and put them on the fans of each brand; a batch of fans that has tags is left as it is."""
    known = await _make_tags(database, group)
    done, total = 0, sum(map(len, crowds))
    for place, crowd in zip(group.brands, crowds, strict=True):
        mine = [tag for tag in known if tag.brand_id in (None, place.row.id)]
        random = Random(f"demo tags {place.spec.code}")
        random.shuffle(mine)
        for batch in batches(crowd):
            plan = _plan(random, batch, mine)
            async with database.writing(group.scope) as session:
                await _tag(session, group, plan, [fan.id for fan in batch])
            done += len(batch)
            progress.advance("tags", done, total)


async def _make_tags(database: Database, group: DemoGroup) -> list[Tag]:
    ids: dict[str | None, int | None] = {place.spec.code: place.row.id for place in group.brands}
    wanted = [(spec, None) for spec in GROUP_TAGS] + [(spec, ids[b.code]) for b in BRANDS for spec in b.tags]
    mine = select(tags).where(tags.c.group_id == group.id)
    async with database.writing(group.scope) as session:
        known = {(row.name, row.brand_id) for row in await reads.rows(session, mine, Tag)}
        for spec, brand_id in wanted:
            if (spec.name, brand_id) not in known:
                await create_tag(session, group.scope.principal, group.id, _new(spec, brand_id))
        rows = {(row.name, row.brand_id): row for row in await reads.rows(session, mine, Tag)}
    return [rows[spec.name, brand_id] for spec, brand_id in wanted]


def _new(spec: TagSpec, brand_id: int | None) -> NewTag:
    return NewTag(spec.name, brand_id, spec.kind, spec.category, spec.color)


def _plan(random: Random, batch: Sequence[DemoFan], mine: Sequence[Tag]) -> list[tuple[Tag, list[set[int]]]]:
    """Decide, for each tag, which fans get it in the first, second and third round."""
    weights = [1 / rank for rank in range(1, len(mine) + 1)]
    carriers: list[list[set[int]]] = [[set() for _ in _ROUNDS] for _ in mine]
    for fan in batch:
        count = random.choices(_HOW_MANY, _HOW_OFTEN)[0]
        for index in dict.fromkeys(random.choices(range(len(mine)), weights, k=2 * count)[: count + count // 3]):
            for chosen, chance in zip(carriers[index], _ROUNDS, strict=True):
                if random.random() >= chance:
                    break
                chosen.add(fan.id)
    return list(zip(mine, carriers, strict=True))


async def _tag(
    session: AsyncSession, group: DemoGroup, plan: Sequence[tuple[Tag, list[set[int]]]], fan_ids: Sequence[int]
) -> None:
    if (await session.execute(select(fan_tags.c.fan_id).where(fan_tags.c.fan_id.in_(fan_ids)).limit(1))).first():
        return
    found = await reads.rows(session, select(fans).where(fans.c.id.in_(fan_ids)), Fan)
    for position, (tag, rounds) in enumerate(plan):
        for number, chosen in enumerate(rounds):
            carriers = [fan for fan in found if fan.id in chosen]
            if carriers:
                with clock.at(MOMENT - timedelta(days=90 - 40 * number, hours=7 * position)):
                    await add_fan_tags(session, group.scope.principal, carriers, [tag], _SOURCES[TagKind(tag.kind)])
