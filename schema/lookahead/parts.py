"""The parts of a connection, written around the rows PostgreSQL wrote."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from domain.page import Frame, encode_cursor


class PageRead:
    """A page that was read: its rows in the order of the list, each its objects, its key and perhaps more."""

    def __init__(self, frame: Frame, found: Sequence[Any], objects: int) -> None:
        self.has_next, self.has_previous = frame.neighbours(len(found))
        self.rows = frame.rows(found)
        self._order = frame.order
        self._key = slice(objects, objects + len(frame.order.columns))

    def cursor(self, row: Any) -> str:
        """Return the cursor of a row."""
        return encode_cursor(self._order, row[self._key])


Part = Callable[[PageRead], bytes]


def key(name: str) -> bytes:
    """Write the key of a part."""
    return f'"{name}":'.encode()


def constant(name: str) -> Part:
    """Write the name of a type."""
    written = f'"{name}"'.encode()
    return lambda page: written


def nodes(column: int) -> Part:
    """Write the rows; each is in this column."""
    return lambda page: b"[%b]" % b",".join([row[column] for row in page.rows])


def edges(parts: list[tuple[bytes, int | bytes | None]]) -> Part:
    """Write edges; a part is the column of a node, the name of the type, or None for the cursor."""

    def written(page: PageRead, row: Any, part: int | bytes | None) -> bytes:
        if part is None:
            return b'"%b"' % page.cursor(row).encode()
        return row[part] if isinstance(part, int) else part

    def edge(page: PageRead, row: Any) -> bytes:
        return b"{%b}" % b",".join([name + written(page, row, part) for name, part in parts])

    return lambda page: b"[%b]" % b",".join([edge(page, row) for row in page.rows])


def page_info(parts: list[tuple[str, str]], type_name: str) -> Part:
    """Write where the page stands; a part is a key and the name of the field."""

    def write(page: PageRead) -> bytes:
        values = {
            "hasNextPage": page.has_next,
            "hasPreviousPage": page.has_previous,
            "startCursor": page.cursor(page.rows[0]) if page.rows else None,
            "endCursor": page.cursor(page.rows[-1]) if page.rows else None,
            "__typename": type_name,
        }
        return orjson.dumps({shown: values[name] for shown, name in parts})

    return write
