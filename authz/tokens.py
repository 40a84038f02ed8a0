"""Access tokens: made, and believed only when everything about them is as configured.

Every reason for not believing one is the same `Unauthenticated`, so that nothing can be learned by trying.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authz.jwks import KeySet, VerificationKey, key_source
from domain import clock
from domain.errors import Unauthenticated, Unavailable

MAX_TOKEN_CHARACTERS = 8192
MIN_SECRET_BYTES = 32
MAX_LEEWAY = timedelta(seconds=60)
MAX_SUBJECT_CHARACTERS = 255
LATEST_SECOND = 1e12
REQUIRED = ("exp", "iat", "iss", "aud", "sub")

_BEARER = re.compile(r"bearer ([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE | re.ASCII)
_API_KEY = re.compile(r"scrm_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True)
class TokenSettings:
    """How tokens are signed. With a key set, by URL or file, staff tokens come from the identity provider only.

    `hs256_secret` has 32 bytes or more; it signs fan tokens, and staff tokens where no key set is configured.
    `leeway` forgives a clock that is behind the issuer's; it never makes a token live longer.
    """

    issuer: str
    audience_staff: str
    audience_fan: str
    hs256_secret: str | None = field(default=None, repr=False)
    jwks_url: str | None = None
    jwks_file: Path | None = None
    leeway: timedelta = timedelta(seconds=30)
    fan_ttl: timedelta = timedelta(hours=2)
    staff_dev_ttl: timedelta = timedelta(hours=12)

    @property
    def has_key_set(self) -> bool:
        return self.jwks_url is not None or self.jwks_file is not None


class FanClaims(NamedTuple):
    """The fan a token was made for."""

    fan_id: int
    brand_id: int
    group_id: int


class DownloadClaims(NamedTuple):
    """The document a link was made for, and whose it is."""

    job_id: int
    fan_id: int


class ReportClaims(NamedTuple):
    """The report a link was made for, and who asked for it."""

    job_id: int
    principal: str


class NewApiKey(NamedTuple):
    """A key to show once, and the two parts of it to store."""

    full_key: str
    prefix: str
    secret_hash: bytes


class PresentedApiKey(NamedTuple):
    """What a caller's key says it is, to be compared with what is stored."""

    prefix: str
    secret_hash: bytes


class _SecretKey(NamedTuple):
    key: bytes
    algorithm: str = "HS256"


