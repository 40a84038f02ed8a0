"""Writes of attributes and of what fans have of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.attributes.models import Attribute, AttributeType, FanAttribute
from domain.attributes.rules import KEY, AttributeValue, Kept, check_choices, kept
from domain.consents.minors import check_guarded
from domain.errors import BadInput, DomainError
from domain.fans.models import Fan
from domain.fans.service import lock_fans
from domain.ids import ABSENT, Absent, AttributeId, BrandId
from domain.inputs import said
from domain.reads import grouped
from domain.tables import table_of
from domain.tenancy.models import Brand
from domain.timeline.changes import Change, record
from domain.timeline.models import ChangeAct, ChangeKind

attributes, fan_attributes = table_of(Attribute), table_of(FanAttribute)
MAX_ATTRIBUTES, MAX_FANS, MAX_VALUES = 200, 250, 20


class AttributeKeyTaken(DomainError):
    code = "ATTRIBUTE_KEY_TAKEN"
    default = "The brand has an attribute of this key already."


class AttributeOfAnotherBrand(DomainError):
    code = "ATTRIBUTE_OF_ANOTHER_BRAND"
    default = "This attribute belongs to another brand than the fan."


@dataclass(frozen=True)
class NewAttribute:
    """An attribute to be made."""

    brand_id: BrandId = said("The brand it belongs to.")
    key: str = said("Its key for programs: a to z, digits and _, beginning with a letter, at most 64; never changed.")
    name: str = said("Its name, 1 to 100 characters.")
    type: AttributeType = said("What its values are; never changed.")
    choices: list[str] = said("What can be chosen of, for CHOICE and CHOICES: 1 to 100, each once.", factory=list)
    description: str | None = said("What it means, at most 500 characters.", None)
    fan_visible: bool = said("Whether fans see their own value.", default=False)
    fan_writable: bool = said("Whether fans set their own value, which then is visible to them.", default=False)


@dataclass(frozen=True)
class AttributeChange:
    """What changes of an attribute. A field that is left out stays."""

    attribute_id: AttributeId = said("The attribute.")
    name: str | Absent = said("Its name, 1 to 100 characters.", ABSENT)
    description: str | Absent | None = said("What it means, at most 500 characters.", ABSENT)
    fan_visible: bool | Absent = said("Whether fans see their own value.", ABSENT)
    fan_writable: bool | Absent = said("Whether fans set their own value.", ABSENT)
    add_choices: list[str] | Absent = said("More to choose of. What was offered once stays.", ABSENT)
    archived: bool | Absent = said("Whether it is put away: its values are kept, and neither shown nor set.", ABSENT)


async def create_attribute(session: AsyncSession, principal: str, brand: Brand, new: NewAttribute) -> int:
    """Make an attribute and return its id. Raises AttributeKeyTaken and BadInput."""
    if not KEY.fullmatch(new.key):
        raise BadInput("key has a to z, digits and _, begins with a letter, at most 64.", field=("input", "key"))
    _check_texts(new.name, new.description)
    check_choices(new.type, new.choices, ("input", "choices"))
    known = select(func.count()).select_from(attributes).where(attributes.c.brand_id == brand.id)
    if (await session.execute(known)).scalar_one() >= MAX_ATTRIBUTES:
        raise BadInput(f"A brand has at most {MAX_ATTRIBUTES} attributes.", field=("input", "brandId"))
    row = {**vars(new), "type": new.type.value, "group_id": brand.group_id, "created_at": clock.now()}
    row["fan_visible"] = new.fan_visible or new.fan_writable
    try:
        made = (await session.execute(insert(attributes).values(row).returning(attributes.c.id))).scalar_one()
    except IntegrityError as error:
        raise AttributeKeyTaken(field=("input", "key")) from error
    detail = {"after": {"key": new.key, "type": new.type.value}}
    await audit.record(session, principal, [_deed(brand.group_id, brand.id, "attribute:create", made, detail)])
    return int(made)


async def update_attribute(
    session: AsyncSession, principal: str, attribute: Attribute, change: AttributeChange
) -> None:
    """Change an attribute. Raises BadInput naming the field that cannot be so."""
    given = {name: value for name, value in vars(change).items() if not isinstance(value, Absent)}
    del given["attribute_id"]
    _check_texts(given.get("name", attribute.name), given.get("description"))
    columns: dict[str, Any] = {
        name: given[name] for name in ("name", "description", "fan_visible", "fan_writable") if name in given
    }
    if given.get("fan_writable"):
        columns["fan_visible"] = True
    elif given.get("fan_visible") is False:
        columns["fan_writable"] = False
    if "add_choices" in given:
        columns["choices"] = [*attribute.choices, *given["add_choices"]]
        check_choices(AttributeType(attribute.type), columns["choices"], ("input", "addChoices"))
    if "archived" in given:
        columns["archived_at"] = (attribute.archived_at or clock.now()) if given["archived"] else None
    if columns:
        await session.execute(update(attributes).where(attributes.c.id == attribute.id).values(columns))
        detail = {"fields": sorted(given)}
        deed = _deed(attribute.group_id, attribute.brand_id, "attribute:update", attribute.id, detail)
        await audit.record(session, principal, [deed])


def _check_texts(name: str, description: str | None) -> None:
    if not 1 <= len(name.strip()) <= len(name) <= 100:
        raise BadInput("name has 1 to 100 characters.", field=("input", "name"))
    if description is not None and len(description) > 500:
        raise BadInput("description has at most 500 characters.", field=("input", "description"))


def _deed(group_id: int, brand_id: int, action: str, attribute_id: int, detail: dict[str, Any]) -> audit.Deed:
    return audit.Deed(group_id, brand_id, action, f"Attribute:{attribute_id}", detail)


async def set_fan_attributes(
    session: AsyncSession,
    principal: str,
    fans: Sequence[Fan],
    known: Mapping[int, Attribute],
    values: Sequence[AttributeValue],
    *,
    own: bool = False,
) -> None:
    """Give each fan these values, or take them away. All or nothing, and nothing where nothing differs.

    `known` holds the attribute of each value. Raises BadInput naming the value at fault, AttributeOfAnotherBrand,
    GuardianConsentMissing.
    """
    wanted = {value.attribute_id: kept(known[value.attribute_id], value, _path(n)) for n, value in enumerate(values)}
    for place, value in enumerate(values):
        if any(fan.brand_id != known[value.attribute_id].brand_id for fan in fans):
            raise AttributeOfAnotherBrand(field=_path(place))
    if any(wanted.values()):
        await check_guarded(session, fans, own=own)
    # two who set the same value at once: the second waits, and sees what the first wrote
    await lock_fans(session, [fan.id for fan in fans])
    held = await _held(session, [fan.id for fan in fans], list(wanted))
    differ = [
        (fan, attribute_id)
        for fan in sorted(fans, key=lambda fan: fan.id)
        for attribute_id in sorted(wanted)
        if held.get((fan.id, attribute_id), []) != wanted[attribute_id]
    ]
    if differ:
        await _replace(session, differ, wanted)
        await _remember(session, principal, differ, known)


def _path(place: int) -> tuple[str, ...]:
    return ("input", "values", str(place))


async def _held(
    session: AsyncSession, fan_ids: Sequence[int], attribute_ids: Sequence[int]
) -> dict[tuple[int, int], list[Kept]]:
    columns = (fan_attributes.c[name] for name in ("fan_id", "attribute_id", "item", "text", "number"))
    statement = select(*columns).where(
        fan_attributes.c.fan_id.in_(fan_ids), fan_attributes.c.attribute_id.in_(attribute_ids)
    )
    rows = grouped(
        await session.execute(statement.order_by(fan_attributes.c.item)), lambda row: (row.fan_id, row.attribute_id)
    )
    return {pair: [Kept(row.item, row.text, row.number) for row in same] for pair, same in rows.items()}


async def _replace(
    session: AsyncSession, differ: Sequence[tuple[Fan, int]], wanted: Mapping[int, Sequence[Kept]]
) -> None:
    pairs = [(fan.id, attribute_id) for fan, attribute_id in differ]
    key = tuple_(fan_attributes.c.fan_id, fan_attributes.c.attribute_id)
    await session.execute(delete(fan_attributes).where(key.in_(pairs)))
    now = clock.now()
    rows = [
        {
            "fan_id": fan.id,
            "attribute_id": attribute_id,
            "group_id": fan.group_id,
            "brand_id": fan.brand_id,
            **value._asdict(),
            "updated_at": now,
        }
        for fan, attribute_id in differ
        for value in wanted[attribute_id]
    ]
    if rows:
        await session.execute(insert(fan_attributes), rows)


async def _remember(
    session: AsyncSession, principal: str, differ: Sequence[tuple[Fan, int]], known: Mapping[int, Attribute]
) -> None:
    changes = []
    for fan_id, pairs in grouped(differ, lambda pair: pair[0].id).items():
        fan, detail = pairs[0][0], {"attributes": [known[attribute_id].key for _, attribute_id in pairs]}
        place = (fan.group_id, fan.brand_id, fan_id)
        changes.append(Change(*place, ChangeKind.PROFILE, ChangeAct.CHANGED, principal, detail=detail))
    await record(session, changes)
    fan = differ[0][0]
    what = {"fans": [change.fan_id for change in changes], "attributes": sorted({number for _, number in differ})}
    deed = audit.Deed(fan.group_id, fan.brand_id, "fan_attributes:set", f"Brand:{fan.brand_id}", what)
    await audit.record(session, principal, [deed])
