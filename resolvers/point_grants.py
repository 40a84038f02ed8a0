"""What fans were granted by the rules of a brand."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from domain.access.rules import Node
from domain.errors import Forbidden, NotFound
from domain.fans.changing import fans_to_change
from domain.fans.models import Fan
from domain.fans.queries import fans_by_any_id
from domain.idempotency import Answer, run_once
from domain.ids import FanEventId, FanId
from domain.inputs import said
from domain.page import Page, PageArgs
from domain.points.earning import queries, reversal
from domain.points.earning.models import PointGrant
from domain.points.earning.names import REGISTER
from domain.points.earning.reversal import Registration
from domain.points.earning.together import Asked, earn_each
from domain.points.programme.queries import programme_of
from resolvers.context import Context
from resolvers.keys import keyed, once_of

REVERSE = "points:reverse"


async def list_point_grants(context: Context, *, page: PageArgs, fan_id: FanId) -> Page[PointGrant]:
    """List what a fan was granted by the rules, newest first, also where a cap left nothing of it."""
    async with context.reading() as session:
        return await queries.list_grants(session, context.scope, fan_id, page)


@dataclass(frozen=True)
class Earning:
    """That a fan did what a rule is about."""

    fan_id: FanId = said("The fan.")
    code: str = said("The code of the rule; one about an event, whose fan it is that earns.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    occurred_at: datetime | None = said("When; without it, now. Caps are those of that natural day and month.", None)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def earn_points(context: Context, input: Earning) -> dict[str, Any]:
    """Give a fan what a rule gives for one deed, as far as frequency and caps go; the answer says what cut it.

    What is also sent as an event earns by that, so that the same deed is either called or sent.
    """
    key, request = keyed(input)
    asked = Asked(context.scope, input.fan_id, input.code, input.occurred_at, key, request)
    if not input.dry_run:
        return await context.services.earning.do(asked)
    (said,) = await earn_each(context.services.database, [asked], dry_run=True)
    if isinstance(said, Exception):
        raise said
    return said


@dataclass(frozen=True)
class Reversal:
    """That a registration was made only for what it earns."""

    fan_id: FanId = said("The fan who registered.")
    reason: str = said("Why, 1 to 300 characters.")
    idempotency_key: str = said("A key of your own, 1 to 128 characters: sent again it gets the first answer.")
    event: str = said("What they registered: themselves, or by the name of that event a product.", REGISTER)
    event_id: FanEventId | None = said("The one event that is meant; without it, all of that name.", None)
    dry_run: bool = said("Say what would happen and write nothing.", default=False)


async def reverse_registration(context: Context, input: Reversal) -> dict[str, Any]:
    """Take back what a malicious registration earned the fan and who brought them, at most 250 grants at once.

    What waits is cancelled; of the rest the programme decides. It cannot be earned again.
    """
    async with context.transaction(dry_run=input.dry_run) as session:
        fan = await fan_of(context, session, input.fan_id, REVERSE)
        if not context.scope.holds(REVERSE, Node(fan.group_id, fan.brand_id)):
            raise Forbidden("It may concern fans elsewhere: registrations are reversed in the whole brand.")
        programme = await programme_of(session, fan.brand_id)

        async def effect() -> Answer:
            wanted = Registration(input.event, input.event_id, input.reason)
            principal = context.viewer.principal
            return Answer(asdict(await reversal.reverse_registration(session, principal, programme, fan, wanted)))

        answer, replayed = await run_once(session, once_of(context, fan.group_id, "reverseRegistration", input), effect)
        found = await queries.grants_by_id(session, context.scope, answer["grant_ids"], REVERSE)
    shown = [found[one] for one in answer.pop("grant_ids") if one in found]
    return answer | {"grants": shown, "replayed": replayed}


async def fan_of(context: Context, session: Any, fan_id: int, permission: str) -> Fan:
    """Return a fan the caller may do this to. Raises NotFound."""
    fan = (await fans_to_change(session, context.scope, [fan_id], permission)).get(fan_id)
    if fan is None or fan.erased_at is not None:
        raise NotFound("No such fan.", field=("input", "fanId"))
    return fan


async def fans_of(context: Context, grants: Sequence[PointGrant]) -> Sequence[Fan | None]:
    """The fan who got it, where the caller may see them."""
    async with context.reading() as session:
        found = await fans_by_any_id(session, context.scope, {one.fan_id for one in grants})
    return [found.get(one.fan_id) for one in grants]
