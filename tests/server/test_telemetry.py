"""Logs are JSON lines, and nobody is called by name, number or token in them."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from domain.database import Database
from domain.scope import system_scope
from server.telemetry import RequestLines, configure_logging, places
from tests.conftest import CLUSTER, DATABASE
from tests.server.deployed import Deployment, Server
from tests.services import postgres
from tests.world import World

PHONE, OPENID, NICKNAME, TITLE = "13912345678", "oABCdef-open-id-42", "王小明的昵称", "某人的茶"
SECRETS = (PHONE, OPENID, NICKNAME, TITLE)
RECORD = """mutation($input: RecordOrdersInput!) {
  recordOrders(input: $input) { results { outcome } userErrors { code } } }"""
FIND = "query($phone: String!) { fans(first: 1, filter: { phone: $phone }) { nodes { phone nickname } } }"


async def drop(database_url: str, database: Database, table: str) -> None:
    """Take a table away under the running server, so that its statements fail."""
    if DATABASE == "postgresql":
        name = make_url(database_url).database
        assert name is not None
        database = Database(postgres.Cluster(os.environ[CLUSTER]).owner_url(name))
    async with database.writing(system_scope("test")) as session:
        await session.execute(text(f"DROP TABLE {table}"))
    if DATABASE == "postgresql":
        await database.dispose()


async def ask_with_secrets(server: Server, world: World, token: str, number: str) -> list[dict[str, Any]]:
    """Send requests that carry what no log may hold; return the answers."""
    order = {
        "number": number,
        "fan": {"kind": "OPENID", "value": OPENID, "issuer": "wx1"},
        "placedAt": "2026-06-01T08:00:00Z",
        "amount": "1.00",
        "lines": [{"title": TITLE, "quantity": 1, "amount": "1.00"}],
    }
    wanted = {"brandId": world.id("Brand", "g1/b1"), "source": "till", "idempotencyKey": number, "orders": [order]}
    return [
        await server.ask(token, RECORD, input=wanted),
        await server.ask(token, FIND, phone=PHONE),
        await server.ask(
            token, '{ fans(first: 1, filter: { phone: "' + PHONE + '" }) { nodes { x' + NICKNAME + " } } }"
        ),
        await server.ask(token, FIND, phone={"nickname": NICKNAME}),
        await server.ask(f"{token}x", "{ viewer { principal } }"),
        await server.ask(f"scrm_{OPENID}", "{ viewer { principal } }"),
    ]


def codes(answer: dict[str, Any]) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


@pytest.mark.slow
async def test_a_server_logs_json_lines_without_anything_personal_even_where_it_fails(
    deployment: Deployment, world: World, database: Database, database_url: str
) -> None:
    token = deployment.tokens.mint_staff("HQ1")

    async with deployment.having(SCRM_LOG_LEVEL="DEBUG").serving() as server:
        fine = await ask_with_secrets(server, world, token, "fine")
        with_token = await server.http.get("/graphql", params={"query": "{ viewer { principal } }", "token": token})
        await drop(database_url, database, "order_lines")
        await drop(database_url, database, "fan_tags")
        broken = await ask_with_secrets(server, world, token, "broken")
        tags = await server.ask(token, "{ fans(first: 1) { nodes { nickname tags { name } } } }")
        server.process.send_signal(signal.SIGTERM)
        assert await server.process.wait() == 0

    lines = server.log.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert codes(fine[0]) == []
    assert codes(broken[0]) == codes(tags) == ["INTERNAL"]
    assert isinstance(with_token, httpx.Response)
    assert all({"event", "level", "timestamp"} <= set(event) for event in events)
    assert len([event for event in events if event["event"] == "graphql_internal_error"]) == 2
    for secret in (*SECRETS, token, "粉丝"):
        assert [line for line in lines if secret in line or json.dumps(secret)[1:-1] in line] == []


async def test_an_error_of_the_database_does_not_quote_its_parameters(database: Database) -> None:
    broken = text("INSERT INTO fans (nickname) VALUES (:nickname)")

    with pytest.raises(DBAPIError) as failed:
        async with database.writing(system_scope("test")) as session:
            await session.execute(broken, {"nickname": NICKNAME})

    assert "parameters hidden" in str(failed.value)
    assert NICKNAME not in places((type(failed.value), failed.value, failed.value.__traceback__))
    assert "IntegrityError" in places((type(failed.value), failed.value, failed.value.__traceback__))


def raised(error: Exception) -> Any:
    try:
        try:
            raise ValueError(f"no such phone: {PHONE}")
        except ValueError as cause:
            raise error from cause
    except Exception:  # noqa: BLE001 (what the log is given)
        return sys.exc_info()


def test_an_exception_is_logged_by_kinds_and_places_down_its_whole_chain() -> None:
    lines = places(raised(KeyError(NICKNAME))).splitlines()

    assert [line for line in lines if not line.startswith("  ")] == ["builtins.KeyError", "builtins.ValueError"]
    assert all(__file__ in line and line.endswith(" raised") for line in lines if line.startswith("  "))


def test_what_an_exception_says_about_the_code_is_kept() -> None:
    first = places(raised(AttributeError("'NoneType' object has no attribute 'id'"))).splitlines()[0]

    assert first == "builtins.AttributeError: 'NoneType' object has no attribute 'id'"


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Give the process its logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_what_is_named_as_private_is_not_written(own_logging: None, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="INFO", as_json=True)

    logging.getLogger("test").warning("said", extra={"openid": OPENID})
    try:
        raise RuntimeError(PHONE)
    except RuntimeError:
        logging.getLogger("test").exception("failed")

    said, failed = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (said["event"], said["level"], said["logger"]) == ("said", "warning", "test")
    assert OPENID not in json.dumps(said)
    assert failed["exception"].startswith("builtins.RuntimeError\n")
    assert PHONE not in json.dumps(failed)


async def test_the_lines_of_requests_that_end_together_are_written_together_and_say_no_more_than_they_are_told() -> (
    None
):
    written: list[bytes] = []
    lines = RequestLines(written.append)

    said = {"event": "graphql_request", "endpoint": "staff", "operation": "Q"}

    for number in range(3):
        lines(**said, caller=f"staff:{number}", errors=[])
    assert written == []
    await asyncio.sleep(0.05)
    lines(**said, caller="staff:9", errors=["FORBIDDEN"], cost=3)
    lines.flush()
    await asyncio.sleep(0.05)

    found = [[json.loads(line) for line in block.splitlines()] for block in written]
    assert [[line["caller"] for line in block] for block in found] == [["staff:0", "staff:1", "staff:2"], ["staff:9"]]
    assert found[0][0].pop("timestamp").endswith("Z")
    assert found[0][0] == {**said, "logger": "graphql", "caller": "staff:0", "level": "info", "errors": []}
    assert (found[1][0]["errors"], found[1][0]["cost"]) == (["FORBIDDEN"], 3)
