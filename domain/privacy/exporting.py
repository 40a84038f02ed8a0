"""The job that writes down all that is held about a fan: one JSON document, made and sealed piece by piece."""

from typing import Any

import orjson
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.errors import NotFound
from domain.fans.models import Fan
from domain.jobs.queue import Step, Work
from domain.privacy.holdings import SECTIONS
from domain.privacy.models import ExportPart
from domain.privacy.subject import Subject
from domain.tables import table_of
from domain.tenancy.models import Brand
from domain.vault import GroupVault, Vault

FORMAT = "scrm-export/1"
ROWS_PER_PART = 500
parts, fans, brands = table_of(ExportPart), table_of(Fan), table_of(Brand)


def label(job_id: int, position: int) -> str:
    """Bind a sealed piece to its place in its document."""
    return f"export_parts.sealed:{job_id}:{position}"


async def export_step(session: AsyncSession, work: Work, vault: Vault) -> Step:
    """Write the next piece: of at most 500 rows, over as many sections as that takes."""
    keys = await vault.of_group(session, work.group_id)
    subject = await _subject(session, work, keys)
    names = work.input.get("sections") or list(SECTIONS)
    position = int(work.progress.get("position", 0))
    text = [await _head(session, work)] if position == 0 else []
    place, after, rows = int(work.progress.get("place", 0)), work.progress.get("after"), 0
    while place < len(names) and rows < ROWS_PER_PART:
        found = await SECTIONS[names[place]](session, subject, after, ROWS_PER_PART - rows)
        text.append(_opening(names[place]) if after is None else b"," if found.rows else b"")
        text.append(b",".join(map(_written, found.rows)))
        rows, after = rows + len(found.rows), found.after
        if after is None:
            text.append(b"]")
            place += 1
    finished = place == len(names)
    await _keep(session, work, keys, position, b"".join([*text, b"}" if finished else b""]))
    progress = {"position": position + 1, "place": place, "after": after}
    return Step(progress, rows, finished=finished)


async def _subject(session: AsyncSession, work: Work, keys: GroupVault) -> Subject:
    """Say who it is about. Raises NotFound where they are gone meanwhile, and then there is nothing to write."""
    wanted = select(fans.c.person_id).where(fans.c.id == work.fan_id, fans.c.brand_id == work.brand_id)
    person_id = (await session.execute(wanted)).scalar()
    if person_id is None or work.fan_id is None:
        raise NotFound
    return Subject(work.group_id, work.brand_id, work.fan_id, person_id, keys, work.id)


async def _head(session: AsyncSession, work: Work) -> bytes:
    name = (await session.execute(select(brands.c.name).where(brands.c.id == work.brand_id))).scalar_one()
    said = {"format": FORMAT, "brand": name, "madeAt": clock.now()}
    return orjson.dumps(said, option=orjson.OPT_UTC_Z)[:-1]


def _opening(name: str) -> bytes:
    return b"," + orjson.dumps(name) + b":["


def _written(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_UTC_Z, default=str)


async def _keep(session: AsyncSession, work: Work, keys: GroupVault, position: int, text: bytes) -> None:
    row = {
        "job_id": work.id,
        "position": position,
        "group_id": work.group_id,
        "brand_id": work.brand_id,
        "fan_id": work.fan_id,
        "sealed": keys.seal(text.decode(), label(work.id, position)),
        "created_at": clock.now(),
    }
    await session.execute(insert(parts), [row])
