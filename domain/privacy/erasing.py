"""The job that erases a fan: what is theirs alone is deleted, what has to stay is handed to one without a name.

It goes through the holdings in bounded steps. What comes in meanwhile is caught by the last step, which locks the fan,
looks through all of them once more and deletes the row; tables that name fans by a foreign key admit nothing after.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.fans.models import Fan
from domain.fans.service import fan_changed, fan_gone, recompute_spend
from domain.jobs.queue import Step, Work
from domain.outbox import emit
from domain.persons.models import FanAlias, Person, PersonAlias, PersonMerge
from domain.persons.privacy import erase_identities
from domain.privacy.holdings import HOLDINGS
from domain.privacy.models import Erasure
from domain.privacy.subject import ROWS_PER_STEP, Erasing
from domain.tables import table_of

fans, persons, erasures, aliases = table_of(Fan), table_of(Person), table_of(Erasure), table_of(FanAlias)
merges, old_persons = table_of(PersonMerge), table_of(PersonAlias)
ERASERS = tuple(erase for holding in HOLDINGS for erase in holding.erase)


@dataclass(frozen=True)
class Erased:
    """A fan who is erased for good, by what a backup knows them by: ids of fans of the brand and uids of persons.

    Both must meet, so that nobody else is taken for them who got a number of theirs after a backup was restored.
    """

    group_id: int
    brand_id: int
    fans: list[int]
    persons: list[str]
    at: datetime


class ErasureList(Protocol):
    """The list of who was erased, kept apart from the database: after a restored backup they are erased again."""

    async def add(self, erased: Erased) -> None:
        """Write down who is about to be erased, durably. Writing somebody down twice is no harm."""


async def erase_step(session: AsyncSession, work: Work, list_: ErasureList) -> Step:
    """Do the next step of an erasure: of at most 2,000 rows, but for the last."""
    fan = await _living(session, work)
    if fan is None:
        # another took the row away: a merge into nobody, or an erasure that was asked for twice
        return Step({}, finished=True)
    progress = dict(work.progress)
    if progress.get("fan") != fan.id:
        names = await _known_as(session, work, fan, progress)
        progress = {"fan": fan.id, "standIn": await _stand_in(session, fan), "place": 0, **names}
    who = (fan.group_id, fan.brand_id, fan.id, fan.person_id)
    erasing = Erasing(*who, progress["standIn"], clock.now(), progress["fans"])
    if progress["place"] == 0:
        await erase_identities(session, erasing, ROWS_PER_STEP)
    done, place = await _sweep(session, erasing, progress["place"])
    progress["place"] = place
    if place < len(ERASERS):
        return Step(progress, done)
    return Step({}, done + await _close(session, work, fan, erasing, progress, list_), finished=True)


async def _living(session: AsyncSession, work: Work) -> Fan | None:
    """Return the fan, or whom they were merged into: the same human asked for it.

    The aliases that lead there are among the first that an erasure deletes, so who was found before is looked for too.
    """
    asked = (work.fan_id, work.progress.get("fan", work.fan_id))
    into = select(aliases.c.fan_id).where(aliases.c.brand_id == work.brand_id, aliases.c.old_id.in_(asked))
    known = select(fans).where(fans.c.brand_id == work.brand_id)
    for wanted in (*(fans.c.id == fan_id for fan_id in asked), fans.c.id.in_(into)):
        found: Any = (await session.execute(known.where(wanted).order_by(fans.c.id).limit(1))).one_or_none()
        if found is not None:
            return found  # type: ignore[no-any-return]
    return None


async def _stand_in(session: AsyncSession, fan: Fan) -> int:
    """Make a fan without a name, of a person nobody is led to. Their id is random to who does not have this row."""
    now = clock.now()
    nobody = Person(group_id=fan.group_id, created_at=now)
    session.add(nobody)
    await session.flush()
    made = Fan(
        group_id=fan.group_id,
        brand_id=fan.brand_id,
        person_id=nobody.id,
        currency=fan.currency,
        erased_at=now,
        created_at=now,
        updated_at=now,
    )
    session.add(made)
    await session.flush()
    await emit(session, [fan_changed(fan.group_id, fan.brand_id, made.id, made.version)])
    return made.id


async def _sweep(session: AsyncSession, erasing: Erasing, place: int) -> tuple[int, int]:
    """Go on until a step's worth of rows is done; return how many were, and which eraser is next."""
    done = 0
    while place < len(ERASERS):
        room = ROWS_PER_STEP - done
        rows = await ERASERS[place](session, erasing, room)
        done += rows
        if rows >= room:
            return done, place
        place += 1
    return done, place


async def _known_as(session: AsyncSession, work: Work, fan: Fan, before: dict[str, Any]) -> dict[str, Any]:
    """Return by which ids and uids a backup may know the fan: their own, and those of who was merged into them."""
    olds = select(aliases.c.old_id).where(aliases.c.fan_id == fan.id)
    ids = {fan.id, work.fan_id, *before.get("fans", ()), *(await session.execute(olds)).scalars()}
    own = select(persons.c.uid).where(persons.c.id == fan.person_id)
    merged = (
        select(merges.c.absorbed_uid)
        .join(old_persons, old_persons.c.old_id == merges.c.absorbed_person_id)
        .where(old_persons.c.person_id == fan.person_id)
    )
    uids = {str(uid) for statement in (own, merged) for uid in (await session.execute(statement)).scalars()}
    return {"fans": sorted(ids), "persons": sorted(uids | set(before.get("persons", ())))}


async def _close(
    session: AsyncSession, work: Work, fan: Fan, erasing: Erasing, names: dict[str, Any], list_: ErasureList
) -> int:
    """Take the fan away. From here on nobody can name them, and nothing of them is left but the list."""
    locked = select(fans.c.version).where(fans.c.id == fan.id).with_for_update()
    version = int((await session.execute(locked)).scalar_one())
    late = await _sweep_all(session, erasing)
    await recompute_spend(session, [erasing.stand_in_id])
    await list_.add(Erased(fan.group_id, fan.brand_id, names["fans"], names["persons"], erasing.at))
    await session.execute(delete(fans).where(fans.c.id == fan.id))
    alone = ~exists().where(fans.c.person_id == fan.person_id)
    await session.execute(delete(persons).where(persons.c.id == fan.person_id, alone))
    known = {"fans": names["fans"], "persons": names["persons"], "erased_at": erasing.at}
    # whoever of those who became one asked too has it done by this
    asked = (erasures.c.brand_id == fan.brand_id, erasures.c.fan_id.in_(names["fans"]), erasures.c.erased_at.is_(None))
    await session.execute(update(erasures).where(*asked).values(**known))
    await emit(session, [fan_gone(fan.group_id, fan.brand_id, fan.id, version + 1)])
    deed = audit.Deed(fan.group_id, fan.brand_id, "fan:erase", f"Fan:{fan.id}", {"job": work.id})
    await audit.record(session, work.principal, [deed])
    return late


async def _sweep_all(session: AsyncSession, erasing: Erasing) -> int:
    """Do what came in since the last step, all of it."""
    done, place = 0, 0
    while place < len(ERASERS):
        some, place = await _sweep(session, erasing, place)
        done += some
    return done
