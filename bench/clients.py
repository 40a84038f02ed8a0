"""32 clients at once for a minute: reads and writes of every kind of caller, and no answer may be a 5xx.

    python -m bench.clients [--seconds 60] [--clients 32] [--database sqlite|postgresql]

The server is a process of its own on the demo data, with the embedded graph and the projector on.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from authz.tokens import Tokens
from bench.bars import Bars
from server.commands.settings import run
from server.demo import DemoResult, load
from server.runtime import database_of
from server.settings import Settings
from tests.services import postgres

FANS = """query($first: Int!) { fans(first: $first, orderBy: SPEND_DESC) {
  nodes { id nickname spend { amount } tags { name } lastOrders { number amount { amount } } } } }"""
CASCADES = "{ cascades(first: 5) { nodes { size shape { depth breadth { number fanCount } } } } }"
ME = "{ me { nickname spend { amount } } myOrders(first: 3) { nodes { number } } }"
RECORD = """mutation($input: RecordOrdersInput!) { recordOrders(input: $input) {
  replayed results { outcome } userErrors { code } } }"""
TAG = """mutation($input: AddFanTagsInput!) { addFanTags(input: $input) { fans { id tags { count } }
  userErrors { code } } }"""
START_SECONDS = 60


class Silent:
    """Progress nobody watches."""

    def advance(self, stage: str, done: int, total: int) -> None:
        """Say nothing."""


def main() -> None:
    """Run the bench and exit with 1 where its bar falls short."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--clients", type=int, default=32)
    options.add_argument("--scale", type=float, default=0.1)
    options.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    given = options.parse_args()
    bars = Bars()
    with deployment(given.database) as settings:
        demo = run(_load(settings, given.scale))
        found, elapsed = run(_measure(settings, demo, given.clients, given.seconds))
    total, failed = sum(found.values()), sum(n for code, n in found.items() if code.startswith("5"))
    print(f"{given.database}: {total} answers in {elapsed:.0f} s ({total / elapsed:.0f}/s), by status and code:")
    for code, count in sorted(found.items()):
        print(f"  {code}: {count}")
    enough = total >= given.clients * 10
    bars.judge(f"no 5xx on {given.database}", f"{failed} of {total}", "0", holds=failed == 0 and enough)
    bars.end()


@contextmanager
def deployment(database: str) -> Iterator[Settings]:
    """Yield the settings of a throw-away deployment with a migrated, empty database."""
    import migrations  # noqa: PLC0415 (Alembic is only wanted here)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        owner = url = f"sqlite+aiosqlite:///{folder / 'scrm.db'}"
        if database == "postgresql":
            cluster = stack.enter_context(postgres.running(durable=True))
            cluster.create("scrm")
            owner, url = cluster.owner_url("scrm"), cluster.app_url("scrm")
        migrations.upgrade(owner)
        if database == "postgresql":
            migrations.allow(owner, postgres.APP)
        yield Settings(_env_file=None, data_dir=folder, database_url=url, port=free_port(), bucket_size=10**9)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _load(settings: Settings, scale: float) -> DemoResult:
    async with database_of(settings) as (database, vault):
        return await load(database, vault, Silent(), scale=scale)


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment that gives another process these settings."""
    chosen = {
        "SCRM_DATA_DIR": str(settings.data_dir),
        "SCRM_DATABASE_URL": settings.database_url,
        "SCRM_PORT": str(settings.port),
        "SCRM_BUCKET_SIZE": str(settings.bucket_size),
        "SCRM_LOG_LEVEL": "WARNING",
    }
    return {**os.environ, **chosen}


async def _measure(settings: Settings, demo: DemoResult, clients: int, seconds: float) -> tuple[Counter[str], float]:
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "server", "serve", env=environment(settings))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", timeout=30) as http:
            await _until_alive(http)
            tokens = Tokens(settings.tokens)
            staff = [tokens.mint_staff(subject) for subject in demo.staff.values()]
            fan = tokens.mint_fan(demo.fan.fan_id, demo.fan.brand_id, demo.fan.group_id)
            known = await _known(http, staff[0])
            started = time.monotonic()
            work = [_client(http, n, staff, fan, known, started + seconds) for n in range(clients)]
            counts = await asyncio.gather(*work)
            return sum(counts, Counter()), time.monotonic() - started
    finally:
        server.send_signal(signal.SIGTERM)
        await server.wait()


async def _until_alive(http: httpx.AsyncClient) -> None:
    for _ in range(START_SECONDS * 4):
        try:
            if (await http.get("/livez")).status_code == 200:
                return
        except httpx.TransportError:
            await asyncio.sleep(0.25)
    raise RuntimeError("the server did not start")


async def _known(http: httpx.AsyncClient, token: str) -> dict[str, Any]:
    query = "{ fans(first: 100) { nodes { id } } tags(first: 20) { nodes { id } } brands(first: 1) { nodes { id } } }"
    answer = (await http.post("/graphql", json={"query": query}, headers=_bearer(token))).json()["data"]
    names = ("fans", "tags", "brands")
    return {name: [node["id"] for node in answer[name]["nodes"]] for name in names}


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def _client(
    http: httpx.AsyncClient, number: int, staff: list[str], fan: str, known: dict[str, Any], until: float
) -> Counter[str]:
    dice, counts, turn = random.Random(number), Counter[str](), 0
    while time.monotonic() < until:
        turn += 1
        path, token, body = _request(dice, staff, fan, known, f"{number}-{turn}")
        try:
            response = await http.post(path, json=body, headers=_bearer(token))
        except httpx.TransportError as error:
            counts[f"5xx {type(error).__name__}"] += 1
            continue
        counts[_kind(response)] += 1
    return counts


def _kind(response: httpx.Response) -> str:
    """Name an answer by its status and, where it has errors, the code of the first; INTERNAL counts as a 5xx."""
    errors = response.json().get("errors", []) if response.headers["content-type"].endswith("json") else []
    codes = [error["extensions"]["code"] for error in errors]
    if response.status_code >= 500 or "INTERNAL" in codes:
        return f"5xx {response.status_code} {codes[:1]}"
    return f"{response.status_code} {codes[0] if codes else 'ok'}"


def _request(
    dice: random.Random, staff: list[str], fan: str, known: dict[str, Any], key: str
) -> tuple[str, str, dict[str, Any]]:
    draw = dice.random()
    if draw < 0.4:
        return "/graphql", dice.choice(staff), {"query": FANS, "variables": {"first": dice.choice((5, 20, 50))}}
    if draw < 0.55:
        return "/fan/graphql", fan, {"query": ME}
    if draw < 0.65:
        return "/graphql", staff[0], {"query": CASCADES}
    if draw < 0.8:
        tagging = {"fanIds": dice.sample(known["fans"], 5), "tagIds": [dice.choice(known["tags"])]}
        return "/graphql", staff[0], {"query": TAG, "variables": {"input": tagging}}
    order = {
        "number": key,
        "fan": {"kind": "EXTERNAL_ID", "value": f"buyer-{dice.randrange(50)}", "issuer": "bench"},
        "placedAt": "2026-06-01T08:00:00Z",
        "amount": "12.50",
        "lines": [{"title": "茶", "quantity": 1, "amount": "12.50"}],
    }
    wanted = {"brandId": known["brands"][0], "source": "bench", "idempotencyKey": key, "orders": [order]}
    return "/graphql", staff[0], {"query": RECORD, "variables": {"input": wanted}}


if __name__ == "__main__":
    main()
