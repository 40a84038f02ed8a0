"""What came of an import: counts, and each refused row by line with its reason."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from domain.batches import RowOutcome
from domain.errors import BadInput

KEPT_REJECTIONS = 1_000


@dataclass(frozen=True, order=True)
class Rejection:
    """A row that was refused, and why."""

    line: int
    reason: str


@dataclass
class Report:
    """What came of the rows of a file. All refused rows are counted; the first thousand found are kept here."""

    outcomes: Counter[RowOutcome] = field(default_factory=Counter)
    rejections: list[Rejection] = field(default_factory=list)
    rejects_file: Any = None

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())

    @property
    def created(self) -> int:
        return self.outcomes[RowOutcome.CREATED]

    @property
    def updated(self) -> int:
        return self.outcomes[RowOutcome.UPDATED]

    @property
    def unchanged(self) -> int:
        return self.outcomes[RowOutcome.UNCHANGED]

    @property
    def rejected(self) -> int:
        return self.outcomes[RowOutcome.REJECTED]

    def count(self, line: int, outcome: RowOutcome, reason: str = "") -> None:
        """Take down what came of one row."""
        self.outcomes[outcome] += 1
        if outcome is not RowOutcome.REJECTED:
            return
        if len(self.rejections) < KEPT_REJECTIONS:
            self.rejections.append(Rejection(line, reason))
        if self.rejects_file is not None:
            self.rejects_file.writerow([line, reason])


@contextmanager
def reporting(rejects: Path | None) -> Iterator[Report]:
    """Keep a report, with all refused rows in the file too where one is named. Raises BadInput if it cannot be made."""
    report = Report()
    if rejects is None:
        yield report
    else:
        try:
            stream = rejects.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise BadInput(f"{rejects} cannot be written: {error.strerror}.") from None
        with stream:
            report.rejects_file = csv.writer(stream)
            report.rejects_file.writerow(["line", "reason"])
            yield report
    report.rejects_file = None
    report.rejections.sort()
