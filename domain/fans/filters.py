"""What fans can be filtered by, and the SQL each of it means."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, false, func, not_, or_, select, true

from domain.attributes.filters import AttributeFilter, fans_with
from domain.errors import BadInput
from domain.events.activity import last_active
from domain.fans.models import Fan, Gender
from domain.fans.names import holding, named
from domain.ids import BrandId, ChannelAccountId, DealerId, LevelId, StoreId, TagId
from domain.inputs import said
from domain.levels.filters import at_level, from_level
from domain.levels.models import Level
from domain.orders.rules import IdentityInput
from domain.ranges import DateRange, IntRange, TimeRange, within_dates, within_ints, within_times
from domain.scope import Scope
from domain.tables import table_of
from domain.tags.models import FanTag
from domain.tenancy.models import ChannelAccount, ChannelKind

READ, PERSONAL, TAGS, EVENTS = "fan:read", "fan:read_personal", "tag:read", "event:read"
fans, fan_tags, accounts = table_of(Fan), table_of(FanTag), table_of(ChannelAccount)

MAX_CLAUSES = 50


@dataclass(frozen=True)
class FanFilter:
    """Conditions on fans. All given ones must hold; `and`, `or` and `not` nest further ones.

    A fan is found by phone, identity or birthday, by tag, or by when they were active, where the caller may read that
    of them.
    """

    brand_id: BrandId | None = said("Fans of this brand.", None)
    dealer_id: DealerId | None = said("Fans of this dealer.", None)
    store_id: StoreId | None = said("Fans of this store.", None)
    tag_id: TagId | None = said("Fans who carry this tag.", None)
    level_id: LevelId | None = said("Fans at this level.", None)
    min_level_id: LevelId | None = said("Fans at this level of their brand or above it.", None)
    nickname: str | None = said(
        "Fans whose nickname holds this text of two characters or more, in either case of A to Z.", None
    )
    phone: str | None = said("The fan with this phone, however it is written. Needs fan:read_personal.", None)
    identity: IdentityInput | None = said(
        "The fan with this identity, at a brand that was told of it, and an openid at one of the brand's own channel "
        "accounts; for who may link brands, the person's fans in all of them. A phone has a field of its own. Needs "
        "fan:read_personal.",
        None,
    )
    gender: Gender | None = said("Fans of this gender.", None)
    birthday: DateRange | None = said("When they were born. Needs fan:read_personal.", None)
    province: str | None = said("Fans who live in this province, as it is stored.", None)
    city: str | None = said("Fans who live in this city, as it is stored.", None)
    district: str | None = said("Fans who live in this district, as it is stored.", None)
    language: str | None = said("Fans who use this language, as it is stored.", None)
    source_account_id: ChannelAccountId | None = said("Fans whom this channel account brought.", None)
    source_channel: ChannelKind | None = said("Fans whom an account of this channel brought.", None)
    source_scene: str | None = said("Fans whom this scene brought, such as a QR code's.", None)
    subscribed: bool | None = said("Fans who follow now, or do not.", None)
    follow_count: IntRange | None = said("How often they followed.", None)
    spend: IntRange | None = said("What they have spent, in minor units (分) of their brand's currency.", None)
    order_count: IntRange | None = said("How many paid orders they have.", None)
    followed_at: TimeRange | None = said("When they followed first.", None)
    last_followed_at: TimeRange | None = said("When they followed last.", None)
    unfollowed_at: TimeRange | None = said("When they left, where they did not come back.", None)
    last_order_at: TimeRange | None = said("When they placed their last paid order.", None)
    last_active_at: TimeRange | None = said("When they were last active, as lastActiveAt says. Needs event:read.", None)
    created_at: TimeRange | None = said("When the brand first knew of them.", None)
    attributes: list[AttributeFilter] | None = said("What they have of the brand's own attributes.", None)
    and_: "list[FanFilter] | None" = said("Filters that must all hold too.", None)
    or_: "list[FanFilter] | None" = said("Filters of which one must hold too.", None)
    not_: "FanFilter | None" = said("A filter that must not hold.", None)


@dataclass(frozen=True)
class Found:
    """What a filter asks for and had to be looked up: what finds each phone and each identity, and the levels."""

    phones: dict[str, ColumnElement[bool]] = field(default_factory=dict)
    identities: dict[IdentityInput, ColumnElement[bool]] = field(default_factory=dict)
    levels: dict[int, Level] = field(default_factory=dict)
    # fans are read in their order: what could find them by another index looks at each of them instead
    walking: bool = False


_EQUAL = (
    *("brand_id", "dealer_id", "store_id", "gender", "province", "city", "district", "language"),
    *("source_account_id", "source_scene", "subscribed"),
)
_INTS = ("spend", "order_count", "follow_count")
_TIMES = ("followed_at", "last_followed_at", "unfollowed_at", "last_order_at", "created_at")


def every(wanted: FanFilter | None) -> Iterator[FanFilter]:
    """Yield a filter and all that are nested in it."""
    if wanted is not None:
        yield wanted
        for inner in _nested(wanted):
            yield from every(inner)


def check_size(wanted: FanFilter) -> None:
    """Raise BadInput for a filter with too many clauses."""
    if sum(map(_clauses, every(wanted))) > MAX_CLAUSES:
        raise BadInput(f"A filter may have at most {MAX_CLAUSES} clauses.", field=("filter",))


def also(scope: Scope, source: FromClause = fans, *, permission: str) -> ColumnElement[bool]:
    """Build the condition that a fan who may be read may be read in this too, which mostly says nothing new."""
    same = scope.nodes(permission) == scope.nodes(READ)
    return true() if same else scope.where(permission, fans, source)


def condition(wanted: FanFilter, scope: Scope, found: Found) -> ColumnElement[bool]:
    """Build the SQL of a filter. Raises BadInput for what is no condition, Forbidden for what may not be asked."""
    if wanted.or_ is not None and not wanted.or_:
        raise BadInput("or needs at least one condition.", field=("filter", "or"))
    parts = [fans.c[name] == getattr(wanted, name) for name in _EQUAL if getattr(wanted, name) is not None]
    parts += [*_ranges(wanted), *_looked_up(wanted, scope, found)]
    parts += [condition(inner, scope, found) for inner in wanted.and_ or []]
    if wanted.or_:
        parts.append(or_(*(condition(inner, scope, found) for inner in wanted.or_)))
    if wanted.not_ is not None:
        # a fan without a province is not in that province: NOT of an unknown would leave them out
        parts.append(not_(func.coalesce(condition(wanted.not_, scope, found), false())))
    return and_(*parts) if parts else true()


def _clauses(wanted: FanFilter) -> int:
    given = sum(getattr(wanted, one.name) is not None for one in fields(wanted))
    return given + max(len(wanted.attributes or []) - 1, 0)


def _nested(wanted: FanFilter) -> list[FanFilter]:
    return [*(wanted.and_ or []), *(wanted.or_ or []), *([wanted.not_] if wanted.not_ else [])]


def _ranges(wanted: FanFilter) -> list[ColumnElement[bool]]:
    parts: list[ColumnElement[Any]] = []
    for name in _INTS:
        if (ints := getattr(wanted, name)) is not None:
            parts += within_ints(fans.c[name], ints)
    for name in _TIMES:
        if (times := getattr(wanted, name)) is not None:
            parts += within_times(fans.c[name], times)
    return parts


def _looked_up(wanted: FanFilter, scope: Scope, found: Found) -> list[ColumnElement[bool]]:
    """Build what is found beside the fan's own row, or of it under another permission."""
    parts: list[ColumnElement[bool]] = []
    if wanted.nickname is not None:
        parts.append(holding(wanted.nickname) if found.walking else named(scope, wanted.nickname, READ))
    if wanted.phone is not None:
        parts.append(found.phones[wanted.phone])
    if wanted.identity is not None:
        parts.append(found.identities[wanted.identity])
    if wanted.birthday is not None:
        scope.require(PERSONAL)
        parts += [*within_dates(fans.c.birthday, wanted.birthday), also(scope, permission=PERSONAL)]
    if wanted.tag_id is not None:
        carriers = select(fan_tags.c.fan_id).where(fan_tags.c.tag_id == wanted.tag_id)
        parts += [fans.c.id.in_(carriers), also(scope, permission=TAGS)]
    if wanted.source_channel is not None:
        of_channel = select(accounts.c.id).where(accounts.c.kind == wanted.source_channel)
        parts.append(fans.c.source_account_id.in_(of_channel))
    if wanted.last_active_at is not None:
        scope.require(EVENTS)
        parts += [fans.c.id.in_(last_active(scope, wanted.last_active_at)), also(scope, permission=EVENTS)]
    return parts + _levels(wanted, found) + [fans_with(one, fans.c.id) for one in wanted.attributes or []]


def _levels(wanted: FanFilter, found: Found) -> list[ColumnElement[bool]]:
    at = [] if wanted.level_id is None else [at_level(found.levels[wanted.level_id], fans.c)]
    above = [] if wanted.min_level_id is None else [from_level(found.levels[wanted.min_level_id], fans.c)]
    return [*at, *above]
