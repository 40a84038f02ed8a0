"""Staff tokens of an identity provider: which key is believed, and how often the provider is asked."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from authz.jwks import KeySet, key_source, parse_keys
from authz.tokens import Tokens, TokenSettings
from domain import clock
from domain.errors import Unauthenticated, Unavailable
from tests.authz import identity_provider
from tests.authz.identity_provider import (
    FAN,
    ISSUER,
    NOW,
    SECRET,
    STAFF,
    Provider,
    claims,
    ec_jwk,
    ec_key,
    key_set,
    rsa_jwk,
    rsa_key,
    signed,
)

ONE, TWO, CURVE = rsa_key("one"), rsa_key("two"), ec_key("curve")


@pytest.fixture
def provider() -> Iterator[Provider]:
    with identity_provider.provider(key_set(rsa_jwk("one", ONE), ec_jwk("curve", CURVE))) as running:
        yield running


def tokens(served: Provider) -> Tokens:
    return Tokens(TokenSettings(ISSUER, STAFF, FAN, hs256_secret=SECRET, jwks_url=served.url))


class Seconds:
    """A clock for intervals, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def subject(by: Tokens, token: str) -> str:
    with clock.at(NOW):
        return await by.verify_staff(token)


async def test_rsa_and_elliptic_keys_of_the_set_are_believed_and_fetched_once(provider: Provider) -> None:
    by = tokens(provider)

    assert await subject(by, signed(ONE)) == "ann@example"
    assert await subject(by, signed(CURVE, "ES256", kid="curve")) == "ann@example"
    assert await subject(by, signed(ONE, aud=[STAFF, "other"])) == "ann@example"
    assert provider.asked == ["/keys"]


async def test_a_key_set_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(rsa_jwk("one", ONE)))
    by = Tokens(TokenSettings(ISSUER, STAFF, FAN, jwks_file=file))

    assert await subject(by, signed(ONE)) == "ann@example"


@pytest.mark.parametrize("kid", ["two", "../../x", "/etc/passwd", "", "http://127.0.0.1/x", "one\x00", None])
async def test_an_unknown_key_name_is_refused_and_never_becomes_a_path(provider: Provider, kid: str | None) -> None:
    by = tokens(provider)

    with pytest.raises(Unauthenticated) as refusal:
        await subject(by, signed(ONE, kid=kid))
    assert refusal.value.message == Unauthenticated.default
    assert set(provider.asked) <= {"/keys"}


async def test_a_public_key_is_never_taken_for_a_shared_secret(provider: Provider) -> None:
    by, public = tokens(provider), ONE.public_key()
    pems = [public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), RSAAlgorithm.to_jwk(public).encode()]
    hmac = jwt.get_algorithm_by_name("HS256")

    for pem in pems:
        text = signed(ONE).rsplit(".", 1)[0].split(".")[1]
        head = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"one","typ":"JWT"}').decode()
        forged = jwt.utils.base64url_encode(hmac.sign(f"{head}.{text}".encode(), pem)).decode()
        with pytest.raises(Unauthenticated):
            await subject(by, f"{head}.{text}.{forged}")


async def test_other_keys_algorithms_and_our_own_secret_are_refused_where_a_key_set_rules(provider: Provider) -> None:
    by = tokens(provider)
    own = Tokens(TokenSettings(ISSUER, STAFF, FAN, hs256_secret=SECRET))
    attempts = [
        signed(TWO),
        signed(ONE, "RS384"),
        signed(ONE, "PS256"),
        signed(CURVE, "ES256", kid="one"),
        signed(ONE, kid="curve"),
        jwt.encode(claims(), "", algorithm="none", headers={"kid": "one"}),
        jwt.encode(claims(), own._staff_key.key if own._staff_key else b"", algorithm="HS256", headers={"kid": "one"}),
        signed(ONE, exp=int(NOW.timestamp())),
        signed(ONE, aud=FAN),
        signed(ONE, iss="https://other.example"),
    ]

    for token in attempts:
        with pytest.raises(Unauthenticated):
            await subject(by, token)


async def test_an_embedded_or_referenced_key_in_the_token_is_ignored(provider: Provider) -> None:
    planted = {"kid": "mine", "jwk": rsa_jwk("mine", TWO), "jku": provider.url, "x5u": provider.url}
    token = jwt.encode(claims(), TWO, algorithm="RS256", headers=planted)

    with pytest.raises(Unauthenticated):
        await subject(tokens(provider), token)


