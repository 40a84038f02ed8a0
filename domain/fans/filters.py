"""What fans can be filtered and sorted by, and the SQL each of it means."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, select, true

from domain.errors import BadInput
from domain.fans.models import Fan, Gender
from domain.ids import BrandId, DealerId, StoreId, TagId
from domain.inputs import said
from domain.page import Sort
from domain.ranges import IntRange, TimeRange, within_ints, within_times
from domain.tables import table_of
from domain.tags.models import FanTag

fans, fan_tags = table_of(Fan), table_of(FanTag)

MAX_CLAUSES = 50


@dataclass(frozen=True)
class FanFilter:
    """Conditions on fans. All given ones must hold; `and`, `or` and `not` nest further ones.

    A fan is found by phone, or by tag, where the caller may read that of them.
    """

    brand_id: BrandId | None = said("Fans of this brand.", None)
    dealer_id: DealerId | None = said("Fans of this dealer.", None)
    store_id: StoreId | None = said("Fans of this store.", None)
    tag_id: TagId | None = said("Fans who carry this tag.", None)
    phone: str | None = said("The fan with this phone, however it is written. Needs fan:read_personal.", None)
    gender: Gender | None = said("Fans of this gender.", None)
    province: str | None = said("Fans who live in this province, as it is stored.", None)
    city: str | None = said("Fans who live in this city, as it is stored.", None)
    subscribed: bool | None = said("Fans who follow now, or do not.", None)
    spend: IntRange | None = said("What they have spent, in minor units (分) of their brand's currency.", None)
    order_count: IntRange | None = said("How many paid orders they have.", None)
    last_order_at: TimeRange | None = said("When they placed their last paid order.", None)
    created_at: TimeRange | None = said("When the brand first knew of them.", None)
    and_: "list[FanFilter] | None" = said("Filters that must all hold too.", None)
    or_: "list[FanFilter] | None" = said("Filters of which one must hold too.", None)
    not_: "FanFilter | None" = said("A filter that must not hold.", None)


class FanSort(StrEnum):
    """How a list of fans is sorted."""

    ID_ASC = "ID_ASC"
    ID_DESC = "ID_DESC"
    SPEND_DESC = "SPEND_DESC"


SORTS = {
    FanSort.ID_ASC: Sort("id", (fans.c.id,)),
    FanSort.ID_DESC: Sort("-id", (fans.c.id,), descending=True),
    FanSort.SPEND_DESC: Sort("-spend", (fans.c.spend, fans.c.id), descending=True),
}

_EQUAL = ("brand_id", "dealer_id", "store_id", "gender", "province", "city", "subscribed")


def phones_in(wanted: FanFilter | None) -> set[str]:
    """Return the phones a filter asks for, so that their hashes can be prepared."""
    if wanted is None:
        return set()
    own = {wanted.phone} if wanted.phone is not None else set()
    return own.union(*(phones_in(inner) for inner in _nested(wanted)))


def tags_in(wanted: FanFilter | None) -> set[int]:
    """Return the tags a filter asks for, so that the caller's right to read them can be checked."""
    if wanted is None:
        return set()
    own = {wanted.tag_id} if wanted.tag_id is not None else set()
    return own.union(*(tags_in(inner) for inner in _nested(wanted)))


def check_size(wanted: FanFilter) -> None:
    """Raise BadInput for a filter with too many clauses."""
    if clauses(wanted) > MAX_CLAUSES:
        raise BadInput(f"A filter may have at most {MAX_CLAUSES} clauses.", field=("filter",))


def condition(
    wanted: FanFilter, phones: dict[str, ColumnElement[bool]], tag_readable: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Build the SQL of a filter from the conditions that find each of its phones, and that let a fan's tags be read.

    Raises BadInput for an empty `or`.
    """
    if wanted.or_ is not None and not wanted.or_:
        raise BadInput("or needs at least one condition.", field=("filter", "or"))
    parts: list[ColumnElement[bool]] = [
        fans.c[name] == getattr(wanted, name) for name in _EQUAL if getattr(wanted, name) is not None
    ]
    parts += _ranges(wanted)
    if wanted.phone is not None:
        parts.append(phones[wanted.phone])
    if wanted.tag_id is not None:
        carriers = select(fan_tags.c.fan_id).where(fan_tags.c.tag_id == wanted.tag_id)
        parts.append(and_(fans.c.id.in_(carriers), tag_readable))
    parts += [condition(inner, phones, tag_readable) for inner in wanted.and_ or []]
    if wanted.or_:
        parts.append(or_(*(condition(inner, phones, tag_readable) for inner in wanted.or_)))
    if wanted.not_ is not None:
        # a fan without a province is not in that province: NOT of an unknown would leave them out
        parts.append(not_(func.coalesce(condition(wanted.not_, phones, tag_readable), false())))
    return and_(*parts) if parts else true()


def clauses(wanted: FanFilter) -> int:
    """Count a filter's conditions with those nested in it."""
    given = sum(getattr(wanted, field.name) is not None for field in fields(wanted))
    return given + sum(clauses(inner) for inner in _nested(wanted))


def _nested(wanted: FanFilter) -> list[FanFilter]:
    return [*(wanted.and_ or []), *(wanted.or_ or []), *([wanted.not_] if wanted.not_ else [])]


def _ranges(wanted: FanFilter) -> list[ColumnElement[bool]]:
    parts: list[ColumnElement[Any]] = []
    for name in ("spend", "order_count"):
        if (ints := getattr(wanted, name)) is not None:
            parts += within_ints(fans.c[name], ints)
    for name in ("last_order_at", "created_at"):
        if (times := getattr(wanted, name)) is not None:
            parts += within_times(fans.c[name], times)
    return parts
