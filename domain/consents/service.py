"""Writes of consents: where a fan stands now, and the record of how it came to be so, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, or_
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.consents.models import EVIDENCE_LENGTH, POLICY_LENGTH, Consent, ConsentRecord, Purpose
from domain.database import dialect_insert
from domain.errors import BadInput
from domain.fans.models import Fan
from domain.inputs import said
from domain.tables import table_of

MAX_FANS = 250
consents, records = table_of(Consent), table_of(ConsentRecord)


@dataclass(frozen=True)
class ConsentChoice:
    """What a fan decides about one purpose."""

    purpose: Purpose = said("The purpose.")
    granted: bool = said("Whether they agree.")


def check_not_guardian(choices: Sequence[ConsentChoice]) -> None:
    """Raise BadInput where a fan would say for themselves that their guardian agrees."""
    for place, choice in enumerate(choices):
        if choice.purpose is Purpose.GUARDIAN and choice.granted:
            raise BadInput("A guardian's consent is recorded by staff.", field=("input", "choices", str(place)))


async def record_consents(
    session: AsyncSession,
    principal: str,
    fans: Sequence[Fan],
    choices: Sequence[ConsentChoice],
    policy: str,
    evidence: str | None = None,
) -> int:
    """Write what the fans decided; it counts from the commit on. Return how many decisions changed something.

    What stands already, under the same policy, is not written again.
    """
    check(choices, policy, evidence)
    now = clock.now()
    rows = [_row(fan, choice, policy, now) for fan in fans for choice in choices]
    changed = await _stand(session, sorted(rows, key=lambda row: (row["fan_id"], row["purpose"])))
    if changed:
        said_by = {"principal": principal, "evidence": evidence}
        await session.execute(insert(records), [row | said_by for row in changed])
        await audit.record(session, principal, _deeds(changed))
    return len(changed)


def _row(fan: Fan, choice: ConsentChoice, policy: str, now: datetime) -> dict[str, Any]:
    place = {"group_id": fan.group_id, "brand_id": fan.brand_id, "fan_id": fan.id}
    return {**place, "purpose": choice.purpose.value, "granted": choice.granted, "policy": policy, "at": now}


async def _stand(session: AsyncSession, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bring the consents to what the rows say; return the rows that said something new."""
    statement = dialect_insert(session, consents)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["fan_id", "purpose"],
        set_={name: new[name] for name in ("granted", "policy", "at")},
        where=or_(consents.c.granted != new.granted, consents.c.policy != new.policy),
    ).returning(consents.c.fan_id, consents.c.purpose)
    written = {tuple(row) for row in await session.execute(statement, rows)}
    return [row for row in rows if (row["fan_id"], row["purpose"]) in written]


def _deeds(changed: Sequence[dict[str, Any]]) -> list[audit.Deed]:
    by_fan: dict[int, list[dict[str, Any]]] = {}
    for row in changed:
        by_fan.setdefault(row["fan_id"], []).append(row)
    return [
        audit.Deed(
            rows[0]["group_id"],
            rows[0]["brand_id"],
            "consent:write",
            f"Fan:{fan_id}",
            {row["purpose"]: row["granted"] for row in rows},
        )
        for fan_id, rows in by_fan.items()
    ]


def check(choices: Sequence[ConsentChoice], policy: str, evidence: str | None) -> None:
    """Raise BadInput naming the field that cannot be so."""
    if not 1 <= len(choices) <= len(Purpose):
        raise BadInput(f"choices takes 1 to {len(Purpose)} choices.", field=("input", "choices"))
    if len({choice.purpose for choice in choices}) < len(choices):
        raise BadInput("A purpose stands twice.", field=("input", "choices"))
    if not 1 <= len(policy.strip()) <= len(policy) <= POLICY_LENGTH:
        raise BadInput(f"policy has 1 to {POLICY_LENGTH} characters.", field=("input", "policy"))
    if evidence is None and any(choice.purpose is Purpose.GUARDIAN and choice.granted for choice in choices):
        raise BadInput("A guardian's consent needs evidence.", field=("input", "evidence"))
    if evidence is not None and not 1 <= len(evidence.strip()) <= len(evidence) <= EVIDENCE_LENGTH:
        raise BadInput(f"evidence has 1 to {EVIDENCE_LENGTH} characters.", field=("input", "evidence"))
