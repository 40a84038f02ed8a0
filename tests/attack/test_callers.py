"""Who is asking (A01, A04 to A06, A17): each kind of caller comes in over HTTP by their own door and by no other."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, update

from authz.templates import RoleRights, Templates
from authz.tokens import new_api_key
from domain import clock
from domain.access.models import ApiKey, Grant
from domain.fans.models import Fan
from domain.tables import table_of
from schema.ids import encode
from server.settings import Settings
from tests.cast import EVERYTHING, add, ask_with, at, codes, give, hire, snapshot, token_of
from tests.world import Client, World, client_of

FAN = "g1/b1/d1#1"
VIEWER = "{ viewer { principal } }"
ME = "{ me { nickname } }"
FANS = "{ fans(first: 1) { totalCount } }"
LOGIN = """mutation($i: LoginForDevelopmentInput!) { loginForDevelopment(input: $i) {
  userErrors { code field } accessToken } }"""


async def send(
    client: Client, token: str | None, query: str, path: str = "/graphql", headers: dict[str, str] | None = None
) -> httpx.Response:
    """Send a query with a bearer token, or with none."""
    sent = {} if token is None else {"authorization": f"Bearer {token}"}
    return await client.http.post(path, json={"query": query}, headers={**sent, **(headers or {})})


def is_refused(response: httpx.Response) -> bool:
    """Tell whether the answer is the one and only one that a caller without a valid token gets."""
    body = response.json()
    found = [error["extensions"]["code"] for error in body.get("errors", [])]
    return response.status_code == 401 and found == ["UNAUTHENTICATED"] and not (body.get("data") or {}).get("viewer")


async def test_one_request_of_each_kind_of_caller_works(client: Client) -> None:
    seen = {who: (await client.data(who, FANS))["fans"]["totalCount"] for who in ("HQ1", "B1", "D1", "S1", "SERVICE")}
    assert seen == {"HQ1": 16, "B1": 8, "D1": 4, "S1": 1, "SERVICE": 8}
    assert (await client.data(FAN, ME))["me"] == {"nickname": f"粉丝 {FAN}"}
    principals = {who: (await client.data(who, VIEWER))["viewer"]["principal"] for who in ("HQ1", "D1", "SERVICE")}
    staff = client.world.staff
    assert principals == {"HQ1": f"staff:{staff['HQ1']}", "D1": f"staff:{staff['D1']}", "SERVICE": "api_key:1"}


async def test_one_request_of_each_kind_of_caller_is_refused(client: Client) -> None:
    world = client.world
    foreign = world.id("Fan", "g2/b1/d1#1")
    query = "query($id: ID!) { fan(id: $id) { id } }"

    for who in ("HQ1", "B1", "D1", "S1", "SERVICE"):
        assert await client.codes(who, query, id=foreign) == ["NOT_FOUND"]
    assert await client.codes("D1", "{ auditLog(first: 1) { totalCount } }") == ["FORBIDDEN"]
    assert await client.codes("NOBODY", VIEWER) == ["FORBIDDEN"]
    for who, path in ((FAN, "/graphql"), ("HQ1", "/fan/graphql"), ("SERVICE", "/fan/graphql")):
        for document in (VIEWER, ME, "{ __typename }"):
            assert is_refused(await send(client, token_of(world, who), document, path)), (who, path)


async def test_without_a_token_nothing_is_read(client: Client) -> None:
    client.statements.clear()

    refused = await send(client, None, FANS)

    assert is_refused(refused)
    assert client.statements == []
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert is_refused(await send(client, None, ME, "/fan/graphql"))


async def test_a_token_that_is_not_quite_one_is_refused_in_the_same_words(client: Client) -> None:
    world = client.world
    tokens = world.services.tokens
    good = tokens.mint_staff("B1")
    head, body, signature = good.split(".")
    fan = (world.fans[FAN], world.nodes["g1/b1"], world.nodes["g1"])
    key = world.api_key
    staff_door = [
        "", "x", good[:-2], f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}x.{signature}", f"{good} {good}",
        tokens.mint_staff("B1", timedelta(seconds=-1)), tokens.mint_staff("NO_SUCH_STAFF"), tokens.mint_staff("b1"),
        tokens.mint_fan(*fan), key[:-1], key[:-1] + ("A" if key[-1] != "A" else "B"), key.upper(), f"{key}x",
        new_api_key().full_key, f"scrm_{'0' * 12}_{'A' * 43}",
    ]  # fmt: skip
    fan_door = [
        good, key, tokens.mint_fan(*fan, timedelta(seconds=-1)), tokens.mint_fan(fan[0], world.nodes["g1/b2"], fan[2]),
        tokens.mint_fan(fan[0], fan[1], world.nodes["g2"]), tokens.mint_fan(world.fans["g1/b2/d1#1"], *fan[1:]),
        tokens.mint_fan(2**40, *fan[1:]),
    ]  # fmt: skip

    answers = [await send(client, token, FANS) for token in staff_door]
    answers += [await send(client, token, ME, "/fan/graphql") for token in fan_door]

    assert [n for n, answer in enumerate(answers) if not is_refused(answer)] == []
    assert len({answer.text for answer in answers[: len(staff_door)]}) == 1


async def test_a_token_says_the_brand_and_headers_do_not(client: Client) -> None:
    brand = str(client.world.nodes["g1/b2"])
    headers = {"x-brand": brand, "x-group": "2", "x-tenant": brand, "host": "b2.example.com", "x-forwarded-host": "b2"}

    answer = await send(client, token_of(client.world, "B1"), FANS, headers=headers)
    me = await send(client, token_of(client.world, FAN), ME, "/fan/graphql", headers)

    assert answer.json()["data"] == {"fans": {"totalCount": 8}}
    assert me.json()["data"] == {"me": {"nickname": f"粉丝 {FAN}"}}


async def test_a_token_expires_while_it_is_used(client: Client) -> None:
    token = client.world.services.tokens.mint_staff("B1", timedelta(minutes=5))
    assert codes(await ask_with(client, token, FANS)) == []

    with clock.at(clock.now() + timedelta(minutes=5, seconds=1)):
        assert is_refused(await send(client, token, FANS))


async def test_a_disabled_staff_member_is_out_and_nobody_else(client: Client) -> None:
    token = token_of(client.world, "D1")
    assert codes(await ask_with(client, token, FANS)) == []

    disable = "mutation($id: ID!) { disableStaff(input: {staffId: $id}) { userErrors { code } } }"
    await client.data("HQ1", disable, id=client.world.id("Staff", "D1"))

    assert is_refused(await send(client, token, FANS))
    assert is_refused(await send(client, token_of(client.world, "D1"), FANS))
    assert codes(await ask_with(client, token_of(client.world, "D11"), FANS)) == []


async def test_a_revoked_grant_binds_the_next_request(client: Client) -> None:
    await hire(client.world, "NEW")
    grant = await give(client.world, "NEW", "BRAND_ANALYST", "g1/b1")
    token = token_of(client.world, "NEW")
    assert (await ask_with(client, token, FANS))["data"] == {"fans": {"totalCount": 8}}

    revoke = "mutation($id: ID!) { revokeGrant(input: {grantId: $id}) { userErrors { code } } }"
    await client.data("HQ1", revoke, id=encode("Grant", grant))

    assert codes(await ask_with(client, token, FANS)) == ["FORBIDDEN"]


async def test_an_api_key_is_refused_once_revoked_or_expired(client: Client) -> None:
    world, keys, now = client.world, table_of(ApiKey), clock.now()
    made = new_api_key()
    key = {"group_id": world.nodes["g1"], "prefix": made.prefix, "secret_hash": made.secret_hash, "name": "x"}
    key_id = await add(world, ApiKey, **key)
    await add(world, Grant, **at(world, "g1/b2"), api_key_id=key_id, role="SERVICE", granted_by="test")
    other = token_of(world, "SERVICE")

    async def change(**values: Any) -> None:
        async with world.services.database.writing(EVERYTHING) as session:
            await session.execute(update(keys).where(keys.c.id == key_id).values(**values))

    assert (await ask_with(client, made.full_key, FANS))["data"] == {"fans": {"totalCount": 4}}
    await change(expires_at=now - timedelta(seconds=1))
    assert is_refused(await send(client, made.full_key, FANS))
    await change(expires_at=now + timedelta(hours=1))
    assert codes(await ask_with(client, made.full_key, FANS)) == []
    await change(revoked_at=now)
    assert is_refused(await send(client, made.full_key, FANS))
    assert codes(await ask_with(client, other, FANS)) == []


async def test_a_fan_who_is_no_more_is_refused(client: Client) -> None:
    world = client.world
    made = await ask_with(
        client, None, LOGIN, "/fan/graphql", i={"brandId": world.id("Brand", "g1/b1"), "externalId": "gone"}
    )
    token = made["data"]["loginForDevelopment"]["accessToken"]
    assert codes(await ask_with(client, token, ME, "/fan/graphql")) == []

    fans = table_of(Fan)
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(delete(fans).where(fans.c.id.not_in(world.fans.values())))

    assert is_refused(await send(client, token, ME, "/fan/graphql"))


async def test_the_development_login_makes_a_fan_once_and_lets_them_in(client: Client) -> None:
    brand = client.world.id("Brand", "g1/b1")
    before = await snapshot(client.world)

    answers = [
        await ask_with(client, None, LOGIN, "/fan/graphql", i={"brandId": brand, "externalId": text})
        for text in ("ann", " ann ", "bob")
    ]

    tokens = [answer["data"]["loginForDevelopment"]["accessToken"] for answer in answers]
    for token in tokens:
        assert codes(await ask_with(client, token, ME, "/fan/graphql")) == []
    assert len((await snapshot(client.world))["fans"]) == len(before["fans"]) + 2
    for wrong, field in (({"externalId": " "}, "externalId"), ({"externalId": "x" * 256}, "externalId")):
        answer = await ask_with(client, None, LOGIN, "/fan/graphql", i={"brandId": brand, **wrong})
        errors = answer["data"]["loginForDevelopment"]["userErrors"]
        assert errors == [{"code": "BAD_USER_INPUT", "field": ["input", field]}]


async def test_a_deployment_that_is_not_for_development_has_no_development_login(
    world: World, plain_settings: Settings
) -> None:
    shut = replace(world, services=replace(world.services, development_login=False))
    before = await snapshot(world)

    async with client_of(shut, plain_settings) as client:
        given = {"brandId": world.id("Brand", "g1/b1"), "externalId": "ann"}
        answer = await ask_with(client, None, LOGIN, "/fan/graphql", i=given)

    assert codes(answer) == ["FORBIDDEN"]
    assert answer["data"] == {"loginForDevelopment": None}
    assert await snapshot(world) == before


def test_production_refuses_the_development_login_and_development_can_switch_it_off(plain_settings: Settings) -> None:
    assert plain_settings.allows_development_login
    assert not plain_settings.model_copy(update={"development_login": False}).allows_development_login
    production = plain_settings.model_copy(update={"environment": "production", "development_login": True})
    assert not production.allows_development_login
    assert any("SCRM_DEVELOPMENT_LOGIN" in problem for problem in production.production_problems())
    with pytest.raises(ValueError, match="SCRM_DEVELOPMENT_LOGIN"):
        Settings(_env_file=None, environment="production", development_login=True)


async def test_without_a_policy_nobody_may_do_anything(
    world: World, plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = Templates()
    monkeypatch.setattr(empty, "of", lambda role, custom=None: RoleRights())
    bare = replace(world, services=replace(world.services, templates=empty))

    async with client_of(bare, plain_settings) as client:
        for who in ("HQ1", "B1", "SERVICE"):
            for document in (VIEWER, FANS, "{ brands(first: 1) { totalCount } }"):
                assert await client.codes(who, document) == ["FORBIDDEN"]
        assert await client.codes(FAN, ME) == ["FORBIDDEN"]
