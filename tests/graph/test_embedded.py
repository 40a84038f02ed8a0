import asyncio
import contextlib
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import graph.embedded
from graph.driver import Graph
from graph.embedded import EmbeddedGraph
from graph.errors import GraphDirectoryInUse, GraphEngineMissing, GraphUnavailable
from graph.fans import FanNode, StoredFan, node_id, stream_fans, upsert_fans
from tests.conftest import GRAPH

pytestmark = [
    pytest.mark.skipif(GRAPH != "embedded", reason="the embedded engine is tested on its own leg"),
    pytest.mark.slow,
]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SERVE = """
import asyncio, pathlib, sys
from graph.embedded import EmbeddedGraph

async def main():
    engine = EmbeddedGraph(pathlib.Path(sys.argv[1]), development=True)
    await engine.start()
    print(engine.pid, flush=True)
    await engine.supervise()

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def running(root: Path) -> AsyncIterator[EmbeddedGraph]:
    engine = EmbeddedGraph(root, development=True)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


def pid_of(engine: EmbeddedGraph) -> int:
    assert engine.pid is not None
    return engine.pid


def listening(pid: int) -> list[str]:
    """Return the local addresses, as the kernel prints them, on which a process listens."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(entry.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    return [fields[1].partition(":")[0] for fields in lines if fields[3] == "0A" and fields[9] in inodes]


async def test_a_stopped_engine_leaves_no_process_and_no_lock_behind(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        pid = pid_of(engine)

    assert not alive(pid)
    assert engine.pid is None
    assert not (tmp_path / "engine.pid").exists()
    await engine.start()
    await engine.stop()


@linux_only
async def test_the_engine_listens_on_loopback_only_and_shows_no_password(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        addresses = listening(pid_of(engine))
        command = Path(f"/proc/{engine.pid}/cmdline").read_text()

        assert len(addresses) == 2
        assert set(addresses) <= {"0100007F", "0000000000000000FFFF00000100007F"}
        assert engine.auth[1] not in command
        assert stat.S_IMODE((tmp_path / "root.pw").stat().st_mode) == 0o600


async def test_a_killed_engine_is_restarted_with_its_data(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        supervisor = asyncio.create_task(engine.supervise())
        graph = Graph.connect(engine.uri, engine.auth, engine.database)
        await upsert_fans(graph, [FanNode(1, 1, 3)])
        before = pid_of(engine)

        os.kill(before, signal.SIGKILL)
        await asyncio.sleep(0.3)
        started = time.monotonic()
        with pytest.raises(GraphUnavailable):
            await graph.verify()
        refused_after = time.monotonic() - started

        assert refused_after < 1.0
        assert await eventually(lambda: engine.pid not in {None, before})
        assert await reachable(graph)
        assert [fan async for fan in stream_fans(graph, 1)] == [StoredFan(node_id(1, 1), 3)]
        await graph.close()
    await asyncio.wait_for(supervisor, 5)


async def reachable(graph: Graph) -> bool:
    for _ in range(100):
        with contextlib.suppress(GraphUnavailable):
            await graph.verify()
            return True
        await asyncio.sleep(0.1)
    return False


async def test_an_engine_whose_port_was_lost_is_announced_at_its_new_address(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        graph = Graph.connect(engine.uri, engine.auth, engine.database)
        supervisor = asyncio.create_task(engine.supervise(graph.move))
        before = engine.uri

        with socket.socket() as thief:
            os.kill(pid_of(engine), signal.SIGKILL)
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            await eventually(lambda: engine.pid is None)
            thief.bind(("127.0.0.1", int(before.rpartition(":")[2])))
            thief.listen()

            assert await eventually(lambda: engine.uri != before)
            assert await reachable(graph)
        await graph.close()
    await asyncio.wait_for(supervisor, 5)


@linux_only
async def test_the_engine_ends_with_a_killed_server(tmp_path: Path) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    pid = int(await server.stdout.readline())
    assert alive(pid)

    server.kill()
    await server.wait()

    assert await eventually(lambda: not alive(pid))
    async with running(tmp_path):
        pass


async def test_a_second_server_on_the_directory_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        with pytest.raises(GraphDirectoryInUse, match=f"process id {os.getpid()}"):
            await EmbeddedGraph(tmp_path).start()

        assert engine.pid is not None


async def test_an_engine_that_outlived_its_server_is_ended_before_the_next_starts(tmp_path: Path) -> None:
    async with running(tmp_path) as orphan:
        pid = pid_of(orphan)
        orphan._directory.release()

        async with running(tmp_path) as engine:
            assert orphan.pid is None
            assert engine.pid != pid


async def test_a_taken_port_is_exchanged_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = graph.embedded._free_ports
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = int(other.getsockname()[1])
        offers = iter([(taken, free()[1]), (free()[0], taken), free()])
        monkeypatch.setattr(graph.embedded, "_free_ports", lambda: next(offers))

        async with running(tmp_path) as engine:
            assert not engine.uri.endswith(f":{taken}")


async def test_a_lost_password_file_is_replaced(tmp_path: Path) -> None:
    async with running(tmp_path) as engine:
        first = engine.auth
    (tmp_path / "root.pw").unlink()

    async with running(tmp_path) as engine:
        assert engine.auth != first


async def test_a_platform_without_the_engine_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(GraphEngineMissing, match="SCRM_GRAPH_URI"):
        await EmbeddedGraph(tmp_path).start()

    assert list(tmp_path.iterdir()) == []
