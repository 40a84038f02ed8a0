"""Tenant isolation (T01 to T14, T30): whatever a caller asks, they see what the paths of the world let them see."""

import base64
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson
import pytest
from graphql import GraphQLObjectType
from sqlalchemy import insert, true

from domain import clock
from domain.events.models import EventDefinition
from domain.levels.models import Level
from domain.points.earning.models import PointRule
from domain.points.ledger.adjusting import Adjustment, adjust
from domain.points.programme.queries import programme_of
from domain.scope import TenantSet, system_scope
from domain.tables import table_of
from graph.shares import ShareEdge, upsert_shares
from schema import fan_schema, staff_schema
from schema.ids import decode, encode
from server.settings import Settings
from tests.attack.documents import branches, entities, ids_in, inputs_of, lists, selections
from tests.cast import ask, codes, hire, make_role, snapshot
from tests.mall import sell_everywhere
from tests.oracle import Oracle, oracle_of
from tests.world import STAFF, Client, World, client_of

STAFF_SCHEMA = staff_schema()._schema
FAN_SCHEMA = fan_schema()._schema
CALLERS = [*(name for name, (role, _) in STAFF.items() if role), "SERVICE"]
ADMINS = ("HQ1", "B1", "B2", "B10", "G2")
GROUP_ADMINS = ("HQ1", "G2")
# kinds that not everybody reads
READERS = {
    **dict.fromkeys(("Staff", "Job"), ADMINS),
    **dict.fromkeys(("Person", "IdentityConflict", "PersonMerge", "BlockedIdentity"), GROUP_ADMINS),
}
# each has a test of its own: what they list has no id, or they list what is of one fan
NOT_LISTED = {"auditLog", "consentRecords", "erasures", "events", "pointGrants", "pointTransfers", "tasks", "timeline"}
UNSEEN = 2**40
# what is kept at a brand is walled at the brand: a dealer's own code decides what of it belongs to the dealer
EXACTLY_WALLED = ("Fan", "Order", "Redemption")


