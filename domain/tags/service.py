"""Writes of tags."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.consents.minors import check_guarded
from domain.database import dialect_insert
from domain.errors import BadInput, DomainError
from domain.fans.models import Fan
from domain.ids import BrandId, FanId, TagId
from domain.inputs import said
from domain.tables import table_of
from domain.tags.models import FanTag, Tag, TagKind, TagSource
from domain.timeline.changes import Change, record
from domain.timeline.models import ChangeAct, ChangeKind

tags, fan_tags = table_of(Tag), table_of(FanTag)

MAX_FANS = 250
MAX_TAGS = 20


class TagNameTaken(DomainError):
    code = "TAG_NAME_TAKEN"
    default = "A tag of this name exists already."


class TagOfAnotherBrand(DomainError):
    code = "TAG_OF_ANOTHER_BRAND"
    default = "This tag belongs to another brand than the fan."


@dataclass(frozen=True)
class NewTag:
    """A tag to be made; without a brand it belongs to the whole group."""

    name: str = said("Its name, 1 to 100 characters, unique in its brand or group.")
    brand_id: BrandId | None = said("The brand it belongs to; the whole group without one.", None)
    kind: TagKind = said("Where it comes from.", TagKind.FACT)
    category: str | None = said("The category it is filed under.", None)
    color: str | None = said("The colour it is shown in.", None)
    description: str | None = said("What it means.", None)


@dataclass(frozen=True)
class FanTagging:
    """Fans (at most 250) and the tags (at most 20) to put on, or take from, each of them."""

    fan_ids: list[FanId] = said("The fans, 1 to 250, each once.")
    tag_ids: list[TagId] = said("The tags, 1 to 20, each once.")


async def create_tag(session: AsyncSession, principal: str, group_id: int, new: NewTag) -> int:
    """Make a tag and return its id. Raises TagNameTaken where the brand, or the group, has one of that name."""
    name = new.name.strip()
    if not 1 <= len(name) <= 100:
        raise BadInput("A tag's name has 1 to 100 characters.", field=("input", "name"))
    _check_lengths(new)
    row = {**vars(new), "name": name, "kind": new.kind.value, "group_id": group_id, "created_at": clock.now()}
    try:
        tag_id = (await session.execute(insert(tags).values(row).returning(tags.c.id))).scalar_one()
    except IntegrityError as error:
        raise TagNameTaken(field=("input", "name")) from error
    deed = audit.Deed(group_id, new.brand_id, "tag:create", f"Tag:{tag_id}", {"after": {"name": name}})
    await audit.record(session, principal, [deed])
    return int(tag_id)


def _check_lengths(new: NewTag) -> None:
    for name in ("category", "color", "description"):
        value, limit = getattr(new, name), tags.c[name].type.length  # type: ignore[attr-defined]
        if value is not None and len(value) > limit:
            raise BadInput(f"{name} may have at most {limit} characters.", field=("input", name))


def check_size(wanted: FanTagging) -> None:
    """Raise BadInput where a batch is empty or too large."""
    for name, ids, limit in (("fanIds", wanted.fan_ids, MAX_FANS), ("tagIds", wanted.tag_ids, MAX_TAGS)):
        if not 1 <= len(ids) <= limit:
            raise BadInput(f"{name} takes 1 to {limit} ids.", field=("input", name))


def check_brands(fans: Sequence[Fan], wanted: Sequence[Tag]) -> None:
    """Raise TagOfAnotherBrand where a brand's own tag would go to another brand's fan."""
    for tag in wanted:
        if tag.brand_id is not None and any(fan.brand_id != tag.brand_id for fan in fans):
            raise TagOfAnotherBrand(field=("input", "tagIds"))


async def add_fan_tags(
    session: AsyncSession, principal: str, fans: Sequence[Fan], wanted: Sequence[Tag], source: TagSource
) -> None:
    """Put each tag on each fan; where it is there already, its count and weight grow. One statement, all or nothing.

    The timeline shows when a fan got a tag, and not how often it was put on again.
    """
    check_brands(fans, wanted)
    await check_guarded(session, fans)
    now = clock.now()
    rows = [
        {
            "fan_id": fan.id,
            "tag_id": tag.id,
            "group_id": fan.group_id,
            "brand_id": fan.brand_id,
            "source": source.value,
            "first_at": now,
            "last_at": now,
        }
        for fan, tag in product(sorted(fans, key=lambda fan: fan.id), sorted(wanted, key=lambda tag: tag.id))
    ]
    grow = {"count": fan_tags.c.count + 1, "weight": fan_tags.c.weight + 1, "last_at": now}
    statement = dialect_insert(session, fan_tags).on_conflict_do_update(index_elements=["fan_id", "tag_id"], set_=grow)
    put = await session.execute(
        statement.returning(fan_tags.c.fan_id, fan_tags.c.tag_id, fan_tags.c.count.label("times")), rows
    )
    pairs = [(row.fan_id, row.tag_id) for row in put if row.times == 1]
    await record(session, _changes(principal, fans, pairs, ChangeAct.ADDED))
    await audit.record(session, principal, _deeds("fan_tags:add", fans, wanted))


async def remove_fan_tags(session: AsyncSession, principal: str, fans: Sequence[Fan], wanted: Sequence[Tag]) -> int:
    """Take the tags from the fans and return how many were carried."""
    carried = (
        fan_tags.c.fan_id.in_([fan.id for fan in fans]),
        fan_tags.c.tag_id.in_([tag.id for tag in wanted]),
    )
    found = (await session.execute(select(fan_tags.c.fan_id, fan_tags.c.tag_id).where(*carried))).all()
    await session.execute(delete(fan_tags).where(*carried))
    await record(session, _changes(principal, fans, [(row.fan_id, row.tag_id) for row in found], ChangeAct.REMOVED))
    await audit.record(session, principal, _deeds("fan_tags:remove", fans, wanted))
    return len(found)


def _changes(principal: str, fans: Sequence[Fan], pairs: Iterable[tuple[int, int]], act: ChangeAct) -> list[Change]:
    places = {fan.id: (fan.group_id, fan.brand_id, fan.id) for fan in fans}
    return [Change(*places[fan_id], ChangeKind.TAG, act, principal, tag_id=tag_id) for fan_id, tag_id in sorted(pairs)]


def _deeds(action: str, fans: Sequence[Fan], wanted: Sequence[Tag]) -> list[audit.Deed]:
    # one line a brand and not a fan: a batch of 250 is one decision of one person
    detail = {"tags": [tag.id for tag in wanted]}
    brands = {fan.brand_id: fan.group_id for fan in fans}
    return [
        audit.Deed(
            group_id,
            brand_id,
            action,
            f"Brand:{brand_id}",
            detail | {"fans": [f.id for f in fans if f.brand_id == brand_id]},
        )
        for brand_id, group_id in brands.items()
    ]
