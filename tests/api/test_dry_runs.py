"""Dry runs: whatever is written once a key can be tried first, and a trial leaves no trace, not even of its key."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import GraphQLInputField, GraphQLInputObjectType, build_schema, get_named_type, print_ast
from sqlalchemy import select
from strawberry import Schema

from domain.fans.models import Fan
from domain.tables import table_of
from schema import fan_schema, staff_schema
from schema.ids import encode
from tests.cast import EVERYTHING, changed, snapshot
from tests.mall import give_points, offer, redeem
from tests.world import Client

ME, TWIN = "g1/b1/d1#1", "g1/b1/d1#2"
MERGE = """mutation($i: MergePersonsInput!) { mergePersons(input: $i) { userErrors { code } merge { id } } }"""
fans = table_of(Fan)
Input = dict[str, Any]


def keyed_inputs(schema: Schema) -> dict[str, dict[str, GraphQLInputField]]:
    """Return the fields of every mutation's input that has a key, by the mutation."""
    mutations = build_schema(schema.as_str()).mutation_type
    assert mutations is not None
    inputs = {
        name: kind.fields
        for name, field in mutations.fields.items()
        for argument in field.args.values()
        if isinstance(kind := get_named_type(argument.type), GraphQLInputObjectType)
    }
    return {name: fields for name, fields in inputs.items() if "idempotencyKey" in fields}


def declared(field: GraphQLInputField) -> tuple[str, str | None]:
    """Return type and default of an input's field as they are printed."""
    default = None if field.ast_node is None else field.ast_node.default_value
    return str(field.type), None if default is None else print_ast(default)


@pytest.mark.parametrize(
    "build, one", [(staff_schema, "recordOrders"), (fan_schema, "redeemGiftForMe")], ids=["staff", "fan"]
)
def test_what_is_written_once_a_key_can_be_tried_first(build: Callable[[], Schema], one: str) -> None:
    found = keyed_inputs(build())

    assert one in found
    assert [name for name, fields in found.items() if "dryRun" not in fields] == []
    # who does not ask for a trial means it
    assert {declared(fields["dryRun"]) for fields in found.values()} == {("Boolean!", "false")}


async def ordered(client: Client, **given: Any) -> str:
    """Let the fan have ordered a gift and return the redemption's id."""
    gift = await offer(client, **given)
    await give_points(client.world, ME, 60)
    order = await redeem(client, gift, ME, **given)
    assert order["userErrors"] == []
    return str(order["redemption"]["redemptionId"])


async def to_fulfil(client: Client) -> Input:
    return {"redemptionId": await ordered(client), "idempotencyKey": "k", "carrier": "SF", "trackingNumber": "SF1"}


async def to_cancel(client: Client) -> Input:
    return {"redemptionId": await ordered(client), "idempotencyKey": "k", "reason": "out of colour"}


async def to_pay(client: Client) -> Input:
    paid = {"amount": "9.90", "paymentReference": "P1"}
    return {"redemptionId": await ordered(client, cash="9.90"), "idempotencyKey": "k", **paid}


async def to_redeem(client: Client) -> Input:
    gift = await offer(client)
    await give_points(client.world, ME, 100)
    delivery = {"recipient": "王芳", "phone": "13800001234", "address": "广州"}
    whom = {"fanId": client.world.id("Fan", ME), "giftId": gift}
    return {**whom, "points": 60, "delivery": delivery, "idempotencyKey": "k"}


async def to_refund(client: Client) -> Input:
    # what the world sold to the fan, for 10 yuan
    rows = [{"orderNumber": ME, "number": "R1", "amount": "4.00"}]
    place = {"brandId": client.world.id("Brand", "g1/b1"), "source": "test"}
    return {**place, "refunds": rows, "idempotencyKey": "k"}


async def to_unmerge(client: Client) -> Input:
    async with client.world.services.database.reading(EVERYTHING) as session:
        found = [
            encode("Person", (await session.execute(select(fans.c.person_id).where(fans.c.id == fan))).scalar_one())
            for fan in (client.world.fans[ME], client.world.fans[TWIN])
        ]
    wanted = dict(zip(("survivorId", "absorbedId"), found, strict=True))
    merged = (await client.data("HQ1", MERGE, i=wanted))["mergePersons"]
    assert merged["userErrors"] == []
    return {"mergeId": merged["merge"]["id"], "later": "ABSORBED", "note": "two humans"}


