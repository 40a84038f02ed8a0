"""A test that hangs says where."""

import asyncio

import pytest

from tests.services.stuck import Stuck, tasks


async def _inner(event: asyncio.Event) -> None:
    await event.wait()


async def _outer(event: asyncio.Event) -> None:
    await _inner(event)


async def test_what_a_task_waits_for_is_told_from_outside_to_inside() -> None:
    event = asyncio.Event()
    task = asyncio.create_task(_outer(event), name="waits")
    await asyncio.sleep(0)

    (told,) = [one for one in tasks() if one[0] == "- waits"]

    named = [line.rsplit(" ", 1)[-1] for line in told[1:4]]
    assert named == ["_outer", "_inner", "Event.wait"]
    event.set()
    await task
    assert not [one for one in tasks() if one[0] == "- waits"]


async def test_a_test_that_takes_too_long_is_told_of_once(request: pytest.FixtureRequest) -> None:
    said: list[str] = []
    watch = Stuck(said.append, seconds=0.01).pytest_runtest_protocol(request.node)
    task = asyncio.create_task(_outer(asyncio.Event()), name="waits")

    next(watch)
    await asyncio.sleep(0.3)
    with pytest.raises(StopIteration):
        next(watch)
    task.cancel()

    (told,) = said
    assert told.startswith(request.node.nodeid)
    assert "- waits" in told


async def test_a_test_that_ends_in_time_is_not_told_of(request: pytest.FixtureRequest) -> None:
    said: list[str] = []
    watch = Stuck(said.append, seconds=0.2).pytest_runtest_protocol(request.node)

    next(watch)
    with pytest.raises(StopIteration):
        next(watch)
    await asyncio.sleep(0.3)

    assert said == []
