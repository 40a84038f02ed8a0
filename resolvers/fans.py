"""Fans, and a fan's view of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from authz.viewer import FanViewer
from domain import audit
from domain.errors import BadInput, Forbidden, NotFound
from domain.fans import queries, service
from domain.fans.filters import FanFilter
from domain.fans.models import Fan
from domain.fans.service import NewFan, ProfileChange
from domain.fans.sorts import FanSort
from domain.ids import BrandId, FanId
from domain.inputs import said
from domain.page import Page, PageArgs, Window
from domain.persons.models import IdentityKind
from domain.persons.service import IdentityRef
from domain.scope import system_scope
from domain.tenancy.queries import brands_by_id
from domain.vault import mask_phone
from resolvers.context import Context

PERSONAL = "fan:read_personal"


async def get_fan(context: Context, *, id: FanId) -> Fan:
    """Return a fan."""
    async with context.reading() as session:
        return await queries.get_fan(session, context.scope, id)


async def list_fans(
    context: Context, *, page: PageArgs, filter: FanFilter | None = None, order_by: FanSort = FanSort.ID_ASC
) -> Page[Fan]:
    """List the fans the caller may see."""
    async with context.reading() as session:
        vault = context.services.vault
        return await queries.list_fans(session, context.scope, vault, page, wanted=filter, order=order_by)


def cut_fans(
    context: Context, *, page: PageArgs, filter: FanFilter | None = None, order_by: FanSort = FanSort.ID_ASC
) -> Window | None:
    """Return the page of `list_fans` before it is read."""
    return queries.cut_fans(context.scope, page, filter, order_by)


async def phones_of(context: Context, fans: Sequence[Fan]) -> Sequence[str | None]:
    """The phone: whole for a caller who may read personal data (each reading is recorded), else 138****3534."""
    sealed = [fan for fan in fans if fan.phone_cipher is not None]
    if not sealed:
        return [None] * len(fans)
    async with context.reading() as session:
        groups = {fan.group_id for fan in sealed}
        keys = {group_id: await context.services.vault.of_group(session, group_id) for group_id in groups}
    opened = {fan.id: keys[fan.group_id].open(fan.phone_cipher or b"", "fans.phone") for fan in sealed}
    whole = {fan.id for fan in sealed if context.scope.holds(PERSONAL, fan) or _is_self(context, fan)}
    await _record_reading(context, [fan for fan in sealed if fan.id in whole and not _is_self(context, fan)])
    shown = {key: phone if key in whole else mask_phone(phone) for key, phone in opened.items()}
    return [shown.get(fan.id) for fan in fans]


def _is_self(context: Context, fan: Fan) -> bool:
    return isinstance(context.viewer, FanViewer) and context.viewer.fan_id == fan.id


async def _record_reading(context: Context, fans: Sequence[Fan]) -> None:
    by_brand: dict[tuple[int, int], list[int]] = {}
    for fan in fans:
        by_brand.setdefault((fan.group_id, fan.brand_id), []).append(fan.id)
    if not by_brand:
        return
    deeds = [
        audit.Deed(group_id, brand_id, PERSONAL, f"Brand:{brand_id}", {"fans": ids, "field": "phone"})
        for (group_id, brand_id), ids in by_brand.items()
    ]
    async with context.transaction() as session:
        await audit.record(session, context.viewer.principal, deeds)


async def me(context: Context) -> Fan:
    """Return the fan who asks."""
    async with context.reading() as session:
        return await queries.get_fan(session, context.scope, own_fan_id(context))


def own_fan_id(context: Context) -> int:
    """Return the id of the fan who asks. Raises Forbidden where it is no fan."""
    if not isinstance(context.viewer, FanViewer):
        raise Forbidden("Only a fan has a self here.")
    return context.viewer.fan_id


async def update_me(context: Context, input: ProfileChange) -> dict[str, Any]:
    """Change the caller's own profile."""
    async with context.transaction() as session:
        fan = await queries.get_fan(session, context.scope, own_fan_id(context))
        await service.update_profile(session, context.services.vault, context.viewer.principal, fan, input)
        return {"me": await queries.get_fan(session, context.scope, fan.id)}


@dataclass(frozen=True)
class DevelopmentLogin:
    """Who signs in to which brand, by an external id of the system `development`."""

    brand_id: BrandId = said("The brand to sign in to.")
    external_id: str = said("Any name, 1 to 255 characters; the same name is the same fan.")


async def login_for_development(context: Context, input: DevelopmentLogin) -> dict[str, Any]:
    """Sign in without WeChat, making the fan where there is none. Only where the deployment is one for development."""
    if not context.services.development_login:
        raise Forbidden("This deployment has no development login.")
    if not 1 <= len(input.external_id.strip()) <= 255:
        raise BadInput("externalId has 1 to 255 characters.", field=("input", "externalId"))
    scope = system_scope("development-login")
    identity = IdentityRef(IdentityKind.EXTERNAL_ID, input.external_id, "development")
    async with context.services.database.writing(scope) as session:
        brand = (await brands_by_id(session, scope, [input.brand_id])).get(input.brand_id)
        if brand is None:
            raise NotFound("No such brand.", field=("input", "brandId"))
        found = await service.resolve_fans(session, context.services.vault, brand, [NewFan(identity)])
    if identity not in found:
        raise BadInput("externalId names nobody.", field=("input", "externalId"))
    return {"access_token": context.services.tokens.mint_fan(found[identity], brand.id, brand.group_id)}
