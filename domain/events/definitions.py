"""What the events of a brand carry: definitions, made and changed by name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Select, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock, reads
from domain.compiled import Among, Compiled
from domain.database import dialect_insert
from domain.errors import BadInput, NotFound
from domain.events.models import NAME_LENGTH, EventDefinition, SchemaMode
from domain.events.rules import BUILT_IN, FROM_FANS, KNOWN_EVERYWHERE, Definition, Property, PropertyType, is_name
from domain.ids import BrandId
from domain.inputs import said
from domain.page import Page, PageArgs, Sort, Window, read, window
from domain.scope import Scope
from domain.tables import table_of
from domain.tenancy.models import Brand

READ, WRITE = "event:read", "event_definition:write"
MAX_PROPERTIES, MAX_CHOICES, MAX_CHOICE, MAX_DEFINITIONS = 50, 100, 200, 500
definitions = table_of(EventDefinition)


@dataclass(frozen=True)
class NewDefinition:
    """What a brand's events of one name carry. Said again, it replaces what was said before."""

    brand_id: BrandId = said("The brand.")
    name: str = said("The events' name: small letters, digits and _, a letter first, at most 64 characters.")
    properties: list[Property] = said("What they carry, at most 50 properties.")
    mode: SchemaMode = said("What becomes of an event that is not so.", SchemaMode.LENIENT)
    from_fans: bool | None = said("Whether fans' own devices may send it; for a built-in name, as it is known.", None)
    description: str | None = said("What it means, at most 500 characters.", None)


async def definitions_of(session: AsyncSession, brand_id: int, names: Iterable[str]) -> dict[str, Definition]:
    """Return what is known of these names in the brand: its own definitions, and the names that are built in."""
    wanted = sorted(set(names))
    found = {name: KNOWN_EVERYWHERE[name] for name in wanted if name in KNOWN_EVERYWHERE}
    for row in await _select_named.rows(session, brand=brand_id, names=wanted):
        found[row.name] = Definition(_read(row.properties), SchemaMode(row.mode), row.from_fans)
    return found


@Compiled
def _select_named(among: Among) -> Select[Any]:
    columns = (definitions.c.name, definitions.c.properties, definitions.c.mode, definitions.c.from_fans)
    return select(*columns).where(definitions.c.brand_id == bindparam("brand"), among(definitions.c.name, "names"))


def properties_of(row: EventDefinition) -> Sequence[Property]:
    """Return the properties of a stored definition."""
    return list(_read(row.properties).values())


def _read(stored: Sequence[Mapping[str, Any]]) -> dict[str, Property]:
    return {one["name"]: Property(**{**one, "type": PropertyType(one["type"])}) for one in stored}


async def define(session: AsyncSession, principal: str, brand: Brand, new: NewDefinition) -> int:
    """Make or replace the brand's definition of a name and return its id. What is stored already stays as it is."""
    _check(new)
    await _check_room(session, brand, new.name)
    now = clock.now()
    changing = {
        "description": new.description,
        "mode": new.mode.value,
        "properties": [asdict(one) for one in new.properties],
        "from_fans": new.name in FROM_FANS if new.from_fans is None else new.from_fans,
        "updated_at": now,
    }
    row = {"group_id": brand.group_id, "brand_id": brand.id, "name": new.name, "version": 1, "created_at": now}
    insertion = dialect_insert(session, definitions).values(**row, **changing)
    statement = insertion.on_conflict_do_update(
        index_elements=["brand_id", "name"], set_={**changing, "version": definitions.c.version + 1}
    ).returning(definitions.c.id, definitions.c.version)
    made = (await session.execute(statement)).one()
    detail = {"name": new.name, "version": made.version, "mode": new.mode.value}
    deed = audit.Deed(brand.group_id, brand.id, "event:define", f"EventDefinition:{made.id}", detail)
    await audit.record(session, principal, [deed])
    return int(made.id)


