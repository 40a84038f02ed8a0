"""Rights (T16, T17, A05): every root field against every kind of caller, and the ways up that must not be."""

from typing import Any

import pytest

from schema import fan_schema, staff_schema
from schema.ids import encode
from tests.cast import ask, ask_with, codes, give, hire, make_role, scope_of, snapshot, token_of
from tests.server.deployed import eventually
from tests.sockets import connected
from tests.world import Client

FAN, NOBODY, NO_TOKEN = "g1/b1/d1#1", "NOBODY", "NO_TOKEN"
ADMINS = frozenset({"HQ1", "G2", "B1"})
GROUP_ADMINS = frozenset({"HQ1", "G2"})
STAFF = ADMINS | {"ANALYST", "B1READ", "D1", "S1"}
READERS = STAFF | {"SERVICE"}
WRITERS = ADMINS | {"SERVICE"}
TAGGERS = WRITERS | {"D1", "S1"}
CALLERS = (*sorted(READERS), NOBODY, FAN, NO_TOKEN)

ID = encode("Nothing", 1)
FIRST = "(first: 1) { nodes { __typename } }"
DAYS = 'since: "2026-01-01", until: "2026-01-31"'
PAYMENT = 'paymentReference: "x", idempotencyKey: "x"'
# for each field of each schema: how to ask it harmlessly, and who may
STAFF_TABLE: dict[str, tuple[str, frozenset[str]]] = {
    "Query.viewer": ("viewer { principal }", READERS),
    "Query.staff": (f"staff{FIRST}", ADMINS),
    "Query.fan": (f'fan(id: "{ID}") {{ id }}', READERS),
    "Query.fans": (f"fans{FIRST}", READERS),
    "Query.node": (f'node(id: "{ID}") {{ id }}', READERS),
    "Query.nodes": (f'nodes(ids: ["{ID}"]) {{ id }}', READERS),
    "Query.graphLag": ("graphLag { pending }", READERS - {"D1", "S1"}),
    "Query.auditLog": (f"auditLog{FIRST}", ADMINS),
    "Query.consentRecords": (f'consentRecords(fanId: "{ID}", first: 1) {{ nodes {{ __typename }} }}', READERS),
    "Query.erasures": (f"erasures{FIRST}", ADMINS),
    "Query.jobs": (f"jobs{FIRST}", ADMINS),
    "Query.order": (f'order(id: "{ID}") {{ id }}', READERS),
    "Query.orders": (f"orders{FIRST}", READERS),
    "Query.events": (f'events(first: 1, filter: {{brandId: "{ID}", name: "x"}}) {{ nodes {{ id }} }}', READERS),
    "Query.eventDefinitions": (f"eventDefinitions{FIRST}", READERS),
    "Query.cascade": (f'cascade(id: "{ID}") {{ id }}', READERS),
    "Query.cascades": (f"cascades{FIRST}", READERS),
    "Query.person": (f'person(id: "{ID}") {{ id }}', GROUP_ADMINS),
    "Query.identityConflicts": (f"identityConflicts{FIRST}", GROUP_ADMINS),
    "Query.personMerges": (f"personMerges{FIRST}", GROUP_ADMINS),
    "Query.blockedIdentities": (f"blockedIdentities{FIRST}", GROUP_ADMINS),
    "Query.tags": (f"tags{FIRST}", READERS),
    "Query.brand": (f'brand(id: "{ID}") {{ id }}', READERS),
    "Query.brands": (f"brands{FIRST}", READERS),
    "Query.dealers": (f"dealers{FIRST}", READERS),
    "Query.stores": (f"stores{FIRST}", READERS),
    "Query.channelAccounts": (f"channelAccounts{FIRST}", READERS),
    "Query.hotItems": (f'hotItems(brandId: "{ID}", by: CONTENT) {{ count }}', READERS),
    "Subscription.fanEvents": ("fanEvents { id }", READERS),
    "Mutation.grantRole": (f'grantRole(input: {{staffId: "{ID}", role: "x"}}) {{ userErrors {{ code }} }}', ADMINS),
    "Mutation.revokeGrant": (f'revokeGrant(input: {{grantId: "{ID}"}}) {{ userErrors {{ code }} }}', ADMINS),
    "Mutation.disableStaff": (
        f'disableStaff(input: {{staffId: "{ID}"}}) {{ userErrors {{ code }} }}',
        frozenset({"HQ1", "G2"}),
    ),
    "Mutation.eraseFan": (
        f'eraseFan(input: {{fanId: "{ID}", reason: "x", confirm: false}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.recordConsents": (
        f'recordConsents(input: {{fanIds: ["{ID}"], policy: "1", choices: []}}) {{ userErrors {{ code }} }}',
        TAGGERS,
    ),
    "Mutation.recordOrders": (
        f'recordOrders(input: {{brandId: "{ID}", source: "x", idempotencyKey: "x", orders: []}}) {{ replayed }}',
        WRITERS,
    ),
    "Query.timeline": (f'timeline(fanId: "{ID}", first: 1) {{ nodes {{ at }} }}', READERS),
    "Query.attributes": (f"attributes{FIRST}", READERS),
    "Mutation.createAttribute": (
        f'createAttribute(input: {{brandId: "{ID}", key: "x", name: "x", type: TEXT}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.updateAttribute": (
        f'updateAttribute(input: {{attributeId: "{ID}"}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.setFanAttributes": (
        "setFanAttributes(input: {fanIds: [], values: []}) { userErrors { code } }",
        WRITERS | {"D1"},
    ),
    "Query.levels": (f"levels{FIRST}", READERS),
    "Query.levelProgramme": (f'levelProgramme(brandId: "{ID}") {{ version }}', READERS),
    "Mutation.setLevels": (
        f'setLevels(input: {{brandId: "{ID}", levels: []}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.trackEvents": (
        f'trackEvents(input: {{brandId: "{ID}", events: []}}) {{ userErrors {{ code }} }}',
        WRITERS,
    ),
    "Mutation.defineEvent": (
        f'defineEvent(input: {{brandId: "{ID}", name: "x", properties: []}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.removeEventDefinition": (
        f'removeEventDefinition(input: {{definitionId: "{ID}"}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.mergePersons": (
        f'mergePersons(input: {{survivorId: "{ID}", absorbedId: "{ID}"}}) {{ userErrors {{ code }} }}',
        GROUP_ADMINS,
    ),
    "Mutation.unmergePersons": (
        f'unmergePersons(input: {{mergeId: "{ID}"}}) {{ userErrors {{ code }} }}',
        GROUP_ADMINS,
    ),
    "Mutation.approveIdentityConflict": (
        f'approveIdentityConflict(input: {{conflictId: "{ID}"}}) {{ userErrors {{ code }} }}',
        GROUP_ADMINS,
    ),
    "Mutation.rejectIdentityConflict": (
        f'rejectIdentityConflict(input: {{conflictId: "{ID}"}}) {{ userErrors {{ code }} }}',
        GROUP_ADMINS,
    ),
    "Mutation.blockIdentity": (
        'blockIdentity(input: {kind: PHONE, value: "", reason: ""}) { userErrors { code } }',
        GROUP_ADMINS,
    ),
    "Mutation.unblockIdentity": (
        f'unblockIdentity(input: {{blockedId: "{ID}"}}) {{ userErrors {{ code }} }}',
        GROUP_ADMINS,
    ),
    "Query.pointsProgramme": (f'pointsProgramme(brandId: "{ID}") {{ version }}', READERS),
    "Query.pointsLiability": (f'pointsLiability(brandId: "{ID}") {{ held }}', READERS),
    "Query.ledgerAudit": (f'ledgerAudit(brandId: "{ID}") {{ accounts }}', ADMINS),
    "Query.ledgerChain": (f'ledgerChain(brandId: "{ID}") {{ links }}', ADMINS),
    "Query.pointTransfers": (f'pointTransfers(fanId: "{ID}", first: 1) {{ nodes {{ kind }} }}', READERS),
    "Query.pointAdjustments": (f"pointAdjustments{FIRST}", READERS),
    "Mutation.updatePointsProgramme": (
        f'updatePointsProgramme(input: {{brandId: "{ID}"}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.adjustPoints": (
        f'adjustPoints(input: {{fanId: "{ID}", points: 1, reason: "x", idempotencyKey: "x"}}) {{ replayed }}',
        ADMINS,
    ),
    "Mutation.exportPoints": (
        f'exportPoints(input: {{brandId: "{ID}", report: TRANSFERS, {DAYS}}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.approvePointAdjustment": (
        f'approvePointAdjustment(input: {{adjustmentId: "{ID}"}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.rejectPointAdjustment": (
        f'rejectPointAdjustment(input: {{adjustmentId: "{ID}"}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Query.pointRules": (f"pointRules{FIRST}", READERS),
    "Query.pointGrants": (f'pointGrants(fanId: "{ID}", first: 1) {{ nodes {{ __typename }} }}', READERS),
    "Mutation.earnPoints": (
        f'earnPoints(input: {{fanId: "{ID}", code: "x", idempotencyKey: "x"}}) {{ replayed }}',
        WRITERS,
    ),
    "Mutation.reverseRegistration": (
        f'reverseRegistration(input: {{fanId: "{ID}", reason: "x", idempotencyKey: "x"}}) {{ replayed }}',
        ADMINS,
    ),
    "Mutation.createPointRule": (
        f'createPointRule(input: {{brandId: "{ID}", code: "x", name: "x", event: "x"}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.updatePointRule": (f'updatePointRule(input: {{ruleId: "{ID}"}}) {{ userErrors {{ code }} }}', ADMINS),
    "Mutation.disablePointRule": (f'disablePointRule(input: {{ruleId: "{ID}"}}) {{ userErrors {{ code }} }}', ADMINS),
    "Mutation.installPointsProgramme": (
        f'installPointsProgramme(input: {{brandId: "{ID}", preset: ZIPPO}}) {{ userErrors {{ code }} }}',
        ADMINS,
    ),
    "Mutation.recordOrderRefunds": (
        f'recordOrderRefunds(input: {{brandId: "{ID}", source: "x", idempotencyKey: "x", refunds: []}}) {{ replayed }}',
        WRITERS,
    ),
    "Query.tasks": (f'tasks(fanId: "{ID}", first: 1) {{ nodes {{ code }} }}', READERS),
    "Query.redemption": (f'redemption(id: "{ID}") {{ id }}', READERS),
    "Query.redemptions": (f"redemptions{FIRST}", READERS),
    "Mutation.redeemGift": (
        f'redeemGift(input: {{fanId: "{ID}", giftId: "{ID}", points: 1, idempotencyKey: "x"}}) {{ replayed }}',
        WRITERS,
    ),
    "Mutation.fulfilRedemption": (
        f'fulfilRedemption(input: {{redemptionId: "{ID}", idempotencyKey: "x"}}) {{ replayed }}',
        WRITERS,
    ),
    "Mutation.cancelRedemption": (
        f'cancelRedemption(input: {{redemptionId: "{ID}", reason: "x", idempotencyKey: "x"}}) {{ replayed }}',
        WRITERS,
    ),
    "Mutation.recordRedemptionPayment": (
        f'recordRedemptionPayment(input: {{redemptionId: "{ID}", amount: "1", {PAYMENT}}}) {{ replayed }}',
        WRITERS,
    ),
    "Query.gift": (f'gift(id: "{ID}") {{ id }}', READERS),
    "Query.gifts": (f"gifts{FIRST}", READERS),
    "Mutation.createGift": (
        f'createGift(input: {{brandId: "{ID}", code: "x", title: "x", points: 1}}) {{ userErrors {{ code }} }}',
        WRITERS,
    ),
    "Mutation.updateGift": (f'updateGift(input: {{giftId: "{ID}"}}) {{ userErrors {{ code }} }}', WRITERS),
    "Mutation.addGiftStock": (
        f'addGiftStock(input: {{giftId: "{ID}", quantity: 1, idempotencyKey: "x"}}) {{ userErrors {{ code }} }}',
        WRITERS,
    ),
    "Mutation.createTag": (
        f'createTag(input: {{name: "x", brandId: "{ID}"}}) {{ userErrors {{ code }} }}',
        TAGGERS,
    ),
    "Mutation.addFanTags": ("addFanTags(input: {fanIds: [], tagIds: []}) { userErrors { code } }", TAGGERS),
    "Mutation.removeFanTags": (
        "removeFanTags(input: {fanIds: [], tagIds: []}) { userErrors { code } }",
        TAGGERS,
    ),
}
FAN_TABLE: dict[str, tuple[str, frozenset[str]]] = {
    "Query.me": ("me { nickname }", frozenset({FAN})),
    "Query.erasure": ('erasure(receipt: "x") { askedAt }', frozenset({FAN, NO_TOKEN})),
    "Query.myConsentRecords": (f"myConsentRecords{FIRST}", frozenset({FAN})),
    "Query.myJob": (f'myJob(id: "{ID}") {{ id }}', frozenset({FAN})),
    "Query.myJobs": (f"myJobs{FIRST}", frozenset({FAN})),
    "Query.myOrders": (f"myOrders{FIRST}", frozenset({FAN})),
    "Query.myLevels": ("myLevels { code }", frozenset({FAN})),
    "Mutation.trackMyEvents": ("trackMyEvents(input: {events: []}) { userErrors { code } }", frozenset({FAN})),
    "Mutation.updateMe": ('updateMe(input: {phone: "x"}) { userErrors { code } }', frozenset({FAN})),
    "Mutation.eraseMe": ("eraseMe(input: {confirm: false}) { userErrors { code } }", frozenset({FAN})),
    "Mutation.exportMyData": ('exportMyData(input: {sections: ["x"]}) { userErrors { code } }', frozenset({FAN})),
    "Mutation.setMyConsents": (
        'setMyConsents(input: {policy: "1", choices: []}) { userErrors { code } }',
        frozenset({FAN}),
    ),
    "Query.myRedemption": (f'myRedemption(id: "{ID}") {{ number }}', frozenset({FAN})),
    "Query.myRedemptions": (f"myRedemptions{FIRST}", frozenset({FAN})),
    "Mutation.redeemGiftForMe": (
        f'redeemGiftForMe(input: {{giftId: "{ID}", points: 1, idempotencyKey: "x"}}) {{ replayed }}',
        frozenset({FAN}),
    ),
    "Mutation.cancelMyRedemption": (
        f'cancelMyRedemption(input: {{redemptionId: "{ID}", idempotencyKey: "x"}}) {{ replayed }}',
        frozenset({FAN}),
    ),
    "Query.myPointTransfers": ("myPointTransfers(first: 1) { nodes { kind } }", frozenset({FAN})),
    "Query.giftOffer": (f'giftOffer(id: "{ID}") {{ giftId }}', frozenset({FAN})),
    "Query.giftOffers": (f"giftOffers{FIRST}", frozenset({FAN})),
    "Query.myTasks": ("myTasks(first: 1) { nodes { code } }", frozenset({FAN})),
    "Query.myTimeline": (f"myTimeline{FIRST}", frozenset({FAN})),
    "Subscription.myEvents": ("myEvents { name }", frozenset({FAN})),
    "Mutation.setMyAttributes": ("setMyAttributes(input: {values: []}) { userErrors { code } }", frozenset({FAN})),
    "Mutation.loginForDevelopment": (
        f'loginForDevelopment(input: {{brandId: "{ID}", externalId: "x"}}) {{ userErrors {{ code }} }}',
        frozenset({FAN, NO_TOKEN}),
    ),
}


def fields_of(schema: Any) -> set[str]:
    """Return `Query.x` and `Mutation.x` for every root field."""
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    return {f"{root.name}.{name}" for root in roots if root for name in root.fields}


def test_the_tables_name_every_field() -> None:
    assert fields_of(staff_schema()._schema) == set(STAFF_TABLE)
    assert fields_of(fan_schema()._schema) == set(FAN_TABLE)


@pytest.mark.parametrize("path", ["/graphql", "/fan/graphql"])
async def test_each_caller_may_ask_what_the_table_says_and_nothing_else(client: Client, path: str) -> None:
    table = STAFF_TABLE if path == "/graphql" else FAN_TABLE
    before = await snapshot(client.world)

    for name, (selection, allowed) in table.items():
        kind = name.partition(".")[0].lower()
        document = f"{kind} {{ {selection} }}"
        for who in CALLERS:
            token = None if who == NO_TOKEN else client.world.token(who)
            begin = begin_with if kind == "subscription" else ask_with
            found = codes(await begin(client, token, document, path))
            is_at_own_door = who != NO_TOKEN and (who == FAN) == (path == "/fan/graphql")
            refused = "FORBIDDEN" if is_at_own_door else "UNAUTHENTICATED"
            outcome = "allowed" if not set(found) & {"FORBIDDEN", "UNAUTHENTICATED"} else found[0]
            assert outcome == ("allowed" if who in allowed else refused), (name, who, found)

    assert await snapshot(client.world) == before


async def begin_with(client: Client, token: str | None, document: str, path: str) -> dict[str, Any]:
    """Begin a subscription over a WebSocket; return what refused it, or nothing once it listens."""
    hub = client.world.services.hub
    async with connected(client.http._transport.app, path) as socket:  # type: ignore[attr-defined]
        socket.say(type="connection_init", payload={} if token is None else {"Authorization": f"Bearer {token}"})
        if (opened := await socket.hear()) != {"type": "connection_ack"}:
            assert opened == 4403
            return {"errors": [{"extensions": {"code": "UNAUTHENTICATED"}}]}
        socket.subscribe(document)
        assert await eventually(lambda: bool(hub._listeners) or not socket.answered.empty())
        return {} if socket.answered.empty() else {"errors": (await socket.hear())["payload"]}


async def test_over_plain_http_a_subscription_is_bad_input_whoever_asks(client: Client) -> None:
    selection, readers = STAFF_TABLE["Subscription.fanEvents"]

    for who in (*sorted(readers), NOBODY):
        answer = await ask_with(client, client.world.token(who), f"subscription {{ {selection} }}")
        assert codes(answer) == ["BAD_USER_INPUT"], who
        assert answer.get("data") is None
    for token in (None, client.world.token(FAN)):
        answer = await ask_with(client, token, f"subscription {{ {selection} }}")
        assert answer.get("data") is None
        assert codes(answer) == ["UNAUTHENTICATED"]
    assert not client.world.services.hub._listeners


GRANT = """mutation($i: GrantRoleInput!) { grantRole(input: $i) { userErrors { code field }
  grant { role brand { code } dealer { code } } staff { id } } }"""
REVOKE = "mutation($i: RevokeGrantInput!) { revokeGrant(input: $i) { userErrors { code field } revokedId } }"


async def refusal(client: Client, who: str, document: str, **given: Any) -> str:
    """Return the one code a mutation was refused with, as an error or as data."""
    answer = await ask(client, who, document, i=given)
    (payload,) = (answer.get("data") or {"x": None}).values()
    found = codes(answer) + [error["code"] for error in (payload or {"userErrors": []})["userErrors"]]
    return found[0] if len(found) == 1 else f"not one refusal: {answer}"


async def test_nobody_climbs_by_giving_roles(client: Client) -> None:
    world = client.world
    await make_role(world, "EXPORTER", schema__introspect="allow")
    before = await snapshot(world)
    staff = {name: world.id("Staff", name) for name in world.staff}
    b1, b2 = world.id("Brand", "g1/b1"), world.id("Brand", "g1/b2")

    assert await refusal(client, "D1", GRANT, staffId=staff["D1"], role="BRAND_ADMIN", brandId=b1) == "FORBIDDEN"
    assert await refusal(client, "D1", GRANT, staffId=staff["S1"], role="DEALER_STAFF", brandId=b1) == "FORBIDDEN"
    assert await refusal(client, "B1", GRANT, staffId=staff["D1"], role="GROUP_ADMIN") == "FORBIDDEN"
    assert await refusal(client, "B1", GRANT, staffId=staff["D1"], role="DEALER_STAFF") == "FORBIDDEN"
    assert await refusal(client, "B1", GRANT, staffId=staff["D1"], role="GROUP_ADMIN", brandId=b1) == "FORBIDDEN"
    assert await refusal(client, "B1", GRANT, staffId=staff["D1"], role="EXPORTER", brandId=b1) == "FORBIDDEN"
    assert await refusal(client, "B1", GRANT, staffId=staff["B1"], role="BRAND_ANALYST", brandId=b1) == "FORBIDDEN"
    assert await refusal(client, "B1", GRANT, staffId=staff["HQ1"], role="BRAND_ANALYST", brandId=b1) == "NOT_FOUND"
    assert await refusal(client, "B1", GRANT, staffId=staff["B2"], role="BRAND_ANALYST", brandId=b1) == "NOT_FOUND"
    assert await refusal(client, "B1", GRANT, staffId=staff["D1"], role="BRAND_ANALYST", brandId=b2) == "NOT_FOUND"
    assert await refusal(client, "G2", GRANT, staffId=staff["D1"], role="BRAND_ANALYST") == "NOT_FOUND"
    assert await refusal(client, "HQ1", GRANT, staffId=staff["HQ1"], role="GROUP_ADMIN") == "FORBIDDEN"
    assert await refusal(client, "HQ1", GRANT, staffId=staff["D1"], role="FAN") == "FORBIDDEN"
    assert await refusal(client, "HQ1", GRANT, staffId=staff["D1"], role="NO_SUCH_ROLE") == "BAD_USER_INPUT"

    assert await snapshot(world) == before


async def test_a_node_that_is_foreign_is_refused_like_one_that_is_not(client: Client) -> None:
    world = client.world
    staff = world.id("Staff", "D1")

    for place, kind, name in (
        ("brandId", "Brand", "g1/b2"),
        ("brandId", "Brand", "g2/b1"),
        ("dealerId", "Dealer", "g1/b2/d1"),
    ):
        foreign = await ask(
            client, "B1", GRANT, i={"staffId": staff, "role": "DEALER_STAFF", place: world.id(kind, name)}
        )
        unused = await ask(
            client, "B1", GRANT, i={"staffId": staff, "role": "DEALER_STAFF", place: encode(kind, 2**40)}
        )
        assert foreign == unused
        assert foreign["data"]["grantRole"]["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", place]}]