async def page_through(client: Client, who: str, name: str, size: int = 7) -> tuple[list[int], int]:
    """Return the numbers of all rows of a list, page by page, and the total it promises."""
    query = f"""query($after: String) {{ {name}(first: {size}, after: $after) {{
      nodes {{ id }} totalCount pageInfo {{ hasNextPage endCursor }} }} }}"""
    found: list[int] = []
    cursor = None
    while True:
        page = (await client.data(who, query, after=cursor))[name]
        found += [decode(row["id"], "id")[1] for row in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return found, page["totalCount"]


def listed() -> dict[str, GraphQLObjectType]:
    """Return the lists whose rows have ids."""
    found = lists(STAFF_SCHEMA)
    assert set(found) - NOT_LISTED == {name for name, row in found.items() if "id" in row.fields} - NOT_LISTED
    return {name: row for name, row in found.items() if name not in NOT_LISTED}


async def furnish(world: World) -> None:
    """Give every brand a definition of an event, a rule for points and a gift, and every fan an order of it."""
    owners = {number: path.partition("/")[0] for path, number in world.nodes.items() if path.count("/") == 1}
    places: list[dict[str, Any]] = [
        {"group_id": world.nodes[group], "brand_id": brand} for brand, group in owners.items()
    ]
    rule: dict[str, Any] = {"code": "taste", "name": "taste", "module": "test", "event": "taste", "points": 1}
    rule["starts_at"] = clock.now()
    async with world.services.database.writing(system_scope("test")) as session:
        await session.execute(insert(table_of(EventDefinition)), [{**place, "name": "taste"} for place in places])
        session.add_all(Level(**place, code="GOLD", name="Gold", growth=5, rank=1) for place in places)
        session.add_all(PointRule(**place, **rule) for place in places)
    await sell_everywhere(world)
    async with world.services.database.writing(system_scope("test")) as session:
        for place, fan in world.fans.items():
            programme = await programme_of(session, world.nodes["/".join(place.split("/")[:2])])
            await adjust(session, programme, Adjustment(fan, "taste", 1), actor="test")


async def test_every_list_shows_every_caller_exactly_what_the_paths_say(client: Client) -> None:
    await furnish(client.world)
    oracle = await oracle_of(client.world)

    for name, row in listed().items():
        for who in READERS.get(row.name, CALLERS):
            found, total = await page_through(client, who, name)

            assert len(found) == len(set(found)) == total, (name, who)
            assert set(found) == oracle.seen(who, row.name), (name, who)


async def test_the_audit_log_shows_each_its_own_brand(client: Client) -> None:
    for who, place in (("B1", "g1/b1/d1#1"), ("B2", "g1/b2/d1#1"), ("G2", "g2/b1/d1#1")):
        await client.data(who, "query($id: ID!) { fan(id: $id) { phone } }", id=client.world.id("Fan", place))

    query = "{ auditLog(first: 100) { totalCount nodes { principal detail } } }"
    seen = {who: (await client.data(who, query))["auditLog"] for who in ("B1", "B10", "HQ1", "G2")}

    ours = {who: client.world.staff[who] for who in ("B1", "B2", "G2")}
    readers = {who: {row["principal"] for row in log["nodes"]} - {"test"} for who, log in seen.items()}
    assert readers == {
        "B1": {f"staff:{ours['B1']}"},
        "B10": set(),
        "HQ1": {f"staff:{ours['B1']}", f"staff:{ours['B2']}"},
        "G2": {f"staff:{ours['G2']}"},
    }
    assert all(log["totalCount"] == len(log["nodes"]) for log in seen.values())


def by_id_fields() -> dict[str, str]:
    """Return the fields of Query that take one id, with the kind they answer."""
    assert STAFF_SCHEMA.query_type
    fields = STAFF_SCHEMA.query_type.fields
    return {name: name.capitalize() for name, field in fields.items() if set(field.args) == {"id"} and name != "node"}


async def test_what_is_foreign_answers_like_what_does_not_exist(client: Client) -> None:
    await furnish(client.world)
    oracle = await oracle_of(client.world)
    kinds = sorted(set(oracle.paths) - {"Staff"})

    for who in CALLERS:
        for kind in kinds:
            for field in ["node", *(name for name, answers in by_id_fields().items() if answers == kind)]:
                query = f"query($id: ID!) {{ {field}(id: $id) {{ id __typename }} }}"
                unused = await client.ask(who, query, id=encode(kind, UNSEEN))
                for number in oracle.paths[kind]:
                    found = await client.ask(who, query, id=encode(kind, number))
                    if who in READERS.get(kind, CALLERS) and oracle.sees(who, kind, number):
                        assert found["data"] == {field: {"id": encode(kind, number), "__typename": kind}}
                    else:
                        assert found == unused, (who, kind, number)
                may_ask = field == "node" or who in READERS.get(kind, CALLERS)
                assert codes(unused) == ["NOT_FOUND" if may_ask else "FORBIDDEN"]
                assert unused["data"] == {field: None}


async def test_an_id_of_another_type_is_not_found_and_a_malformed_one_is_bad_input(client: Client) -> None:
    order = encode("Order", client.world.fans["g1/b1/d1#1"])
    assert await client.codes("B1", "query($id: ID!) { fan(id: $id) { id } }", id=order) == ["NOT_FOUND"]
    assert await client.codes("B1", "query($id: ID!) { node(id: $id) { id } }", id=encode("Staff", 1)) == ["NOT_FOUND"]

    def shaped(plain: str) -> str:
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    wrong = ["", "1", "%%%", "Fan:1", "RmFu", "\u4f60", "A" * 10_000]
    wrong += map(
        shaped, ["Fan:1' OR 1=1", "Fan:-1", "Fan:1.5", f"Fan:{2**63}", "Fan:" + "9" * 5000, "Fan:\u0661", ":1", "Fan:"]
    )
    for field in ("fan", "node", "order", "brand", "cascade"):
        bodies = []
        for text in wrong:
            body = await client.ask("B1", f"query($id: ID!) {{ {field}(id: $id) {{ id }} }}", id=text)
            assert codes(body) == ["BAD_USER_INPUT"], text
            bodies.append({**body, "extensions": None})
        assert all(body == bodies[0] for body in bodies)


async def test_nodes_keep_their_order_and_leave_null_for_what_is_not_there(client: Client) -> None:
    mine, theirs = client.world.id("Fan", "g1/b1/d1#1"), client.world.id("Fan", "g1/b2/d1#1")
    tag = client.world.id("Tag", "g1/b1")

    found = await client.data(
        "B1", "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[mine, theirs, tag, mine, encode("Fan", UNSEEN)]
    )

    assert found["nodes"] == [{"id": mine}, None, {"id": tag}, {"id": mine}, None]


def walks() -> Iterator[tuple[str, str]]:
    """Yield a list field and a selection, until every path of four relations from every entity has been taken."""
    for name, row in listed().items():
        yield name, selections(row, 2)
        for selection in branches(row, 4):
            yield name, selection


@pytest.mark.parametrize("who", ["HQ1", "B1", "D1", "S1", "SERVICE"])
async def test_no_path_through_the_schema_leads_out_of_scope(world: World, plain_settings: Settings, who: str) -> None:
    await furnish(world)
    oracle = await oracle_of(world)
    roomy = plain_settings.model_copy(update={"max_cost": 10**9})
    seen: set[tuple[str, int]] = set()

    async with client_of(world, roomy) as client:
        for name, selection in walks():
            answer = await client.ask(who, f"{{ {name}(first: 20) {{ nodes {{ {selection} }} }} }}")

            assert set(codes(answer)) <= {"FORBIDDEN", "UNAVAILABLE"}, (name, selection, answer["errors"][:1])
            found = {(kind, number) for kind, number in ids_in(answer["data"]) if kind != "Grant"}
            outside = {(kind, number) for kind, number in found if not oracle.sees(who, kind, number)}
            assert not outside, (name, selection, outside)
            seen |= found

    assert {kind for kind, _ in seen} >= {"Fan", "Brand", "Dealer", "Tag", "Cascade"}
    assert entities(STAFF_SCHEMA) == {*oracle.paths, "Grant"}


async def test_a_dealer_who_climbs_to_the_brand_comes_no_further(client: Client) -> None:
    oracle = await oracle_of(client.world)
    query = """{ orders(first: 50) { nodes { id fan { id dealer { id brand { id group { id } } }
      referrer { id lastOrders(first: 9) { id fan { id } } } } } } }"""

    for who in ("D1", "D11"):
        found = set(ids_in(await client.data(who, query)))

        assert found
        assert all(oracle.sees(who, kind, number) for kind, number in found)


async def test_thirty_guessed_ids_in_one_document_show_only_what_is_in_scope(client: Client) -> None:
    oracle = await oracle_of(client.world)
    lowest = min(client.world.fans.values())
    guesses = range(lowest, lowest + 30)

    for start in range(0, 30, 10):
        part = guesses[start : start + 10]
        query = "{ " + " ".join(f'a{n}: fan(id: "{encode("Fan", n)}") {{ id }}' for n in part) + " }"
        for who in ("B1", "D1", "B10", "S1"):
            data = (await client.ask(who, query))["data"]
            shown = {int(alias[1:]) for alias, row in data.items() if row}
            assert shown == oracle.seen(who, "Fan") & set(part)


async def test_a_filter_cannot_ask_about_what_is_out_of_scope(client: Client) -> None:
    query = "query($f: FanFilterInput) { fans(first: 50, filter: $f) { totalCount nodes { id } } }"
    world = client.world

    def phone(name: str) -> str:
        return f"1380000{sum(name.encode()) % 10_000:04d}"

    for name in world.fans:
        own = {n for n in world.fans if n.startswith("g1/b1/") and phone(n) == phone(name)}
        found = (await client.data("B1", query, f={"phone": phone(name)}))["fans"]
        assert {row["id"] for row in found["nodes"]} == {world.id("Fan", n) for n in own}
        assert found["totalCount"] == len(own)

    for wanted in (
        {"brandId": world.id("Brand", "g1/b2")},
        {"dealerId": world.id("Dealer", "g1/b10/d1")},
        {"or": [{"brandId": world.id("Brand", "g1/b2")}, {"brandId": world.id("Brand", "g2/b1")}]},
    ):
        found = (await client.data("B1", query, f=wanted))["fans"]
        assert found == {"totalCount": 0, "nodes": []}
    everyone = (await client.data("B1", query, f={"not": {"brandId": world.id("Brand", "g1/b1")}}))["fans"]
    assert everyone["totalCount"] == 0

    foreign = await client.ask("B1", query, f={"tagId": world.id("Tag", "g1/b2")})
    unused = await client.ask("B1", query, f={"tagId": encode("Tag", UNSEEN)})
    assert codes(foreign) == ["BAD_USER_INPUT"]
    assert foreign == unused


async def test_filters_of_other_lists_stay_in_scope_too(client: Client) -> None:
    world = client.world
    b2, d1 = world.id("Brand", "g1/b2"), world.id("Dealer", "g1/b2/d1")
    f2 = world.id("Fan", "g1/b2/d1#1")

    for arguments in (f'brandId: "{b2}"', f'dealerId: "{d1}"', f'fanId: "{f2}"', 'number: "g1/b2/d1#1"'):
        query = f"{{ orders(first: 9, filter: {{ {arguments} }}) {{ totalCount nodes {{ id }} }} }}"
        assert (await client.data("B1", query))["orders"] == {"totalCount": 0, "nodes": []}
    for name, arguments in (
        ("dealers", f'brandId: "{b2}"'),
        ("stores", f'dealerId: "{d1}"'),
        ("cascades", f'brandId: "{b2}"'),
        ("cascades", 'source: "g1/b2/d1"'),
        ("channelAccounts", f'brandId: "{b2}"'),
    ):
        query = f"{{ {name}(first: 9, {arguments}) {{ totalCount nodes {{ id }} }} }}"
        assert (await client.data("B1", query))[name] == {"totalCount": 0, "nodes": []}
    tags = (await client.data("B1", f'{{ tags(first: 9, brandId: "{b2}") {{ nodes {{ id }} }} }}'))["tags"]
    assert tags["nodes"] == [{"id": world.id("Tag", "g1")}]


async def test_a_cursor_carries_no_rights(client: Client) -> None:
    oracle = await oracle_of(client.world)
    query = """query($after: String, $order: FanSort!) { fans(first: 50, after: $after, orderBy: $order) {
      nodes { id } pageInfo { endCursor } } }"""
    one = query.replace("50", "1")
    for order in ("ID_ASC", "ID_DESC", "SPEND_DESC"):
        cursor = (await client.data("B2", one, order=order))["fans"]["pageInfo"]["endCursor"]

        found = await client.data("B1", query, after=cursor, order=order)

        assert {number for _, number in ids_in(found)} <= oracle.seen("B1", "Fan")


EDITED: list[Any] = [
    5, None, {}, [], "x", ["id"], ["id", None], ["id", "1"], ["id", True], ["id", 1.5], ["id", 1, 1], ["id", 2**63],
    ["id", [1]], ["-id", 1], [["id"], 1], ["-spend", 1], ["placed", "2026-01-01T00:00:00+00:00"],
    ["-placed", "2026-01-01T00:00:00", 1], ["-placed", 5, 1], ["-placed", "yesterday", 1],
    ["-placed", "0001-01-01T00:00:00+14:00", 1], ["-placed", "9999-12-31T23:59:59-14:00", 1], {"id": 1},
]  # fmt: skip


async def test_an_edited_cursor_is_refused(client: Client) -> None:
    for content in EDITED:
        cursor = base64.urlsafe_b64encode(orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)).decode().rstrip("=")
        fans = "query($after: String) { fans(first: 2, after: $after) { nodes { id } } }"
        orders = "query($before: String) { orders(last: 2, before: $before) { nodes { id } } }"

        assert await client.codes("B1", fans, after=cursor) == ["BAD_USER_INPUT"], content
        assert await client.codes("B1", orders, before=cursor) == ["BAD_USER_INPUT"], content