async def _check_room(session: AsyncSession, brand: Brand, name: str) -> None:
    mine = select(definitions.c.name).where(definitions.c.brand_id == brand.id).limit(MAX_DEFINITIONS)
    known = set((await session.execute(mine)).scalars())
    if name not in known and len(known) >= MAX_DEFINITIONS:
        raise BadInput(f"A brand defines at most {MAX_DEFINITIONS} events.", field=("input", "name"))


def _check(new: NewDefinition) -> None:
    if not is_name(new.name):
        raise BadInput("A name has 1 to 64 small letters, digits and _, a letter first.", field=("input", "name"))
    if new.description is not None and len(new.description) > 500:
        raise BadInput("description has at most 500 characters.", field=("input", "description"))
    if new.from_fans and new.name in BUILT_IN - FROM_FANS:
        raise BadInput("This event is said by servers only.", field=("input", "fromFans"))
    if len(new.properties) > MAX_PROPERTIES:
        raise BadInput(f"properties takes at most {MAX_PROPERTIES}.", field=("input", "properties"))
    names = [one.name for one in new.properties]
    for position, one in enumerate(new.properties):
        _check_property(one, ("input", "properties", str(position)), is_twice=names.index(one.name) < position)


def _check_property(one: Property, at: tuple[str, ...], *, is_twice: bool) -> None:
    if not 1 <= len(one.name.strip()) <= len(one.name) <= NAME_LENGTH or is_twice:
        raise BadInput("A property's name has 1 to 64 characters, and stands once.", field=(*at, "name"))
    if one.choices and one.type is not PropertyType.STRING:
        raise BadInput("Only a STRING has choices.", field=(*at, "choices"))
    if len(one.choices) > MAX_CHOICES or any(not 1 <= len(choice) <= MAX_CHOICE for choice in one.choices):
        raise BadInput(f"choices takes {MAX_CHOICES} texts of 1 to {MAX_CHOICE} characters.", field=(*at, "choices"))


async def remove(session: AsyncSession, principal: str, definition: EventDefinition) -> None:
    """Forget a definition: a name that is built in is then as everywhere, another is not taken any more."""
    await session.execute(delete(definitions).where(definitions.c.id == definition.id))
    subject = f"EventDefinition:{definition.id}"
    deed = audit.Deed(definition.group_id, definition.brand_id, "event:undefine", subject, {"name": definition.name})
    await audit.record(session, principal, [deed])


async def definitions_by_id(
    session: AsyncSession, scope: Scope, ids: Iterable[int], permission: str = READ
) -> dict[int, EventDefinition]:
    return await reads.by_id(session, _where(scope, permission), EventDefinition, ids)


async def get_definition(
    session: AsyncSession, scope: Scope, definition_id: int, permission: str = READ
) -> EventDefinition:
    """Return the definition. Raises NotFound where there is none or the caller may not read it."""
    found = await definitions_by_id(session, scope, [definition_id], permission)
    if definition_id not in found:
        raise NotFound
    return found[definition_id]


async def list_definitions(
    session: AsyncSession, scope: Scope, args: PageArgs, brand_id: int | None = None
) -> Page[EventDefinition]:
    """Return a page of the definitions the caller may read."""
    return await read(session, cut_definitions(scope, args, brand_id))


def cut_definitions(scope: Scope, args: PageArgs, brand_id: int | None) -> Window:
    """Return the page of `list_definitions` before it is read."""
    statement = select(definitions).where(_where(scope, READ))
    if brand_id is not None:
        statement = statement.where(definitions.c.brand_id == brand_id)
    return window(statement, Sort("id", (definitions.c.id,)), args)


def _where(scope: Scope, permission: str) -> Any:
    # what a brand's events are is known to those who read them at its dealers too; who changes it is of the brand
    return (scope.where_shared if permission == READ else scope.where)(permission, definitions)