async def test_a_node_is_named_by_one_path(client: Client) -> None:
    world = client.world
    before = await snapshot(world)

    code = await refusal(
        client,
        "HQ1",
        GRANT,
        staffId=world.id("Staff", "D1"),
        role="DEALER_STAFF",
        brandId=world.id("Brand", "g1/b2"),
        dealerId=world.id("Dealer", "g1/b1/d11"),
    )

    assert code == "NOT_FOUND"
    assert await snapshot(world) == before


async def test_nobody_unseats_their_superior(client: Client) -> None:
    world = client.world
    superior = await give(world, "B1READ", "GROUP_ADMIN", "g1/b1")
    above = await give(world, "B1READ", "GROUP_ANALYST", "g1")
    before = await snapshot(world)

    assert await refusal(client, "B1", REVOKE, grantId=encode("Grant", superior)) == "FORBIDDEN"
    assert await refusal(client, "B1", REVOKE, grantId=encode("Grant", above)) == "NOT_FOUND"
    assert await refusal(client, "D1", REVOKE, grantId=encode("Grant", superior)) == "FORBIDDEN"
    assert await refusal(client, "G2", REVOKE, grantId=encode("Grant", superior)) == "NOT_FOUND"

    assert await snapshot(world) == before


async def test_who_is_barred_somewhere_gives_no_right_that_reaches_there(client: Client) -> None:
    """C is an admin of the brand whom one dealer's personal data is closed to."""
    world = client.world
    await make_role(world, "CLOSED", fan__read_personal="deny")
    await hire(world, "C", ("BRAND_ADMIN", "g1/b1"), ("CLOSED", "g1/b1/d11"))
    b1, d1, d11 = (world.id(*k) for k in (("Brand", "g1/b1"), ("Dealer", "g1/b1/d1"), ("Dealer", "g1/b1/d11")))
    to = world.id("Staff", "S1")

    assert await refusal(client, "C", GRANT, staffId=to, role="BRAND_OPERATOR", brandId=b1) == "FORBIDDEN"
    assert await refusal(client, "C", GRANT, staffId=to, role="DEALER_MANAGER", dealerId=d11) == "FORBIDDEN"
    allowed = await ask(client, "C", GRANT, i={"staffId": to, "role": "DEALER_MANAGER", "dealerId": d1})
    assert allowed["data"]["grantRole"]["grant"]["dealer"] == {"code": "d1"}
    allowed = await ask(client, "C", GRANT, i={"staffId": to, "role": "BRAND_ANALYST", "brandId": b1})
    assert allowed["data"]["grantRole"]["grant"]["brand"] == {"code": "b1"}


