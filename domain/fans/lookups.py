"""What a filter of fans has to look up, or to have checked, before it is SQL."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from domain import reads
from domain.access.rules import Node
from domain.attributes.filters import FIELD, check_attribute
from domain.attributes.queries import attributes_by_id
from domain.errors import BadInput
from domain.fans.filters import PERSONAL, READ, TAGS, FanFilter, Found, also, every
from domain.fans.models import Fan
from domain.levels.models import Level
from domain.orders.rules import IdentityInput
from domain.persons.models import Identity, IdentityKind
from domain.persons.naming import find_hash
from domain.persons.queries import LINK
from domain.persons.service import IdentityRef
from domain.persons.told import told
from domain.reads import grouped
from domain.scope import Scope
from domain.tables import table_of
from domain.tags.models import Tag
from domain.tenancy.models import Brand
from domain.vault import GroupVault, Vault, normalise_phone

fans, brands, tags, identities = table_of(Fan), table_of(Brand), table_of(Tag), table_of(Identity)


def phone_space(brand_id: int) -> str:
    """Name the hash space of a brand's phones: one phone hashes differently in every brand."""
    return f"phone@{brand_id}"


def looks_up(wanted: FanFilter) -> bool:
    """Tell whether a filter asks for something that has to be looked up."""
    asks = ("phone", "identity", "tag_id", "attributes", "level_id", "min_level_id")
    return any(getattr(one, name) for one in every(wanted) for name in asks)


async def look_up(session: AsyncSession, scope: Scope, vault: Vault, wanted: FanFilter | None) -> Found:
    """Look up what the filter asks for. Raises BadInput for what is not there, Forbidden for what may not be asked."""
    await _check_tags(session, scope, {one.tag_id for one in every(wanted) if one.tag_id is not None})
    await _check_attributes(session, scope, wanted)
    levels = await _levels(session, scope, wanted)
    phones = {one.phone for one in every(wanted) if one.phone is not None}
    people = {one.identity for one in every(wanted) if one.identity is not None}
    if not phones and not people:
        return Found(levels=levels)
    # an answer to `is it this one?` unmasks what is masked in a few tries
    scope.require(PERSONAL)
    places = await _readable(session, scope, vault)
    return Found(
        {phone: _of_phone(scope, places, phone) for phone in phones},
        {identity: _of_identity(scope, places, identity) for identity in people},
        levels,
    )


async def _check_tags(session: AsyncSession, scope: Scope, asked: set[int]) -> None:
    # filtering by a tag says who carries it, so the caller must be one who may read it
    if asked and asked != set(await reads.by_id(session, scope.where_shared(TAGS, tags), Tag, asked)):
        raise BadInput("No such tag.", field=("filter", "tagId"))


async def _check_attributes(session: AsyncSession, scope: Scope, wanted: FanFilter | None) -> None:
    asked = [attribute for one in every(wanted) for attribute in one.attributes or []]
    known = await attributes_by_id(session, scope, [one.attribute_id for one in asked])
    for one in asked:
        if one.attribute_id not in known:
            raise BadInput("No such attribute.", field=(*FIELD, "attributeId"))
        check_attribute(known[one.attribute_id], one)


async def _levels(session: AsyncSession, scope: Scope, wanted: FanFilter | None) -> dict[int, Level]:
    asked = {name: [getattr(one, name) for one in every(wanted)] for name in ("level_id", "min_level_id")}
    ids = {number for numbers in asked.values() for number in numbers if number is not None}
    found = await reads.by_id(session, scope.where_shared(READ, table_of(Level)), Level, ids)
    for name, numbers in asked.items():
        if any(number is not None and number not in found for number in numbers):
            raise BadInput("No such level.", field=("filter", "levelId" if name == "level_id" else "minLevelId"))
    return found


async def _readable(session: AsyncSession, scope: Scope, vault: Vault) -> list[tuple[GroupVault, int]]:
    """Return the brands where the caller may read personal data, each with the keys of its group."""
    nodes = scope.where_shared(PERSONAL, brands)
    rows = (await session.execute(select(brands.c.group_id, brands.c.id).where(nodes))).all()
    return [(await vault.of_group(session, group_id), brand_id) for group_id, brand_id in rows]


def _of_phone(scope: Scope, places: list[tuple[GroupVault, int]], phone: str) -> ColumnElement[bool]:
    number = normalise_phone(phone)
    arms = [
        and_(fans.c.brand_id == brand_id, fans.c.phone_hash == keys.find_hash(number, phone_space(brand_id)))
        for keys, brand_id in places
    ]
    return and_(or_(*arms), also(scope, permission=PERSONAL)) if arms else false()


def _of_identity(scope: Scope, places: list[tuple[GroupVault, int]], wanted: IdentityInput) -> ColumnElement[bool]:
    """Build the condition that finds the fans of an identity (T29).

    Who may link brands finds the person's fans in all of them. Anybody else finds the fan of a brand that was told of
    the identity itself: else an answer would say that the fan is known to another brand, and by what.
    """
    if wanted.kind is IdentityKind.PHONE:
        raise BadInput("A phone is filtered by the field phone.", field=("filter", "identity", "kind"))
    ref = IdentityRef(wanted.kind, wanted.value, wanted.issuer)
    arms = list(_people(scope, places, ref))
    return and_(or_(*arms), also(scope, permission=PERSONAL)) if arms else false()


def _people(scope: Scope, places: list[tuple[GroupVault, int]], ref: IdentityRef) -> Iterator[ColumnElement[Any]]:
    for group_id, found in grouped(places, lambda place: place[0].group_id).items():
        value_hash = find_hash(found[0][0], ref)
        if scope.holds(LINK, Node(group_id)):
            same = (identities.c.group_id == group_id, identities.c.value_hash == value_hash)
            yield fans.c.person_id.in_(select(identities.c.person_id).where(*same))
        else:
            brand_ids = [brand_id for _, brand_id in found]
            yield tuple_(fans.c.person_id, fans.c.brand_id).in_(told(value_hash, group_id, ref.kind, brand_ids))