async def test_fan_tags_are_added_to_all_fans_or_to_none(client: Client) -> None:
    world = client.world
    mutation = """mutation($fans: [ID!]!, $tags: [ID!]!) { addFanTags(input: {fanIds: $fans, tagIds: $tags}) {
      userErrors { code field } fans { id } } }"""
    f1, f2 = world.id("Fan", "g1/b1/d1#1"), world.id("Fan", "g1/b2/d1#1")
    before = await snapshot(world)

    for who, fans, tag, code, field in (
        ("B1", [f1, f2], "g1/b1", "NOT_FOUND", ["input", "fanIds", "1"]),
        ("B1", [f1], "g1/b2", "NOT_FOUND", ["input", "tagIds", "0"]),
        ("D1", [f1, world.id("Fan", "g1/b1/d11#1")], "g1/b1", "NOT_FOUND", ["input", "fanIds", "1"]),
        ("HQ1", [f1, f2], "g1/b1", "TAG_OF_ANOTHER_BRAND", ["input", "tagIds"]),
    ):
        answer = await client.data(who, mutation, fans=fans, tags=[world.id("Tag", tag)])
        assert answer["addFanTags"] == {"userErrors": [{"code": code, "field": field}], "fans": None}

    assert await snapshot(world) == before


async def test_inputs_have_no_field_that_moves_or_promotes(client: Client) -> None:
    before = await snapshot(client.world)

    for who, document in (
        ("g1/b1/d1#1", 'mutation { updateMe(input: {nickname: "x", brandId: "1"}) { me { nickname } } }'),
        ("g1/b1/d1#1", "mutation { updateMe(input: {spend: 5}) { me { nickname } } }"),
        ("B1", 'mutation { createTag(input: {name: "x", groupId: "1"}) { tag { id } } }'),
        ("B1", "mutation { addFanTags(input: {fanIds: [], tagIds: [], weight: 9}) { fans { id } } }"),
    ):
        assert set(await client.codes(who, document)) == {"BAD_USER_INPUT"}

    assert await snapshot(client.world) == before


