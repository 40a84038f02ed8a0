"""An answer is one write, and nothing that has no body waits for one."""

import asyncio

from server.writes import Joined


class Wire:
    """A transport that notes what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        """Note it."""
        self.written.append(data)

    def close(self) -> None:
        """Note it."""
        self.closed = True


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


async def test_a_head_goes_with_its_body() -> None:
    wire = Wire()
    joined = Joined(wire)  # type: ignore[arg-type]

    for body in (b"{}", b"[]"):
        joined.write(HEAD)
        joined.write(body)
    await asyncio.sleep(0)

    assert wire.written == [HEAD + b"{}", HEAD + b"[]"]


async def test_a_head_alone_goes_at_the_end_of_the_turn() -> None:
    wire = Wire()
    joined = Joined(wire)  # type: ignore[arg-type]

    joined.write(HEAD)
    assert wire.written == []
    await asyncio.sleep(0)
    assert wire.written == [HEAD]
    joined.write(b"later")
    assert wire.written == [HEAD, b"later"]


async def test_what_must_not_wait_does_not_and_closing_loses_nothing() -> None:
    wire = Wire()
    joined = Joined(wire)  # type: ignore[arg-type]

    joined.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert wire.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    joined.write(HEAD)
    joined.close()
    await asyncio.sleep(0)

    assert wire.written[1:] == [HEAD]
    assert wire.closed