async def test_who_is_barred_cannot_lift_the_bar(client: Client) -> None:
    world = client.world
    await make_role(world, "CLOSED", fan__read_personal="deny")
    await hire(world, "C", ("BRAND_ADMIN", "g1/b1"))
    bar = await give(world, "C", "CLOSED", "g1/b1/d11")
    fan = world.id("Fan", "g1/b1/d11#1")
    phone = "query($id: ID!) { fan(id: $id) { phone } }"

    assert await refusal(client, "C", REVOKE, grantId=encode("Grant", bar)) == "FORBIDDEN"
    assert "****" in (await ask(client, "C", phone, id=fan))["data"]["fan"]["phone"]

    lifted = await ask(client, "HQ1", REVOKE, i={"grantId": encode("Grant", bar)})
    assert lifted["data"]["revokeGrant"]["revokedId"] == encode("Grant", bar)
    assert "****" not in (await ask(client, "C", phone, id=fan))["data"]["fan"]["phone"]


async def test_a_phone_is_not_guessed_by_who_may_not_read_it(client: Client) -> None:
    """A masked phone has 10,000 candidates: a filter that confirms one would unmask it."""
    query = "query($f: FanFilterInput) { fans(first: 9, filter: $f) { totalCount } }"
    wanted = {"phone": f"1380000{sum(b'g1/b1/d1#1') % 10_000:04d}"}

    for filter in (wanted, {"or": [{"gender": "MALE"}, {"not": wanted}]}):
        assert await client.codes("ANALYST", query, f=filter) == ["FORBIDDEN"]
        assert await client.codes("S1", query, f=filter) == ["FORBIDDEN"]
        assert await client.codes("HQ1", query, f=filter) == []

    await make_role(client.world, "CLOSED", fan__read_personal="deny")
    await hire(client.world, "C", ("BRAND_ADMIN", "g1/b1"), ("CLOSED", "g1/b1/d1"))
    found = await ask(client, "C", query.replace("totalCount", "nodes { id }"), f=wanted)
    ids = {row["id"] for row in found["data"]["fans"]["nodes"]}
    assert not ids & client.world.fans_below("g1/b1/d1")