async def test_the_fan_schema_knows_no_other_fan(client: Client) -> None:
    given = {where for where, kind in inputs_of(FAN_SCHEMA) if kind == "ID"}
    # a job and a redemption are one's own or not there (tests/api/test_export_my_data.py, test_redemptions.py);
    # attribute, account and gift are the brand's
    assert given == {
        "LoginForDevelopmentInput.brandId",
        "Query.myJob(id)",
        "Query.myRedemption(id)",
        "CancelMyRedemptionInput.redemptionId",
        "Query.giftOffer(id)",
        "RedeemGiftForMeInput.giftId",
        "AttributeValueInput.attributeId",
        "EventContentInput.accountId",
    }
    assert entities(FAN_SCHEMA) == {"MyJob"}
    assert not {"Fan", "FanConnection", "Order", "Node"} & set(FAN_SCHEMA.type_map)

    query = "{ me { nickname } myOrders(first: 100) { totalCount nodes { number } } }"
    for name in client.world.fans:
        assert await client.data(name, query) == {
            "me": {"nickname": f"粉丝 {name}"},
            "myOrders": {"totalCount": 1, "nodes": [{"number": name}]},
        }


async def test_a_path_shows_the_fans_in_scope_and_only_counts_the_others(graph_client: Client) -> None:
    """A content goes from one dealer's fan over the other dealer's to the first one's again."""
    world, graph = graph_client.world, graph_client.world.services.graph
    way = ["g1/b1/d1#1", "g1/b1/d11#1", "g1/b1/d11#2", "g1/b1/d1#2"]
    cascade, brand = world.cascades["g1/b1/d1"], world.nodes["g1/b1"]
    touched = pairwise(way)
    await graph.write("MATCH ()-[e:SHARED]->() WHERE e.cascade = $cascade DELETE e", {"cascade": cascade})
    await upsert_shares(graph, [ShareEdge(brand, cascade, world.fans[a], world.fans[b], 0) for a, b in touched])
    await make_role(world, "SHAPES", graph__read="allow")
    await hire(world, "LOOKER", ("DEALER_STAFF", "g1/b1/d1"), ("SHAPES", "g1/b1"))
    query = """query($id: ID!, $fan: ID!) { cascade(id: $id) {
      seed { id } shape { fanCount } path(fanId: $fan) { position fan { id } } } }"""
    ids = [{"id": world.id("Fan", name)} for name in way]

    for who, shown in (("B1READ", ids), ("LOOKER", [ids[0], None, None, ids[3]])):
        found = await ask(graph_client, who, query, id=world.id("Cascade", "g1/b1/d1"), fan=ids[3]["id"])
        assert found["data"]["cascade"] == {
            "seed": ids[0],
            "shape": {"fanCount": 4},
            "path": [{"position": n, "fan": fan} for n, fan in enumerate(shown)],
        }
    for fan in (ids[1]["id"], encode("Fan", UNSEEN), world.id("Fan", "g1/b2/d1#1")):
        found = await ask(graph_client, "LOOKER", query, id=world.id("Cascade", "g1/b1/d1"), fan=fan)
        assert codes(found) == ["NOT_FOUND"]
        assert found["data"]["cascade"] == {"seed": ids[0], "shape": {"fanCount": 4}, "path": None}


