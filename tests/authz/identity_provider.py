"""An identity provider on the loopback: real keys, a key set over HTTP, and tokens it signs."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://id.example"
STAFF = "scrm-staff"
FAN = "scrm-fan"
SECRET = "a signing secret that is only ever used in tests"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the RSA key of this name, made once a run."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of this name, made once a run."""
    return ec.generate_private_key(ec.SECP256R1())


def rsa_jwk(kid: str, key: rsa.RSAPrivateKey, **more: str) -> dict[str, Any]:
    """Return the public half as a JSON Web Key."""
    return {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, **more}


def ec_jwk(kid: str, key: ec.EllipticCurvePrivateKey, **more: str) -> dict[str, Any]:
    """Return the public half as a JSON Web Key."""
    return {**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": kid, **more}


def key_set(*keys: dict[str, Any]) -> bytes:
    """Return the document a provider publishes."""
    return json.dumps({"keys": keys}).encode()


def claims(**changed: Any) -> dict[str, Any]:
    """Return the claims of a good staff token at NOW; None leaves one out."""
    at = int(NOW.timestamp())
    good = {"iss": ISSUER, "aud": STAFF, "sub": "ann@example", "iat": at, "exp": at + 3600}
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def signed(key: Any, algorithm: str = "RS256", *, kid: str | None = "one", **changed: Any) -> str:
    """Return a token with these claims, signed."""
    return jwt.encode(claims(**changed), key, algorithm=algorithm, headers={"kid": kid} if kid is not None else None)


@dataclass
class Provider:
    """What the loopback server answers, and which paths it was asked for."""

    url: str
    body: bytes = b""
    status: int = 200
    location: str | None = None
    delay_seconds: float = 0
    asked: list[str] = field(default_factory=list)


@contextmanager
def provider(body: bytes) -> Iterator[Provider]:
    """Serve the key set on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            time.sleep(served.delay_seconds)
            self.send_response(served.status)
            if served.location is not None:
                self.send_header("Location", served.location)
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(served.body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Provider(f"http://127.0.0.1:{server.server_port}/keys", body)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
