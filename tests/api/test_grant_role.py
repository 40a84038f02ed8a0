"""grantRole, revokeGrant and disableStaff: what they write binds the next request of whom they concern."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from domain import clock
from tests.cast import changed, snapshot
from tests.world import Client

GRANT = """mutation($i: GrantRoleInput!) { grantRole(input: $i) { userErrors { code field }
  grant { id role grantedBy expiresAt brand { code } dealer { code } store { code } } staff { name } } }"""
REVOKE = "mutation($i: RevokeGrantInput!) { revokeGrant(input: $i) { userErrors { code } revokedId } }"
DISABLE = "mutation($i: DisableStaffInput!) { disableStaff(input: $i) { userErrors { code } staff { disabledAt } } }"
COUNT = "{ fans(first: 1) { totalCount } }"


async def grant(client: Client, who: str, to: str, role: str, **given: Any) -> dict[str, Any]:
    wanted = {"staffId": client.world.id("Staff", to), "role": role, **given}
    answer: dict[str, Any] = (await client.data(who, GRANT, i=wanted))["grantRole"]
    return answer


async def fans_seen(client: Client, who: str) -> int | None:
    """Return how many fans the caller sees, or None where they may see none."""
    found = (await client.ask(who, COUNT))["data"]["fans"]
    return None if found is None else int(found["totalCount"])


@pytest.mark.parametrize(
    "given, place, seen",
    [
        ({}, (None, None, None), 16),
        ({"brandId": "g1/b1"}, ("b1", None, None), 8),
        ({"dealerId": "g1/b1/d11"}, ("b1", "d11", None), 4),
        ({"storeId": "g1/b1/d1/s2"}, ("b1", "d1", "s2"), 1),
        ({"brandId": "g1/b1", "dealerId": "g1/b1/d1"}, ("b1", "d1", None), 4),
    ],
)
async def test_a_role_given_at_a_node_holds_there_from_the_next_request_on(
    client: Client, given: dict[str, str], place: tuple[str | None, ...], seen: int
) -> None:
    assert await fans_seen(client, "NOBODY") is None
    kinds = {"brandId": "Brand", "dealerId": "Dealer", "storeId": "Store"}

    answer = await grant(
        client, "HQ1", "NOBODY", "DEALER_STAFF", **{k: client.world.id(kinds[k], v) for k, v in given.items()}
    )

    assert answer["userErrors"] == []
    made = answer["grant"]
    assert tuple(made[level] and made[level]["code"] for level in ("brand", "dealer", "store")) == place
    assert (made["role"], made["grantedBy"]) == ("DEALER_STAFF", f"staff:{client.world.staff['HQ1']}")
    assert answer["staff"] == {"name": "NOBODY"}
    assert await fans_seen(client, "NOBODY") == seen


async def test_a_role_taken_back_ends_with_the_next_request(client: Client) -> None:
    made = (await grant(client, "HQ1", "NOBODY", "BRAND_ANALYST", brandId=client.world.id("Brand", "g1/b1")))["grant"]
    assert await fans_seen(client, "NOBODY") == 8

    answer = await client.data("B1", REVOKE, i={"grantId": made["id"]})

    assert answer["revokeGrant"] == {"userErrors": [], "revokedId": made["id"]}
    assert await fans_seen(client, "NOBODY") is None
    again = await client.data("B1", REVOKE, i={"grantId": made["id"]})
    assert again["revokeGrant"] == {"userErrors": [{"code": "NOT_FOUND"}], "revokedId": None}


async def test_a_role_ends_at_its_time(client: Client) -> None:
    now = clock.now()
    ends = now + timedelta(hours=1)

    await grant(client, "HQ1", "NOBODY", "GROUP_ANALYST", expiresAt=ends.isoformat())
    assert await fans_seen(client, "NOBODY") == 16

    with clock.at(ends):
        assert await fans_seen(client, "NOBODY") is None
    past = await grant(client, "HQ1", "NOBODY", "BRAND_ANALYST", expiresAt=now.isoformat())
    assert past["userErrors"] == [{"code": "BAD_USER_INPUT", "field": ["input", "expiresAt"]}]


async def test_a_role_is_held_once_at_a_node(client: Client) -> None:
    await grant(client, "HQ1", "NOBODY", "GROUP_ANALYST")
    before = await snapshot(client.world)

    again = await grant(client, "HQ1", "NOBODY", "GROUP_ANALYST")

    assert again["userErrors"] == [{"code": "ALREADY_GRANTED", "field": ["input", "role"]}]
    assert await snapshot(client.world) == before


async def test_ten_at_once_give_it_once(client: Client) -> None:
    answers = await asyncio.gather(*(grant(client, "HQ1", "NOBODY", "GROUP_ANALYST") for _ in range(10)))

    assert sorted(len(answer["userErrors"]) for answer in answers) == [0] + [1] * 9
    grants = "{ staff(first: 50) { nodes { name grants { role } } } }"
    rows = (await client.data("HQ1", grants))["staff"]["nodes"]
    assert {row["name"]: row["grants"] for row in rows}["NOBODY"] == [{"role": "GROUP_ANALYST"}]


async def test_every_change_of_rights_is_written_down_and_counts_the_version_up(client: Client) -> None:
    before = await snapshot(client.world)

    made = (await grant(client, "B1", "D11", "DEALER_STAFF", dealerId=client.world.id("Dealer", "g1/b1/d1")))["grant"]
    await client.data("B1", REVOKE, i={"grantId": made["id"]})

    after = await snapshot(client.world)
    assert changed(before, after) == {"audit_log", "groups"}
    log = await client.data("B1", "{ auditLog(last: 2) { nodes { action principal subject detail } } }")
    assert [(row["action"], row["subject"]) for row in log["auditLog"]["nodes"]] == [
        ("role:assign", f"Staff:{client.world.staff['D11']}"),
        ("role:revoke", f"Staff:{client.world.staff['D11']}"),
    ]


async def test_who_is_disabled_is_out_with_the_next_request(client: Client) -> None:
    assert await fans_seen(client, "D1") == 4

    answer = await client.data("HQ1", DISABLE, i={"staffId": client.world.id("Staff", "D1")})

    assert answer["disableStaff"]["staff"]["disabledAt"] is not None
    response = await client.post("D1", {"query": COUNT})
    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert await fans_seen(client, "D11") == 4


async def test_only_the_groups_own_administrators_disable(client: Client) -> None:
    before = await snapshot(client.world)
    staff = client.world.id("Staff", "D1")

    assert await client.codes("B1", DISABLE, i={"staffId": staff}) == ["FORBIDDEN"]
    foreign = await client.data("G2", DISABLE, i={"staffId": staff})
    assert foreign["disableStaff"] == {"userErrors": [{"code": "NOT_FOUND"}], "staff": None}

    assert await snapshot(client.world) == before
