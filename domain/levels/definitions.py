"""Saying what a brand's levels are, all of them at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.database import insert_ignore
from domain.errors import BadInput, DomainError
from domain.ids import BrandId, Int64
from domain.inputs import said
from domain.levels.models import Demotion, Level, LevelProgramme
from domain.tables import table_of
from domain.tenancy.models import Brand

CODE = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
MAX_LEVELS, MAX_EVER, MAX_BENEFITS, MAX_MONTHS = 20, 100, 20, 120
levels, programmes = table_of(Level), table_of(LevelProgramme)


class LevelsChanged(DomainError):
    code = "LEVELS_CHANGED"
    default = "Somebody changed the levels since they were read."


@dataclass(frozen=True)
class Benefit:
    """What a level gives."""

    name: str = said("What it is called, 1 to 100 characters.")
    description: str | None = said("What it is, at most 500 characters.", None)


@dataclass(frozen=True)
class NewLevel:
    """A level of a ladder."""

    code: str = said(
        "Its code for programs, which tells it from others: A to Z, digits and _, a letter first, at most 32."
    )
    name: str = said("Its name, 1 to 100 characters.")
    growth: Int64 = said("The growth it takes; 0 for the level that everybody has.")
    description: str | None = said("What it means, at most 500 characters.", None)
    benefits: list[Benefit] = said("What it gives, at most 20 benefits.", factory=list)


@dataclass(frozen=True)
class NewLadder:
    """The levels of a brand, lowest first, and how they are kept. What is not named any more is archived."""

    brand_id: BrandId = said("The brand.")
    levels: list[NewLevel] = said("The levels, at most 20, each with more growth than the one before.")
    demotion: Demotion = said("What becomes of a level that growth does not carry any more.", Demotion.NEVER)
    valid_months: int | None = said("For PERIODIC: how many months a level is kept, 1 to 120.", None)
    version: int | None = said("The version that was read, 0 where there was none; refused where it is another.", None)
    dry_run: bool = said("Whether to say only what it would do to the fans.", default=False)


async def set_ladder(session: AsyncSession, principal: str, brand: Brand, new: NewLadder) -> bool:
    """Replace the brand's levels; return whether fans have to be looked at again, which the worker does.

    Raises BadInput naming the field at fault, and LevelsChanged where another version is in force than was read.
    """
    _check(new)
    programme = await _locked(session, brand)
    if new.version is not None and new.version != programme.version:
        raise LevelsChanged(field=("input", "version"))
    known = {row.code: row for row in await session.execute(select(levels).where(levels.c.brand_id == brand.id))}
    if len(known.keys() | {level.code for level in new.levels}) > MAX_EVER:
        raise BadInput(f"A brand has at most {MAX_EVER} levels, those archived among them.", field=("input", "levels"))
    before, wanted = _thresholds(known.values()), {level.code: level.growth for level in new.levels}
    kept = {"demotion": new.demotion.value, "valid_months": new.valid_months}
    moves = before != wanted or any(getattr(programme, name) != value for name, value in kept.items())
    if not moves and _said(known.values()) == [asdict(level) for level in new.levels]:
        return False
    await _write(session, brand, new.levels, known)
    grown = {**kept, "version": programmes.c.version + 1, "updated_at": clock.now()} | (
        {"settled_to": 0} if moves else {}
    )
    await session.execute(update(programmes).where(programmes.c.brand_id == brand.id).values(grown))
    detail = {"before": {"levels": before, **_kept(programme)}, "after": {"levels": wanted, **kept}}
    deed = audit.Deed(brand.group_id, brand.id, "level:define", f"Brand:{brand.id}", detail)
    await audit.record(session, principal, [deed])
    return moves


async def _locked(session: AsyncSession, brand: Brand) -> Any:
    """Return the brand's programme, locked; made where there is none, in version 0."""
    made = {"brand_id": brand.id, "group_id": brand.group_id, "demotion": Demotion.NEVER.value, "version": 0}
    await session.execute(insert_ignore(session, programmes, [{**made, "updated_at": clock.now()}]))
    mine = select(programmes).where(programmes.c.brand_id == brand.id)
    return (await session.execute(mine.with_for_update())).one()


def _kept(row: Any) -> dict[str, Any]:
    return {"demotion": row.demotion, "valid_months": row.valid_months}


def _in_force(rows: Any) -> list[Any]:
    return sorted((row for row in rows if row.archived_at is None), key=lambda row: row.growth)


def _thresholds(rows: Any) -> dict[str, int]:
    return {row.code: row.growth for row in _in_force(rows)}


def _said(rows: Any) -> list[dict[str, Any]]:
    names = NewLevel.__dataclass_fields__
    return [{name: getattr(row, name) for name in names} for row in _in_force(rows)]


async def _write(session: AsyncSession, brand: Brand, wanted: Sequence[NewLevel], known: Mapping[str, Any]) -> None:
    now = clock.now()
    first = 0 if wanted and wanted[0].growth == 0 else 1
    added = []
    for rank, level in enumerate(wanted, start=first):
        row = {**asdict(level), "rank": rank, "archived_at": None}
        if level.code in known:
            await session.execute(update(levels).where(levels.c.id == known[level.code].id).values(row))
        else:
            added.append({**row, "group_id": brand.group_id, "brand_id": brand.id, "created_at": now})
    if added:
        await session.execute(insert(levels), added)
    gone = (levels.c.brand_id == brand.id, levels.c.code.not_in([level.code for level in wanted]))
    archived = {"archived_at": func.coalesce(levels.c.archived_at, now)}
    await session.execute(update(levels).where(*gone).values(archived))


def _check(new: NewLadder) -> None:
    if len(new.levels) > MAX_LEVELS:
        raise BadInput(f"levels takes at most {MAX_LEVELS}.", field=("input", "levels"))
    if (new.demotion is Demotion.PERIODIC) != (new.valid_months is not None):
        raise BadInput("validMonths goes with PERIODIC, and only with it.", field=("input", "validMonths"))
    if new.valid_months is not None and not 1 <= new.valid_months <= MAX_MONTHS:
        raise BadInput(f"validMonths must be between 1 and {MAX_MONTHS}.", field=("input", "validMonths"))
    codes, below = set[str](), -1
    for place, level in enumerate(new.levels):
        at = ("input", "levels", str(place))
        _check_texts(level, at)
        if not CODE.fullmatch(level.code) or level.code in codes:
            raise BadInput("A code has A to Z, digits and _, a letter first, and stands once.", field=(*at, "code"))
        if level.growth <= below:
            raise BadInput("growth is 0 or more, and more than the level before takes.", field=(*at, "growth"))
        codes, below = codes | {level.code}, level.growth


def _check_texts(level: NewLevel, at: tuple[str, ...]) -> None:
    if len(level.benefits) > MAX_BENEFITS:
        raise BadInput(f"benefits takes at most {MAX_BENEFITS}.", field=(*at, "benefits"))
    named: list[tuple[NewLevel | Benefit, tuple[str, ...]]] = [(level, at)]
    named += [(benefit, (*at, "benefits", str(place))) for place, benefit in enumerate(level.benefits)]
    for one, path in named:
        if not 1 <= len(one.name.strip()) <= len(one.name) <= 100:
            raise BadInput("name has 1 to 100 characters.", field=(*path, "name"))
        if one.description is not None and len(one.description) > 500:
            raise BadInput("description has at most 500 characters.", field=(*path, "description"))
