"""How much is written at once."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

# A thousand rows a transaction: few commits, and no writer waits long for its turn.
BATCH = 1_000


def batches(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut the rows into batches of at most a thousand."""
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