@dataclass(frozen=True)
class Trial:
    """A mutation, how the stage is set for it, what is asked of its answer and is the same of a trial."""

    mutation: str
    prepare: Callable[[Client], Awaitable[Input]]
    shown: str
    told: dict[str, Any]
    written: frozenset[str]
    who: str = "B1"

    @property
    def document(self) -> str:
        """The mutation as it is sent."""
        kind = self.mutation[0].upper() + self.mutation[1:]
        answer = f"userErrors {{ code field }} {self.shown}"
        return f"mutation($i: {kind}Input!) {{ {self.mutation}(input: $i) {{ {answer} }} }}"


SENT = {"state": "FULFILLED", "carrier": "SF", "trackingNumber": "SF1"}
CANCELLED = {"state": "CANCELLED", "cancelReason": "out of colour"}
TRIALS = [
    Trial(
        "fulfilRedemption",
        to_fulfil,
        "replayed redemption { state carrier trackingNumber }",
        {"replayed": False, "redemption": SENT},
        frozenset({"redemptions", "idempotency", "point_accounts", "audit_log"}),
    ),
    Trial(
        "cancelRedemption",
        to_cancel,
        "replayed redemption { state cancelReason }",
        {"replayed": False, "redemption": CANCELLED},
        frozenset({"redemptions", "gifts", "idempotency", "point_accounts", "audit_log"}),
    ),
    Trial(
        "recordRedemptionPayment",
        to_pay,
        "replayed redemption { state payUntil cash { amount } }",
        {"replayed": False, "redemption": {"state": "CREATED", "payUntil": None, "cash": {"amount": "9.90"}}},
        frozenset({"redemptions", "idempotency", "audit_log"}),
    ),
    Trial(
        "redeemGift",
        to_redeem,
        "replayed points balance",
        {"replayed": False, "points": 60, "balance": 40},
        frozenset({"redemptions", "gifts", "idempotency", "point_accounts", "audit_log"}),
    ),
    Trial(
        "recordOrderRefunds",
        to_refund,
        "replayed results { index outcome userErrors { code } }",
        {"replayed": False, "results": [{"index": 0, "outcome": "CREATED", "userErrors": []}]},
        frozenset({"order_refunds", "orders", "idempotency", "audit_log"}),
    ),
    Trial(
        "unmergePersons",
        to_unmerge,
        "merge { undoneNote laterWentTo }",
        {"merge": {"undoneNote": "two humans", "laterWentTo": "ABSORBED"}},
        frozenset({"person_merges", "fans", "audit_log"}),
        who="HQ1",
    ),
]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.mutation)
async def test_a_trial_tells_what_would_happen_writes_nothing_and_is_followed_by_the_deed(
    client: Client, trial: Trial
) -> None:
    given = await trial.prepare(client)
    before = await snapshot(client.world)

    tried = (await client.data(trial.who, trial.document, i={**given, "dryRun": True}))[trial.mutation]

    assert tried == {"userErrors": [], **trial.told}
    assert changed(before, await snapshot(client.world)) == set()
    # the trial burnt no key: the same input under the same key is done now, and not told to have been done before
    done = (await client.data(trial.who, trial.document, i=given))[trial.mutation]
    assert done == tried
    assert changed(before, await snapshot(client.world)) >= trial.written


async def test_a_trial_of_an_order_of_a_gift_shows_none_as_there_is_none(client: Client) -> None:
    given = await to_redeem(client)
    document = "mutation($i: RedeemGiftInput!) { redeemGift(input: $i) { redemption { state } } }"

    tried = await client.data("B1", document, i={**given, "dryRun": True})
    done = await client.data("B1", document, i=given)

    assert tried["redeemGift"]["redemption"] is None
    assert done["redeemGift"]["redemption"] == {"state": "CREATED"}


async def test_a_trial_of_a_refund_shows_no_order_as_it_would_be(client: Client) -> None:
    given = await to_refund(client)
    document = """mutation($i: RecordOrderRefundsInput!) { recordOrderRefunds(input: $i) {
      results { order { refunded { amount } } } } }"""

    tried = await client.data("SERVICE", document, i={**given, "dryRun": True})
    done = await client.data("SERVICE", document, i=given)

    assert tried["recordOrderRefunds"]["results"] == [{"order": None}]
    assert done["recordOrderRefunds"]["results"] == [{"order": {"refunded": {"amount": "4.00"}}}]