async def test_a_relation_without_its_right_is_forbidden_and_leaves_the_row_whole(client: Client) -> None:
    world = client.world
    await make_role(world, "FANS_ONLY", viewer__read="allow", fan__read="allow")
    await hire(world, "CLERK", ("FANS_ONLY", "g1/b1"))

    answer = await ask(
        client,
        "CLERK",
        """{ fans(first: 2) { nodes { id nickname phone brand { id } dealer { id }
          lastOrders { id } tags { name } referrer { id } } } }""",
    )

    assert set(codes(answer)) == {"FORBIDDEN"}
    assert {error["path"][-1] for error in answer["errors"]} == {"lastOrders", "tags", "referrer"}
    row = answer["data"]["fans"]["nodes"][0]
    assert (row["lastOrders"], row["tags"], row["referrer"], row["brand"], row["dealer"]) == (None,) * 5
    assert row["nickname"].startswith("粉丝 g1/b1/d1#")
    assert "****" in row["phone"]
    for field in ("orders", "tags", "brands", "staff", "cascades", "auditLog"):
        assert codes(await ask(client, "CLERK", f"{{ {field}{FIRST} }}")) == ["FORBIDDEN"]
    nodes = await ask(client, "CLERK", "query($id: ID!) { node(id: $id) { id } }", id=world.id("Tag", "g1/b1"))
    assert codes(nodes) == ["NOT_FOUND"]


