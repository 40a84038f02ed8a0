"""Batches of rows that may fail one by one: what to do with the failed, and what came of each row."""

from dataclasses import dataclass, field
from enum import StrEnum

MAX_ROWS = 250


class ErrorPolicy(StrEnum):
    """What a batch does with rows that are refused.

    REJECT_EVERYTHING writes nothing when one row is refused. REJECT_FAILED_ROWS writes the others. IGNORE_FAILED also
    writes a refused row where only an optional part of it is wrong, without that part.
    """

    REJECT_EVERYTHING = "REJECT_EVERYTHING"
    REJECT_FAILED_ROWS = "REJECT_FAILED_ROWS"
    IGNORE_FAILED = "IGNORE_FAILED"


class RowOutcome(StrEnum):
    """What came of a row of a batch."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"
    REJECTED = "REJECTED"


@dataclass(frozen=True)
class Problem:
    """Why a row is refused; `optional` where the row could be written without the field."""

    field: str
    message: str
    code: str = "BAD_USER_INPUT"
    optional: bool = False


@dataclass
class RowResult:
    """What came of the row at `index`, with the id it has now."""

    index: int
    outcome: RowOutcome
    id: int | None = None
    problems: list[Problem] = field(default_factory=list)
