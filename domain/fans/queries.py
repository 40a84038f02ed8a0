"""Reads of fans."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, false, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.errors import BadInput, NotFound
from domain.fans.filters import SORTS, FanFilter, FanSort, check_size, condition, phones_in, tags_in
from domain.fans.models import Fan
from domain.page import Page, PageArgs, Window, paginate, window
from domain.scope import Scope
from domain.tables import table_of
from domain.tags.models import Tag
from domain.tenancy.models import Brand
from domain.vault import Vault, normalise_phone

READ, PERSONAL = "fan:read", "fan:read_personal"
fans, brands, tags = table_of(Fan), table_of(Brand), table_of(Tag)


def phone_space(brand_id: int) -> str:
    """Name the hash space of a brand's phones: one phone hashes differently in every brand."""
    return f"phone@{brand_id}"


async def get_fan(session: AsyncSession, scope: Scope, fan_id: int) -> Fan:
    """Return the fan. Raises NotFound where there is none or the caller may not read it."""
    found = await fans_by_id(session, scope, [fan_id])
    if fan_id not in found:
        raise NotFound
    return found[fan_id]


async def fans_by_id(session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = READ) -> dict[int, Fan]:
    return await reads.by_id(session, scope.where(permission, fans), Fan, ids)


async def list_fans(
    session: AsyncSession,
    scope: Scope,
    vault: Vault,
    args: PageArgs,
    *,
    wanted: FanFilter | None = None,
    order: FanSort = FanSort.ID_ASC,
) -> Page[Fan]:
    """Return a page of the fans the caller may read and that meet the filter."""
    phones: dict[str, ColumnElement[bool]] = {}
    if wanted is not None:
        check_size(wanted)
        phones = await _phone_conditions(session, scope, vault, phones_in(wanted))
        await _check_tags(session, scope, tags_in(wanted))
    return await paginate(session, _meeting(scope, wanted, phones), SORTS[order], args)


def cut_fans(scope: Scope, args: PageArgs, wanted: FanFilter | None, order: FanSort) -> Window | None:
    """Return the page of `list_fans` before it is read, or None where the filter has to look something up first."""
    if wanted is not None:
        check_size(wanted)
        if phones_in(wanted) or tags_in(wanted):
            return None
    return window(_meeting(scope, wanted, {}), SORTS[order], args)


def select_fans(scope: Scope) -> Select[Any]:
    """Select the fans the caller may read."""
    return select(fans).where(scope.where(READ, fans))


def fan_of_each(scope: Scope, row: FromClause) -> Select[Any]:
    """Select the fan a row of an outer statement belongs to."""
    return select_fans(scope).where(fans.c.id == row.c.fan_id).correlate(row)


def also(scope: Scope, source: FromClause = fans, *, permission: str) -> ColumnElement[bool]:
    """Build the condition that a fan who may be read may be read in this too, which mostly says nothing new."""
    same = scope.nodes(permission) == scope.nodes(READ)
    return true() if same else scope.where(permission, fans, source)


def _meeting(scope: Scope, wanted: FanFilter | None, phones: dict[str, ColumnElement[bool]]) -> Select[Any]:
    statement = select_fans(scope)
    return (
        statement if wanted is None else statement.where(condition(wanted, phones, also(scope, permission="tag:read")))
    )


async def _check_tags(session: AsyncSession, scope: Scope, asked: set[int]) -> None:
    # filtering by a tag says who carries it, so the caller must be one who may read it
    if asked and asked != set(await reads.by_id(session, scope.where_shared("tag:read", tags), Tag, asked)):
        raise BadInput("No such tag.", field=("filter", "tagId"))


async def _phone_conditions(
    session: AsyncSession, scope: Scope, vault: Vault, phones: set[str]
) -> dict[str, ColumnElement[bool]]:
    """Build, for each phone, the condition that finds it by its hash where the caller may read phones.

    Raises Forbidden where that is nowhere: an answer to `is it this one?` unmasks a masked phone in a few tries.
    """
    if not phones:
        return {}
    scope.require(PERSONAL)
    nodes = scope.where_shared(PERSONAL, brands)
    readable = (await session.execute(select(brands.c.group_id, brands.c.id).where(nodes))).all()
    found: dict[str, ColumnElement[bool]] = {}
    for phone in phones:
        number = normalise_phone(phone)
        arms: list[ColumnElement[bool]] = []
        for group_id, brand_id in readable:
            keys = await vault.of_group(session, group_id)
            known_as = keys.find_hash(number, phone_space(brand_id))
            arms.append(and_(fans.c.brand_id == brand_id, fans.c.phone_hash == known_as))
        found[phone] = and_(or_(*arms), also(scope, permission=PERSONAL)) if arms else false()
    return found
