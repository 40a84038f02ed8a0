"""WebSockets of a real server and a real client: the handshake, the limits, and the end of both."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.server.deployed import Deployment, Server, eventually
from tests.sockets import SUBPROTOCOL
from tests.world import World

pytestmark = pytest.mark.slow


def address(server: Server, path: str = "/graphql") -> str:
    return f"ws://{server.http.base_url.host}:{server.http.base_url.port}{path}"


@asynccontextmanager
async def opened(server: Server, path: str = "/graphql", **more: Any) -> AsyncIterator[ClientConnection]:
    async with connect(address(server, path), subprotocols=[Subprotocol(SUBPROTOCOL)], **more) as client:
        yield client


async def say(client: ClientConnection, **message: Any) -> None:
    await client.send(orjson.dumps(message).decode())


async def hear(client: ClientConnection) -> Any:
    return orjson.loads(await asyncio.wait_for(client.recv(), 10))


async def code_of(client: ClientConnection) -> int | None:
    """Read to the end, and return what the connection was closed with."""
    try:
        while True:
            await asyncio.wait_for(client.recv(), 10)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


async def test_a_real_client_is_served_and_held_to_the_limits(deployment: Deployment, world: World) -> None:
    staff = deployment.tokens.mint_staff("B1")
    fan = deployment.tokens.mint_fan(world.fans["g1/b1/d1#1"], world.nodes["g1/b1"], world.nodes["g1"])

    async with deployment.having(SCRM_SOCKET_ORIGINS="https://shop.example").serving() as server:
        for path, token, query, answer in (
            ("/graphql", staff, "{ viewer { __typename } }", {"viewer": {"__typename": "Viewer"}}),
            ("/fan/graphql", fan, "{ me { __typename } }", {"me": {"__typename": "Me"}}),
        ):
            async with opened(server, path, origin="https://shop.example") as client:
                assert client.subprotocol == SUBPROTOCOL
                await say(client, type="connection_init", payload={"Authorization": f"Bearer {token}"})
                assert await hear(client) == {"type": "connection_ack"}
                await say(client, id="1", type="subscribe", payload={"query": query})
                assert (await hear(client))["payload"]["data"] == answer
                assert await hear(client) == {"id": "1", "type": "complete"}

        with pytest.raises(InvalidStatus) as refused:
            async with opened(server, origin="https://evil.example"):
                pass
        assert refused.value.response.status_code == 403
        async with opened(server) as client:
            await say(client, type="connection_init", payload={"Authorization": f"Bearer {fan}"})
            assert await code_of(client) == 4403
        async with opened(server) as client:
            await client.send("x" * 1_000_000)
            assert await code_of(client) == 1009
        async with connect(address(server), subprotocols=[Subprotocol("graphql-ws")]) as client:
            assert await code_of(client) == 4406
        with pytest.raises(InvalidStatus):
            async with opened(server, "/elsewhere?token=secret"):
                pass

    said = server.log.read_text()
    assert staff not in said
    assert "token=secret" not in said
    assert "Traceback" not in said


async def test_a_server_told_to_stop_closes_its_sockets_and_ends_in_time(deployment: Deployment, world: World) -> None:
    token = deployment.tokens.mint_staff("B1")

    async with deployment.serving() as server, opened(server) as idle, opened(server) as used:
        stuck = await reads_no_more(server, token)
        await say(used, type="connection_init", payload={"Authorization": f"Bearer {token}"})
        assert await hear(used) == {"type": "connection_ack"}
        asked = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        codes = [await code_of(idle), await code_of(used)]
        closed = time.monotonic() - asked
        ended = await asyncio.wait_for(server.process.wait(), 30)
        stopped = time.monotonic() - asked
        stuck.close()

    assert codes == [1012, 1012]
    assert ended == 0
    assert closed < 3
    assert stopped < 15, "one who reads nothing must not hold it up"
    assert "Traceback" not in server.log.read_text()
    assert await eventually(lambda: deployment.processes() == [])


async def reads_no_more(server: Server, token: str) -> socket.socket:
    """Connect as a client that asks for more and more, and takes none of it."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((server.http.base_url.host, server.http.base_url.port))
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    head = (
        "GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    await loop.sock_sendall(raw, head.encode())
    await loop.sock_recv(raw, 65536)
    document = "{ " + " ".join(f"{letter * 3000}: viewer {{ __typename }}" for letter in "abcdefghij") + " }"
    frames = [frame({"type": "connection_init"})]
    frames += [frame({"id": str(n), "type": "subscribe", "payload": {"query": document}}) for n in range(400)]
    with suppress(TimeoutError):  # it reads no more either
        await asyncio.wait_for(loop.sock_sendall(raw, b"".join(frames)), 3)
    await asyncio.sleep(1)
    return raw


def frame(message: dict[str, Any]) -> bytes:
    """Mask a text frame by zeros."""
    text = orjson.dumps(message)
    length = bytes([128 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + text
