"""The reference audit suite of GraphQL over HTTP passes on the conformance profile (GET and introspection on)."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

AUDIT = Path(__file__).parent / "audit"
ROOT = Path(__file__).parents[2]
CI = os.environ.get("CI") == "true"

pytestmark = pytest.mark.slow


def skip_or_fail(reason: str) -> None:
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def audit() -> Path:
    if not shutil.which("node") or not shutil.which("npm"):
        skip_or_fail("node and npm are needed to run the reference audit suite")
    if not (AUDIT / "node_modules" / "graphql-http").exists():
        command = ["npm", "ci", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=AUDIT, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            skip_or_fail(f"npm ci failed: {done.stderr[-500:]}")
    return AUDIT / "audit.mjs"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "tests.toy:conformance", "--port", str(port), "--lifespan", "off"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        url = f"http://127.0.0.1:{port}/graphql"
        wait_until_up(url, server)
        yield url
        server.terminate()


def wait_until_up(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(150):
        assert server.poll() is None, "the server stopped"
        try:
            httpx.post(url, json={"query": "{ __typename }"}, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server did not come up in 15 s")


def test_every_audit_passes(audit: Path, address: str) -> None:
    done = subprocess.run(["node", str(audit), address], capture_output=True, text=True, timeout=60, check=False)

    report = json.loads(done.stdout)

    assert report == {"total": 61, "ok": 61, "failed": []}