@pytest.mark.parametrize("who", ["B1", "D1", "S1"])
@pytest.mark.postgresql
async def test_without_the_predicates_row_level_security_still_holds(
    client: Client, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    await furnish(client.world)
    oracle = await oracle_of(client.world)
    brand = Oracle(oracle.paths, {who: "g1/b1"})
    for name in ("where", "where_shared"):
        monkeypatch.setattr(TenantSet, name, lambda self, table, source=None: true())

    for name, row in listed().items():
        if row.name == "Staff" or who not in READERS.get(row.name, CALLERS):
            continue
        found, total = await page_through(client, who, name, size=100)

        judge = oracle if row.name in EXACTLY_WALLED else brand
        assert set(found) == judge.seen(who, row.name), name
        assert total == len(found)
    for kind in EXACTLY_WALLED:
        for number in set(oracle.paths[kind]) - oracle.seen(who, kind):
            query = "query($id: ID!) { node(id: $id) { id } }"
            assert await client.codes(who, query, id=encode(kind, number)) == ["NOT_FOUND"]


async def test_a_right_held_at_one_node_does_not_open_fans_seen_through_another(client: Client) -> None:
    """A caller reads fans in the whole brand, and tags and invitations at one dealer only."""
    world = client.world
    await hire(world, "MIXED", ("LIST", "g1/b1"), ("DEALER_STAFF", "g1/b1/d1"))
    await make_role(world, "LIST", viewer__read="allow", fan__read="allow")
    query = "query($id: ID!) { fan(id: $id) { id tags { tagId } lastOrders { id } referrer { id } } }"

    inside = await ask(client, "MIXED", query, id=world.id("Fan", "g1/b1/d1#2"))
    outside = await ask(client, "MIXED", query, id=world.id("Fan", "g1/b1/d11#2"))

    assert len(inside["data"]["fan"]["tags"]) == 2
    assert inside["data"]["fan"]["referrer"] == {"id": world.id("Fan", "g1/b1/d1#1")}
    fan = outside["data"]["fan"]
    assert fan["id"] == world.id("Fan", "g1/b1/d11#2")
    assert not fan["tags"]
    assert not fan["lastOrders"]
    assert fan["referrer"] is None
    filtered = await ask(
        client,
        "MIXED",
        "query($f: FanFilterInput) { fans(first: 50, filter: $f) { nodes { id } } }",
        f={"tagId": world.id("Tag", "g1/b1")},
    )
    assert {row["id"] for row in filtered["data"]["fans"]["nodes"]} == world.fans_below("g1/b1/d1")
