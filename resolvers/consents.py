"""Consents, as staff record them and as fans decide them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain.consents import queries, service
from domain.consents.models import Consent, ConsentRecord
from domain.consents.service import MAX_FANS, ConsentChoice
from domain.errors import BadInput, NotFound
from domain.fans.models import Fan
from domain.fans.queries import fans_by_id, get_fan
from domain.ids import FanId
from domain.inputs import said
from domain.page import Page, PageArgs
from resolvers.context import Context
from resolvers.fans import own_fan_id

WRITE = "consent:write"


@dataclass(frozen=True)
class MyConsents:
    """What the caller decides."""

    choices: list[ConsentChoice] = said("What they decide, one choice a purpose. Purposes left out stay as they are.")
    policy: str = said("The version of the privacy policy they were shown, 1 to 64 characters.")


@dataclass(frozen=True)
class ConsentsOfFans:
    """What fans decided elsewhere: on paper, at a counter, in another system."""

    fan_ids: list[FanId] = said("The fans, 1 to 250.")
    choices: list[ConsentChoice] = said("What they decided, one choice a purpose.")
    policy: str = said("The version of the privacy policy they were shown, 1 to 64 characters.")
    evidence: str | None = said("Where the proof is kept, 1 to 200 characters; no personal data.", None)


async def consents_of(context: Context, fans: Sequence[Fan]) -> Sequence[list[Consent]]:
    """What they agree to now, by purpose; a purpose nobody has asked them about is left out, and not agreed to."""
    async with context.reading() as session:
        found = await queries.consents_by_fan(session, context.scope, [fan.id for fan in fans])
    return [found.get(fan.id, []) for fan in fans]


async def list_consent_records(context: Context, *, page: PageArgs, fan_id: FanId) -> Page[ConsentRecord]:
    """List what a fan agreed to and took back, newest first."""
    async with context.reading() as session:
        return await queries.list_consent_records(session, context.scope, fan_id, page)


async def my_consent_records(context: Context, *, page: PageArgs) -> Page[ConsentRecord]:
    """List what the caller agreed to and took back, newest first."""
    async with context.reading() as session:
        return await queries.list_consent_records(session, context.scope, own_fan_id(context), page)


async def set_my_consents(context: Context, input: MyConsents) -> dict[str, Any]:
    """Agree to purposes, or take that back; it counts from this moment on.

    That a guardian agrees (GUARDIAN) can be taken back here; only recordConsents can say it, with its evidence.
    """
    service.check_not_guardian(input.choices)
    async with context.transaction() as session:
        fan = await get_fan(session, context.scope, own_fan_id(context))
        principal = context.viewer.principal
        await service.record_consents(session, principal, [fan], input.choices, input.policy)
    return {"me": fan}


async def record_consents(context: Context, input: ConsentsOfFans) -> dict[str, Any]:
    """Record what fans decided elsewhere. All or nothing; what stands already is not recorded again."""
    if not 1 <= len(input.fan_ids) <= MAX_FANS or len(set(input.fan_ids)) < len(input.fan_ids):
        raise BadInput(f"fanIds takes 1 to {MAX_FANS} different fans.", field=("input", "fanIds"))
    async with context.transaction() as session:
        found = await fans_by_id(session, context.scope, input.fan_ids, WRITE)
        for position, wanted in enumerate(input.fan_ids):
            if wanted not in found:
                raise NotFound(field=("input", "fanIds", str(position)))
        fans = [found[wanted] for wanted in input.fan_ids]
        said_by = (context.viewer.principal, fans, input.choices, input.policy, input.evidence)
        changed = await service.record_consents(session, *said_by)
    return {"fans": fans, "changed_count": changed}