async def test_a_right_to_write_at_one_node_writes_nothing_where_one_only_reads(client: Client) -> None:
    world = client.world
    await make_role(world, "CASHIER", order__write="allow")
    held = ("BRAND_ANALYST", "g1/b1"), ("DEALER_MANAGER", "g1/b1/d11"), ("CASHIER", "g1/b1/d11")
    await hire(world, "READER", *held)
    fan, tag = world.id("Fan", "g1/b1/d1#1"), world.id("Tag", "g1/b1")
    documents = [
        f"mutation($i: {name[0].upper()}{name[1:]}Input!) {{ {name}(input: $i) {{ userErrors {{ code field }} }} }}"
        for name in ("addFanTags", "removeFanTags")
    ]
    before = await snapshot(world)

    for document in documents:
        assert await refusal(client, "READER", document, fanIds=[fan], tagIds=[tag]) == "NOT_FOUND"
    create = "mutation($i: CreateTagInput!) { createTag(input: $i) { userErrors { code } } }"
    assert await refusal(client, "READER", create, name="x", brandId=world.id("Brand", "g1/b1")) == "FORBIDDEN"
    record = "mutation($i: RecordOrdersInput!) { recordOrders(input: $i) { userErrors { code } } }"
    who = {"kind": "EXTERNAL_ID", "value": "g1/b1/d1#1", "issuer": "test"}
    batch = {"brandId": world.id("Brand", "g1/b1"), "source": "x", "idempotencyKey": "x"}
    order = {"number": "1", "fan": who, "placedAt": "2026-01-01T00:00:00Z", "amount": "1"}
    assert await refusal(client, "READER", record, **batch, orders=[order]) == "NOT_FOUND"

    assert await snapshot(world) == before


