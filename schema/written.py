"""What is already written of an answer, and how many fields it has."""

from typing import NamedTuple

import orjson


class Written(NamedTuple):
    """JSON as it goes into an answer; `fields` is what `count_fields` says of it, where that is known."""

    text: orjson.Fragment
    fields: int | None = None


def count_fields(data: bytes) -> int:
    """Count the fields of an answer, once for each object they stand on: `extensions.cost.actual`.

    Counted in the bytes, whoever made them: `":` ends a key, and inside a string the quote would be escaped.
    """
    keys = data.count(b'":')
    return keys - data.count(b'\\":') if b"\\" in data else keys
