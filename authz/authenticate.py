"""From an Authorization header to a viewer and their scope, with one statement where nothing changed."""

import hmac
from datetime import datetime
from typing import Literal, NamedTuple

from authz.compile import compile_fan_scope
from authz.directory import Directory
from authz.granted import compile_granted
from authz.lru import Lru
from authz.templates import FAN_ROLE, Templates
from authz.tokens import PresentedApiKey, Tokens, bearer, presented_api_key
from authz.viewer import Anonymous, FanViewer, ServiceViewer, StaffViewer, Viewer
from domain import clock
from domain.database import Database
from domain.errors import Unauthenticated
from domain.scope import Scope, system_scope
from domain.standing import Standing

Audience = Literal["staff", "fan"]

SCOPES_KEPT = 10_000
NO_HASH = bytes(32)


class _Kept(NamedTuple):
    scope: Scope
    until: datetime | None


class Remembered(NamedTuple):
    """Who a key was when it was looked up, which holds for a statement that asks whether it stands."""

    viewer: ServiceViewer
    scope: Scope
    standing: Standing
    until: datetime | None


class Authenticator:
    """Says who a caller is. Rights come from the database, so disabling or revoking binds the next request."""

    def __init__(self, database: Database, tokens: Tokens, templates: Templates) -> None:
        self._database = database
        self._tokens = tokens
        self._templates = templates
        self._scopes: Lru[tuple[str, int, int], _Kept] = Lru(SCOPES_KEPT)
        # services ask most; what they may is read each time
        self._remembered: Lru[PresentedApiKey, Remembered] = Lru(SCOPES_KEPT)
        self._directory = Directory(database)
        self._reading_scope = system_scope("authentication")

    async def authenticate(
        self, authorization: str | None, audience: Audience, *, anonymous_allowed: bool = False
    ) -> tuple[Viewer, Scope]:
        """Return the viewer and scope of a request at the staff or the fan endpoint.

        Raises Unauthenticated for whatever is wrong with the header, and for its absence unless anonymous callers are
        allowed; Unavailable when the database or the identity provider's keys cannot be reached.
        """
        if authorization is None and anonymous_allowed:
            nobody = Anonymous()
            return nobody, Scope(nobody.principal, None)
        token = bearer(authorization or "")
        if audience == "fan":
            return await self._fan(token)
        api_key = presented_api_key(token)
        return await self._service(api_key) if api_key else await self._staff(token)

    def remembered(self, authorization: str | None, audience: Audience) -> Remembered | None:
        """Return who a service was when it was last looked up: a guess, for a statement that asks whether it stands."""
        key = _presented(authorization) if audience == "staff" else None
        found = None if key is None else self._remembered.get(key)
        return found if found is None or found.until is None or found.until > clock.now() else None

    def forget(self, authorization: str | None) -> None:
        """Forget who a service was."""
        key = _presented(authorization)
        if key is not None:
            self._remembered.pop(key)

    async def _staff(self, token: str) -> tuple[StaffViewer, Scope]:
        subject = await self._tokens.verify_staff(token)
        found = await self._directory.find_staff(subject)
        if found is None or found.disabled_at is not None:
            raise Unauthenticated
        viewer = StaffViewer(found.id, found.group_id, found.name, subject)
        return viewer, (await self._scope(viewer, found.policy_version)).scope

    async def _service(self, key: PresentedApiKey) -> tuple[ServiceViewer, Scope]:
        try:
            found = await self._find_service(key)
        except Unauthenticated:
            self._remembered.pop(key)
            raise
        self._remembered.put(key, found)
        return found.viewer, found.scope

    async def _find_service(self, key: PresentedApiKey) -> Remembered:
        found = await self._directory.find_api_key(key.prefix)
        matches = hmac.compare_digest(found.secret_hash if found else NO_HASH, key.secret_hash)
        if found is None or not matches or found.revoked_at is not None:
            raise Unauthenticated
        if found.expires_at is not None and found.expires_at <= clock.now():
            raise Unauthenticated
        viewer, before = ServiceViewer(found.id, found.group_id, found.name), self._remembered.get(key)
        if before is not None and before.viewer == viewer:
            viewer = before.viewer  # which has written its principal
        kept = await self._scope(viewer, found.policy_version)
        standing = Standing(found.id, found.group_id, found.secret_hash, found.policy_version)
        return Remembered(viewer, kept.scope, standing, kept.until)

    async def _fan(self, token: str) -> tuple[FanViewer, Scope]:
        found = await self._directory.find_fan(self._tokens.verify_fan(token))
        if found is None:
            raise Unauthenticated
        viewer = FanViewer(found.id, found.brand_id, found.group_id, found.person_id)
        scope = compile_fan_scope(
            viewer.principal,
            group_id=viewer.group_id,
            brand_id=viewer.brand_id,
            dealer_id=found.dealer_id,
            fan_id=viewer.fan_id,
            rights=self._templates.of(FAN_ROLE),
        )
        return viewer, scope

    async def _scope(self, viewer: StaffViewer | ServiceViewer, version: int) -> _Kept:
        key = (viewer.principal, viewer.group_id, version)
        kept = self._scopes.get(key)
        if kept is None or (kept.until is not None and kept.until <= clock.now()):
            now = clock.now()
            async with self._database.reading(self._reading_scope) as session:
                # read after the version: what is kept under a version is never older than it
                scope, grants = await compile_granted(session, self._templates, viewer, version, now)
            expiries = [grant.expires_at for grant in grants if grant.expires_at is not None and grant.expires_at > now]
            kept = _Kept(scope, min(expiries, default=None))
            self._scopes.put(key, kept)
        return kept


def _presented(authorization: str | None) -> PresentedApiKey | None:
    """Return the key that a header presents, or None where it presents none."""
    try:
        return presented_api_key(bearer(authorization or ""))
    except Unauthenticated:
        return None
