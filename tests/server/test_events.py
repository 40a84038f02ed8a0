"""POST /events: arrays and lines, gzip and its bombs, who may send, and what each row became."""

import gzip
from typing import Any

import httpx
import orjson
import pytest

from tests.cast import snapshot
from tests.world import Client

WHO = [{"kind": "EXTERNAL_ID", "value": "g1/b1/d1#1", "issuer": "test"}]
JSONL = "application/x-ndjson"


def row(name: str = "h5_view", **more: Any) -> dict[str, Any]:
    return {"name": name, "identities": WHO, "occurredAt": "2026-02-01T08:00:00Z", **more}


async def post(
    client: Client, body: bytes, who: str | None = "SERVICE", brand: str | None = "g1/b1", **headers: str
) -> httpx.Response:
    sent = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if who is not None:
        sent["authorization"] = f"Bearer {client.world.token(who)}"
    query = {} if brand is None else {"brandId": client.world.id("Brand", brand)}
    return await client.http.post("/events", content=body, params=query, headers=sent)


def outcomes(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["outcome"] for result in answer.json()["results"]]


async def test_an_array_lines_and_gzip_say_the_same(client: Client) -> None:
    rows = [row(eventId=f"e{n}", properties={"n": n}) for n in range(3)]
    lines = b"\n".join(map(orjson.dumps, rows)) + b"\n\n"

    first = await post(client, orjson.dumps(rows))
    again = await post(client, lines, content_type=JSONL)
    zipped = await post(client, gzip.compress(lines), content_type=JSONL, content_encoding="gzip")
    twice = gzip.compress(lines) + gzip.compress(orjson.dumps(row(eventId="e9")))
    members = await post(client, twice, content_type="application/jsonl", content_encoding="gzip")

    assert outcomes(first) == ["STORED"] * 3
    assert first.json()["results"][0]["id"].startswith("RmFuRXZlbnQ6")
    assert outcomes(again) == outcomes(zipped) == ["DUPLICATE"] * 3
    assert outcomes(members) == ["DUPLICATE"] * 3 + ["STORED"]


async def test_each_row_has_its_own_refusal_by_name(client: Client) -> None:
    wrong: dict[str, Any] = {
        "name": {"name": 5},
        "occurredAt": {"occurredAt": "2026-02-01"},
        "accountId": {"accountId": "x"},
        "identities": {"identities": None},
        "identities.0.kind": {"identities": [{"kind": "x", "value": "y"}]},
        "identities.0.value": {"identities": [{"kind": "PHONE"}]},
        "identities.0.verified": {"identities": [{**WHO[0], "verified": "yes"}]},
        "properties": {"properties": [1]},
        "occured_at": {"occured_at": "2026-02-01T08:00:00Z"},
        "content": {"content": "x" * 129},
    }
    rows = [*(row(**part) for part in wrong.values()), "no object", row("no_such"), row(eventId="fine")]

    answer = await post(client, orjson.dumps(rows))

    assert outcomes(answer) == ["REJECTED"] * (len(rows) - 1) + ["STORED"]
    results = answer.json()["results"]
    assert [result["index"] for result in results] == list(range(len(rows)))
    assert [[e["field"] for e in result["errors"]] for result in results[:-3]] == [[field] for field in wrong]
    assert results[-2]["errors"][0]["code"] == "EVENT_NOT_DEFINED"


async def test_a_fan_sends_their_own_and_names_nobody(client: Client) -> None:
    rows = [{"name": "h5_view", "eventId": "1"}, row(), {"name": "order_paid"}]

    answer = await post(client, orjson.dumps(rows), who="g1/b1/d1#3", brand=None)

    assert outcomes(answer) == ["STORED", "REJECTED", "REJECTED"]
    assert answer.json()["results"][1]["errors"][0]["field"] == "identities"


@pytest.mark.parametrize(
    "who, brand, status, code",
    [
        (None, "g1/b1", 401, "UNAUTHENTICATED"),
        ("B1", "g1/b1", 401, "UNAUTHENTICATED"),
        ("SERVICE", "g1/b2", 404, "NOT_FOUND"),
        ("SERVICE", "g2/b1", 404, "NOT_FOUND"),
        ("SERVICE", None, 400, "BAD_USER_INPUT"),
    ],
)
async def test_who_may_not_send_is_refused_and_nothing_is_written(
    client: Client, who: str | None, brand: str | None, status: int, code: str
) -> None:
    before = await snapshot(client.world)

    answer = await post(client, orjson.dumps([row()]), who=who, brand=brand)

    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (status, code)
    assert await snapshot(client.world) == before


BOMB = gzip.compress(b" " * (64 << 20))


@pytest.mark.parametrize(
    "body, status, headers",
    [
        (b"", 400, {}),
        (b"{}", 400, {}),
        (b"[]", 400, {}),
        (b"[", 400, {}),
        (b'[{"name": "x", "name": "y"}]', 400, {}),
        (b'[{"name": NaN}]', 400, {}),
        (b'[{"name": "\\u0000"}]', 400, {}),
        (b"[" * 100_000, 400, {}),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", 413, {}),
        (b"{}\n" * 1001, 413, {"content_type": JSONL}),
        (b'{}\n{"a":\n', 400, {"content_type": JSONL}),
        (b" " * ((1 << 20) + 1), 413, {}),
        (BOMB, 413, {"content_encoding": "gzip"}),
        (BOMB[: len(BOMB) // 400], 400, {"content_encoding": "gzip"}),
        (b"no gzip", 400, {"content_encoding": "gzip"}),
        (b"[]", 415, {"content_encoding": "br"}),
        (b"[]", 415, {"content_type": "text/plain"}),
        (b"[]", 415, {"content_type": "application/json; charset=latin-1"}),
    ],
)
async def test_a_body_that_is_none_is_refused_before_anything_is_written(
    client: Client, body: bytes, status: int, headers: dict[str, str]
) -> None:
    before = await snapshot(client.world)

    answer = await post(client, body, **headers)

    assert answer.status_code == status, answer.text
    assert await snapshot(client.world) == before


async def test_only_a_post_is_taken(client: Client) -> None:
    answer = await client.http.get("/events")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_thousand_events_are_one_call(client: Client) -> None:
    rows = [row(eventId=f"e{n}") for n in range(1000)]

    assert outcomes(await post(client, orjson.dumps(rows))) == ["STORED"] * 1000