def test_fan_tokens_are_signed_by_ourselves_and_staff_tokens_only_by_the_provider(provider: Provider) -> None:
    by = tokens(provider)

    with clock.at(NOW):
        assert by.verify_fan(by.mint_fan(77, 2, 1)).fan_id == 77
        with pytest.raises(Unauthenticated):
            by.verify_fan(signed(ONE, aud=FAN, sub="77", brand_id=2, group_id=1))
    with pytest.raises(ValueError, match="identity provider"):
        by.mint_staff("ann@example")


async def test_an_unknown_key_is_asked_for_at_most_once_a_minute(provider: Provider) -> None:
    seconds = Seconds()
    keys = KeySet(key_source(provider.url, None), seconds=seconds)
    assert await keys.find("one")

    provider.body = key_set(rsa_jwk("one", ONE), rsa_jwk("two", TWO))
    assert await keys.find("two") is None
    seconds.now += 60
    assert await keys.find("two")
    for number in range(50):
        await keys.find(f"unknown {number}")
    assert len(provider.asked) == 2


async def test_many_callers_at_once_ask_the_provider_once(provider: Provider) -> None:
    keys = KeySet(key_source(provider.url, None))

    found = await asyncio.gather(*(keys.find("one") for _ in range(20)))

    assert all(found)
    assert len(provider.asked) == 1


async def test_a_withdrawn_key_stops_working_within_ten_minutes(provider: Provider) -> None:
    seconds = Seconds()
    keys = KeySet(key_source(provider.url, None), seconds=seconds)
    assert await keys.find("one")

    provider.body = key_set(rsa_jwk("two", TWO))
    seconds.now += 601
    assert await keys.find("one") is None


async def test_while_the_provider_is_away_known_keys_go_on_working(provider: Provider) -> None:
    seconds = Seconds()
    keys = KeySet(key_source(provider.url, None), seconds=seconds)
    assert await keys.find("one")

    provider.status = 500
    seconds.now += 601
    assert await keys.find("one")
    assert await keys.find("two") is None


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"keys":[]}', b'{"keys":[1]}', b"[" * 100_000, b"x" * 1_000_001])
async def test_without_any_key_the_answer_is_unavailable_and_not_a_verdict_on_the_token(
    provider: Provider, body: bytes
) -> None:
    provider.body = body

    with pytest.raises(Unavailable):
        await subject(tokens(provider), signed(ONE))


async def test_a_redirect_to_another_place_is_not_followed(provider: Provider) -> None:
    provider.status, provider.location = 302, "/elsewhere"

    with pytest.raises(Unavailable):
        await subject(tokens(provider), signed(ONE))
    assert provider.asked == ["/keys"]


async def test_a_provider_that_does_not_answer_costs_two_seconds_and_never_the_event_loop(provider: Provider) -> None:
    provider.delay_seconds = 3
    waiting = asyncio.create_task(subject(tokens(provider), signed(ONE)))
    began = time.monotonic()
    ticks = 0
    while not waiting.done():
        await asyncio.sleep(0.05)
        ticks += 1

    with pytest.raises(Unavailable):
        await waiting
    assert time.monotonic() - began < provider.delay_seconds
    assert ticks > 5


@pytest.mark.parametrize(
    "jwk",
    [
        {"kty": "oct", "kid": "x", "k": "AAAA"},
        {"kty": "RSA", "kid": "x"},
        {"kty": "EC", "kid": "x", "crv": "P-256"},
        rsa_jwk("", ONE),
        rsa_jwk("x", ONE, use="enc"),
        rsa_jwk("x", ONE, alg="RS512"),
        rsa_jwk("x", ONE, alg="HS256"),
        rsa_jwk("x", ONE, d="AQAB"),
        {**json.loads(RSAAlgorithm.to_jwk(ONE)), "kid": "x", "use": "sig"},
        rsa_jwk("x", rsa_key("weak", 1024)),
        ec_jwk("x", ec.generate_private_key(ec.SECP384R1())),
    ],
    ids=lambda jwk: "-".join(str(jwk.get(name)) for name in ("kty", "use", "alg", "crv", "key_ops")),
)
def test_keys_that_are_weak_private_symmetric_or_meant_otherwise_are_left_out(jwk: dict[str, Any]) -> None:
    assert set(parse_keys(key_set(jwk, rsa_jwk("good", ONE)))) == {"good"}
