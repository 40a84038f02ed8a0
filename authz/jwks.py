"""The public keys of the identity provider, kept in memory and asked for anew when a token names an unknown one."""

import asyncio
import json
import logging
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

log = logging.getLogger(__name__)

FETCH_SECONDS = 2.0
MAX_BYTES = 1_000_000
RETRY_SECONDS = 60.0
# with no key at all nobody can sign in, so the first keys are asked for more often
FIRST_RETRY_SECONDS = 5.0
# a key its issuer withdrew stops working within this time
KEEP_SECONDS = 600.0
MIN_RSA_BITS = 2048
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Fetch = Callable[[], bytes]


class VerificationKey(NamedTuple):
    """A public key and the one algorithm it may be used with."""

    key: RSAPublicKey | EllipticCurvePublicKey
    algorithm: str


class KeySet:
    """Public keys by `kid`. A `kid` is only ever compared with those in the set."""

    def __init__(self, fetch: Fetch, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._keys: Mapping[str, VerificationKey] = {}
        self._fetched_at = self._next_try = float("-inf")
        self._lock = asyncio.Lock()

    def __bool__(self) -> bool:
        return bool(self._keys)

    async def find(self, kid: str) -> VerificationKey | None:
        """Return the key, asking the issuer when it is unknown, at most once a minute; None when it stays so."""
        known = self._keys.get(kid)
        stale = self._seconds() - self._fetched_at > KEEP_SECONDS
        # while one caller refreshes, those with a key at hand do not wait for it
        if known is None or (stale and not self._lock.locked()):
            await self._refresh()
        return self._keys.get(kid)

    async def _refresh(self) -> None:
        async with self._lock:
            if self._seconds() < self._next_try:
                return
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    keys = parse_keys(await asyncio.to_thread(self._fetch))
            except (OSError, HTTPException, ValueError, RecursionError) as error:
                log.warning("the identity provider's keys could not be read: %s", type(error).__name__)
            else:
                self._keys, self._fetched_at = keys, self._seconds()
            self._next_try = self._seconds() + (RETRY_SECONDS if self._keys else FIRST_RETRY_SECONDS)


def key_source(url: str | None, file: Path | None) -> Fetch:
    """Return a function that reads the key set. Raises ValueError for a URL that is neither https nor loopback."""
    if url is None:
        if file is None:
            raise ValueError("a key set needs a URL or a file")
        return file.read_bytes
    address, parts = url, urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError("the key set's URL must be https")
    opener = urllib.request.build_opener(_NoRedirect)

    def fetch() -> bytes:
        with opener.open(address, timeout=FETCH_SECONDS) as answer:
            read = answer.read(MAX_BYTES + 1)
        if not isinstance(read, bytes) or len(read) > MAX_BYTES:
            raise ValueError("the key set is too large")
        return read

    return fetch


def parse_keys(text: bytes) -> dict[str, VerificationKey]:
    """Return the usable keys of a JSON Web Key Set: RSA from 2048 bits, and P-256. Raises ValueError if none is."""
    found = json.loads(text)
    listed = found.get("keys") if isinstance(found, dict) else None
    keys: dict[str, VerificationKey] = {}
    for jwk in listed if isinstance(listed, list) else ():
        key = _usable(jwk) if isinstance(jwk, dict) else None
        if key is not None:
            keys.setdefault(jwk["kid"], key)
    if not keys:
        raise ValueError("no usable key in the set")
    return keys


def _usable(jwk: dict[str, Any]) -> VerificationKey | None:
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(jwk.get("kty")))
    named = isinstance(jwk.get("kid"), str) and jwk["kid"] != ""
    if algorithm is None or not named:
        return None
    if jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK(jwk, algorithm).key
    except (PyJWTError, ValueError, TypeError):
        return None
    # a private key published by mistake is of another class, and is not used
    strong = isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS
    right_curve = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    return VerificationKey(key, algorithm) if strong or right_curve else None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The keys come from the configured place or not at all."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None