class Tokens:
    """Makes and verifies tokens. Staff and fan tokens differ in audience and in key."""

    def __init__(self, settings: TokenSettings) -> None:
        _check(settings)
        self._settings = settings
        secret = settings.hs256_secret
        self._fan_key = None if secret is None else _derived(secret, "fan")
        self._download_key = None if secret is None else _derived(secret, "download")
        self._staff_key = None if secret is None or settings.has_key_set else _derived(secret, "staff")
        self._key_set = KeySet(key_source(settings.jwks_url, settings.jwks_file)) if settings.has_key_set else None

    def mint_staff(self, subject: str, ttl: timedelta | None = None) -> str:
        """Make a staff token for development. Raises ValueError where an identity provider makes them."""
        if self._staff_key is None:
            raise ValueError("staff tokens come from the identity provider")
        return self._mint(self._staff_key, self._settings.audience_staff, ttl or self._settings.staff_dev_ttl, subject)

    def mint_fan(self, fan_id: int, brand_id: int, group_id: int, ttl: timedelta | None = None) -> str:
        """Make a fan's access token, bound to the brand. Raises ValueError where no signing secret is configured."""
        if self._fan_key is None:
            raise ValueError("fan tokens need a signing secret")
        place: dict[str, int | str] = {"brand_id": brand_id, "group_id": group_id}
        lifetime = ttl or self._settings.fan_ttl
        return self._mint(self._fan_key, self._settings.audience_fan, lifetime, str(fan_id), place)

    async def verify_staff(self, token: str) -> str:
        """Return the subject of a staff token. Raises Unauthenticated, or Unavailable while no key can be had."""
        key = await self._key_for(token)
        subject = self._claims(token, key, self._settings.audience_staff)["sub"]
        if not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS or not subject.isprintable():
            raise Unauthenticated
        return str(subject)

    def verify_fan(self, token: str) -> FanClaims:
        """Return what a fan token says. Raises Unauthenticated."""
        if self._fan_key is None:
            raise Unauthenticated
        claims = self._claims(token, self._fan_key, self._settings.audience_fan)
        try:
            return FanClaims(int(claims["sub"]), int(claims["brand_id"]), int(claims["group_id"]))
        except (KeyError, TypeError, ValueError):
            raise Unauthenticated from None

    def mint_download(self, job_id: int, fan_id: int, ttl: timedelta) -> str:
        """Make the token of a link to a fan's own document. Raises ValueError where no signing secret is configured."""
        if self._download_key is None:
            raise ValueError("links need a signing secret")
        return self._mint(self._download_key, self._download_audience, ttl, str(job_id), {"fan_id": fan_id})

    def verify_download(self, token: str) -> DownloadClaims:
        """Return what the token of a link says. Raises Unauthenticated."""
        if self._download_key is None or len(token) > MAX_TOKEN_CHARACTERS:
            raise Unauthenticated
        claims = self._claims(token, self._download_key, self._download_audience)
        try:
            return DownloadClaims(int(claims["sub"]), int(claims["fan_id"]))
        except (KeyError, TypeError, ValueError):
            raise Unauthenticated from None

    def mint_report(self, job_id: int, principal: str, ttl: timedelta) -> str:
        """Make the token of a link to a report. Raises ValueError where no signing secret is configured."""
        if self._download_key is None:
            raise ValueError("links need a signing secret")
        return self._mint(self._download_key, self._report_audience, ttl, str(job_id), {"principal": principal})

    def verify_report(self, token: str) -> ReportClaims:
        """Return what the token of a link to a report says. Raises Unauthenticated."""
        if self._download_key is None or len(token) > MAX_TOKEN_CHARACTERS:
            raise Unauthenticated
        claims = self._claims(token, self._download_key, self._report_audience)
        try:
            return ReportClaims(int(claims["sub"]), str(claims["principal"]))
        except (KeyError, TypeError, ValueError):
            raise Unauthenticated from None

    @property
    def makes_links(self) -> bool:
        """Tell whether links can be signed here."""
        return self._download_key is not None

    @property
    def _report_audience(self) -> str:
        return f"{self._settings.audience_staff}:report"

    @property
    def _download_audience(self) -> str:
        return f"{self._settings.audience_fan}:download"

    async def _key_for(self, token: str) -> VerificationKey | _SecretKey:
        if self._staff_key is not None:
            return self._staff_key
        if self._key_set is None:
            raise Unauthenticated
        kid = _header(token).get("kid")
        if not isinstance(kid, str):
            raise Unauthenticated
        key = await self._key_set.find(kid)
        if key is None and not self._key_set:
            raise Unavailable("The identity provider's keys are not available now.")
        if key is None:
            raise Unauthenticated
        return key

    def _claims(self, token: str, key: VerificationKey | _SecretKey, audience: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=audience,
                issuer=self._settings.issuer,
                # the times are checked below, against a clock a test can set
                options={"require": list(REQUIRED), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthenticated from None
        if not _is_timely(claims, self._settings.leeway):
            raise Unauthenticated
        return claims

    def _mint(
        self, key: _SecretKey, audience: str, ttl: timedelta, subject: str, more: dict[str, int | str] | None = None
    ) -> str:
        made_at = int(clock.now().timestamp())
        claims = {"iss": self._settings.issuer, "aud": audience, "sub": subject, "iat": made_at, **(more or {})}
        return jwt.encode({**claims, "exp": made_at + int(ttl.total_seconds())}, key.key, algorithm=key.algorithm)


def bearer(authorization: str) -> str:
    """Return the token of an Authorization header. Raises Unauthenticated unless it is `Bearer`, a space, a token."""
    found = _BEARER.fullmatch(authorization) if len(authorization) <= MAX_TOKEN_CHARACTERS else None
    if found is None:
        raise Unauthenticated
    return found[1]


def new_api_key() -> NewApiKey:
    """Make a key `scrm_<prefix>_<secret>` with 256 random bits in its secret."""
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    return NewApiKey(f"scrm_{prefix}_{secret}", prefix, hashlib.sha256(secret.encode()).digest())


def presented_api_key(token: str) -> PresentedApiKey | None:
    """Take a caller's API key apart, or return None where the token does not look like one."""
    found = _API_KEY.fullmatch(token)
    return PresentedApiKey(found[1], hashlib.sha256(found[2].encode()).digest()) if found else None


def _check(settings: TokenSettings) -> None:
    secret = settings.hs256_secret
    if secret is None and not settings.has_key_set:
        raise ValueError("tokens need a signing secret or an identity provider's key set")
    if secret is not None and len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"the signing secret needs {MIN_SECRET_BYTES} bytes or more")
    if settings.jwks_url is not None and settings.jwks_file is not None:
        raise ValueError("the key set is a URL or a file, not both")
    if not settings.issuer or not settings.audience_staff or settings.audience_staff == settings.audience_fan:
        raise ValueError("tokens need an issuer and two different audiences")
    if not timedelta(0) <= settings.leeway <= MAX_LEEWAY:
        raise ValueError("the leeway lies between 0 and 60 seconds")


def _derived(secret: str, purpose: str) -> _SecretKey:
    made = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"scrm/token/{purpose}".encode())
    return _SecretKey(made.derive(secret.encode()))


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise Unauthenticated from None


def _is_timely(claims: dict[str, Any], leeway: timedelta) -> bool:
    now = clock.now().timestamp()
    begins = [claims["iat"], claims.get("nbf", claims["iat"])]
    if not all(_is_moment(value) for value in (claims["exp"], *begins)):
        return False
    return bool(now < claims["exp"] and max(begins) <= now + leeway.total_seconds())


def _is_moment(value: object) -> bool:
    # NaN and Infinity are numbers to a JSON parser, and a token for ever to a comparison
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LATEST_SECOND