async def test_a_role_of_ones_own_under_a_built_in_name_gives_nothing_more(client: Client) -> None:
    await make_role(client.world, "DEALER_STAFF", role__assign="allow", audit__read="allow")

    assert codes(await ask(client, "S1", f"{{ auditLog{FIRST} }}")) == ["FORBIDDEN"]


async def test_a_role_of_another_group_gives_nothing(client: Client) -> None:
    await make_role(client.world, "THEIRS", group="g2", viewer__read="allow", fan__read="allow")
    await hire(client.world, "X", ("THEIRS", "g1/b1"))

    assert not (await scope_of(client.world, "X")).permissions
    assert codes(await ask(client, "X", f"{{ fans{FIRST} }}")) == ["FORBIDDEN"]


async def test_a_fan_does_not_act_as_staff_nor_staff_as_a_fan(client: Client) -> None:
    fan, b1 = token_of(client.world, FAN), token_of(client.world, "B1")
    tag = 'mutation { createTag(input: {name: "x"}) { tag { id } } }'

    assert codes(await ask_with(client, fan, tag)) == ["UNAUTHENTICATED"]
    assert codes(await ask_with(client, b1, "{ me { nickname } }", "/fan/graphql")) == ["UNAUTHENTICATED"]
    assert codes(await ask_with(client, b1, "{ me { nickname } }")) == ["BAD_USER_INPUT"]
