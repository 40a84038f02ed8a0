"""Tokens made here: what is believed, until when, and every way of not being believed."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest

from authz.tokens import FanClaims, Tokens, TokenSettings, bearer, new_api_key, presented_api_key
from domain import clock
from domain.errors import Unauthenticated
from tests.authz.identity_provider import FAN, ISSUER, NOW, SECRET, STAFF, claims

SETTINGS = TokenSettings(ISSUER, STAFF, FAN, hs256_secret=SECRET)
TOKENS = Tokens(SETTINGS)
STAFF_KEY = TOKENS._staff_key.key if TOKENS._staff_key else b""
FAN_KEY = TOKENS._fan_key.key if TOKENS._fan_key else b""
ONE_SECOND = timedelta(seconds=1)


def staff_token(**changed: Any) -> str:
    return jwt.encode(claims(**changed), STAFF_KEY, algorithm="HS256")


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


async def refused(token: str) -> None:
    """Expect the one refusal that tells nothing."""
    with clock.at(NOW), pytest.raises(Unauthenticated) as refusal:
        await TOKENS.verify_staff(token)
    assert refusal.value.message == Unauthenticated.default


async def test_a_staff_token_made_here_names_its_subject_until_it_expires() -> None:
    with clock.at(NOW):
        token = TOKENS.mint_staff("ann@example", timedelta(minutes=10))
    with clock.at(NOW + timedelta(minutes=10) - ONE_SECOND):
        assert await TOKENS.verify_staff(token) == "ann@example"
    with clock.at(NOW + timedelta(minutes=10)), pytest.raises(Unauthenticated):
        await TOKENS.verify_staff(token)


def test_a_fan_token_names_fan_brand_and_group_for_two_hours() -> None:
    with clock.at(NOW):
        token = TOKENS.mint_fan(77, 2, 1)
    with clock.at(NOW + timedelta(hours=2) - ONE_SECOND):
        assert TOKENS.verify_fan(token) == FanClaims(77, 2, 1)
    with clock.at(NOW + timedelta(hours=2)), pytest.raises(Unauthenticated):
        TOKENS.verify_fan(token)


async def test_staff_and_fan_tokens_do_not_stand_in_for_each_other_even_with_the_audience_changed() -> None:
    with clock.at(NOW):
        fan, staff = TOKENS.mint_fan(77, 2, 1), TOKENS.mint_staff("77")
        crossed = jwt.encode(claims(aud=FAN, sub="77", brand_id=2, group_id=1), STAFF_KEY, algorithm="HS256")

        for token in (staff, crossed):
            with pytest.raises(Unauthenticated):
                TOKENS.verify_fan(token)
    await refused(fan)
    await refused(jwt.encode(claims(), FAN_KEY, algorithm="HS256"))


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(NOW.timestamp()) - 1},
        {"exp": int(NOW.timestamp())},
        {"nbf": int(NOW.timestamp()) + 31},
        {"iat": int(NOW.timestamp()) + 31},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": [9999999999]},
        {"iat": "soon"},
        {"iat": -1},
        {"nbf": {}},
        {"aud": FAN},
        {"aud": [FAN]},
        {"aud": {STAFF: 1}},
        {"iss": "https://other.example"},
        {"iss": [ISSUER]},
        {"sub": ""},
        {"sub": 12},
        {"sub": "a" * 256},
        {"sub": "ann\x00"},
        {"sub": "ann\n"},
        *({name: None} for name in ("exp", "iat", "iss", "aud", "sub")),
    ],
    ids=repr,
)
async def test_a_well_signed_token_with_a_wrong_claim_is_refused(changed: dict[str, Any]) -> None:
    text = signing_input(claims(**changed))

    await refused(f"{text}.{signature(text)}")


def signing_input(body: object, **header: object) -> str:
    return f"{part({'alg': 'HS256', 'typ': 'JWT', **header})}.{part(body)}"


def signature(text: str, key: bytes = STAFF_KEY) -> str:
    return part(jwt.get_algorithm_by_name("HS256").sign(text.encode(), key))


@pytest.mark.parametrize("changed", [{"nbf": int(NOW.timestamp()) + 30}, {"iat": int(NOW.timestamp()) + 30}, {}])
async def test_a_clock_half_a_minute_behind_the_issuer_is_forgiven(changed: dict[str, Any]) -> None:
    with clock.at(NOW):
        assert await TOKENS.verify_staff(staff_token(**changed)) == "ann@example"


@pytest.mark.parametrize("drift", [timedelta(minutes=-5), timedelta(minutes=5)])
async def test_a_clock_five_minutes_off_never_lengthens_a_life_that_is_over(drift: timedelta) -> None:
    with clock.at(NOW):
        token = TOKENS.mint_staff("ann@example", timedelta(minutes=2))
    with clock.at(NOW + drift), pytest.raises(Unauthenticated):
        await TOKENS.verify_staff(token)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "HS384", "HS512", "RS256", "ES256", None, ["HS256"], 1])
async def test_only_the_configured_algorithm_is_believed(alg: object) -> None:
    text = signing_input(claims(), alg=alg)

    await refused(f"{text}.")
    await refused(f"{text}.{signature(text)}")


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
    ],
    ids=repr,
)
async def test_a_token_that_asks_for_what_is_not_understood_is_refused(header: dict[str, object]) -> None:
    text = signing_input(claims(), **header)

    await refused(f"{text}.{signature(text)}")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
        lambda token: token.rsplit(".", 1)[0] + ".",
        lambda token: token.rsplit(".", 1)[0],
        lambda token: token + ".AAAA",
        lambda token: "." + token,
        lambda token: part(b"[" * 5000) + "." + token.split(".", 1)[1],
        lambda token: part(b'{"alg":' + b"9" * 5000 + b"}") + "." + token.split(".", 1)[1],
        lambda token: part(b"\xff\xfe") + "." + token.split(".", 1)[1],
        lambda token: part([]) + "." + token.split(".", 1)[1],
        lambda token: "",
        lambda token: "..",
        lambda token: "\u7c89.\u4e1d.!",
        lambda token: "\ud800.a.b",
    ],
)
async def test_a_damaged_token_is_refused_and_never_breaks_the_server(spoil: Callable[[str], str]) -> None:
    await refused(spoil(staff_token()))


async def test_a_signed_payload_that_is_no_object_is_refused() -> None:
    bodies: list[object] = [[], "x", 1, None, b"[" * 5000, b"\xff"]
    for body in bodies:
        text = signing_input(body)
        await refused(f"{text}.{signature(text)}")


async def test_a_token_signed_with_the_secret_itself_or_another_secret_is_refused() -> None:
    other = Tokens(replace(SETTINGS, hs256_secret=SECRET + "!"))
    with clock.at(NOW):
        foreign = other.mint_staff("ann@example")

    await refused(foreign)
    await refused(jwt.encode(claims(), SECRET, algorithm="HS256"))


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": "x"},
        {"brand_id": None},
        {"brand_id": "x"},
        {"group_id": []},
        {"aud": STAFF},
    ],
    ids=repr,
)
def test_a_fan_token_must_name_fan_brand_and_group(changed: dict[str, Any]) -> None:
    body = claims(**{"aud": FAN, "sub": "77", "brand_id": 2, "group_id": 1, **changed})
    with clock.at(NOW), pytest.raises(Unauthenticated):
        TOKENS.verify_fan(jwt.encode(body, FAN_KEY, algorithm="HS256"))


@pytest.mark.parametrize("header", ["Bearer abc.d-e_f", "bearer abc.d-e_f", "BEARER abc.d-e_f"])
def test_a_bearer_token_is_taken_from_its_header(header: str) -> None:
    assert bearer(header) == "abc.d-e_f"


@pytest.mark.parametrize(
    "header",
    [
        *("", "Bearer", "Bearer ", "abc", "Basic abc", "Bearer  abc", " Bearer abc", "Bearer abc ", "Bearer\tabc"),
        *("Bearer abc\n", "Bearer a b", "Bearer abc, Bearer d", "Bearer a=b", "Bearer \u7c89", "Bea\u0280er abc"),
        "Bearer " + "a" * 8192,
    ],
)
def test_any_other_header_is_refused(header: str) -> None:
    with pytest.raises(Unauthenticated):
        bearer(header)


def test_a_new_api_key_is_recognised_by_prefix_and_hash_of_its_secret() -> None:
    made = new_api_key()
    presented = presented_api_key(made.full_key)

    assert presented == (made.prefix, made.secret_hash)
    assert made.full_key.startswith(f"scrm_{made.prefix}_")
    assert len(made.prefix) <= 16
    assert made.secret_hash == hashlib.sha256(made.full_key.split("_", 2)[2].encode()).digest()
    assert new_api_key() != made


@pytest.mark.parametrize("token", ["", "scrm_", "scrm_abc_def", "scrm_" + "g" * 12 + "_" + "a" * 43, "eyJ.a.b"])
def test_what_is_no_api_key_is_not_looked_up(token: str) -> None:
    assert presented_api_key(token) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"hs256_secret": None},
        {"hs256_secret": "short"},
        {"audience_fan": STAFF},
        {"issuer": ""},
        {"leeway": timedelta(seconds=61)},
        {"jwks_url": "http://id.example/keys"},
        {"jwks_url": "file:///etc/passwd"},
        {"jwks_url": "ftp://127.0.0.1/keys"},
    ],
    ids=repr,
)
def test_settings_that_would_weaken_tokens_are_refused_at_start(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"secret|audiences|leeway|https"):
        Tokens(replace(SETTINGS, **changed))


def test_the_signing_secret_is_not_printed_with_the_settings() -> None:
    assert SECRET not in repr(SETTINGS)
