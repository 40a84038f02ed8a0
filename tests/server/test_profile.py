"""The profile of the bench names the layer of whatever answers a request."""

from pathlib import Path

import pytest

from bench.peers.profiles import _layer

ROOT = Path(__file__).parents[2]
MODULES = [ROOT / "server/straight.py", *sorted((ROOT / "server/http").rglob("*.py"))]


@pytest.mark.parametrize("module", [str(module.relative_to(ROOT)) for module in MODULES])
def test_no_module_on_the_way_of_a_request_counts_as_what_calls_it(module: str) -> None:
    layer, place = _layer([f"{ROOT / module}:answer", "/usr/lib/python3/asyncio/runners.py:run"])

    assert layer not in ("event loop", "other")
    assert place.endswith(":answer")


def test_what_has_no_layer_is_not_counted_as_what_calls_it() -> None:
    new = [f"{ROOT / 'server/new.py'}:answer", "/usr/lib/python3/asyncio/runners.py:run"]

    assert _layer(new) == ("other", new[0])
