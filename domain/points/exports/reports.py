"""What a report says and how its lines are written (财务导出). Pure."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from io import StringIO
from typing import Any, Final

from domain.points.earning.rules import midnight
from domain.points.ledger.models import EntryKind

# what spreadsheets take for the beginning of a formula
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# spreadsheets in China read a file as GBK where it does not begin so
MARK: Final = "\ufeff"


class Report(StrEnum):
    """What is exported: every TRANSFER of the days, or the LIABILITY at their beginning and how it moved by month."""

    TRANSFERS = "TRANSFERS"
    LIABILITY = "LIABILITY"


TRANSFER_HEAD: Final = (
    *("transfer", "recorded_at", "occurred_at", "account", "kind", "points", "growth", "balance", "growth_balance"),
    *(kind.value.lower() for kind in EntryKind),
    *("reason", "reference", "source", "actor", "reverses", "link"),
)
LIABILITY_HEAD: Final = ("month", "opening", "issued", "redeemed", "expired", "merged", "closing")
# the programme's own sides of points: what they do to the liability is their opposite
SIDES: Final = (EntryKind.ISSUED, EntryKind.REDEEMED, EntryKind.EXPIRED, EntryKind.MERGED)
BEFORE: Final = "before"
# by month and by programme's side, what the entries add up to
Sums = Mapping[str, Mapping[str, int]]


def lines(rows: Iterable[Sequence[Any]]) -> str:
    """Write rows as CSV: numbers as they are, texts so that no spreadsheet calculates them."""
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def transfer_row(row: Any, sides: Mapping[str, int], zone: tzinfo) -> list[Any]:
    """Return a transfer with its entries as a line; moments are the brand's, with their offset."""
    return [
        *(row.id, _local(row.recorded_at, zone), _local(row.occurred_at, zone), row.account_id, row.kind),
        *(row.points, row.growth, row.balance, row.growth_balance),
        *(sides.get(kind.value, 0) for kind in EntryKind),
        *(row.reason, row.reference, row.source, row.actor, row.reverses_id, row.number),
    ]


def _local(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).isoformat()


def month_of(moment: datetime, since: datetime, zone: tzinfo) -> str:
    """Return the brand's month of a moment, or that it lies before the days of the report."""
    return BEFORE if moment < since else f"{moment.astimezone(zone):%Y-%m}"


def add_up(sums: Sums, more: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    """Return the sums with entries added, each of a month and a side."""
    added = {month: dict(sides) for month, sides in sums.items()}
    for month, side, amount in more:
        of_month = added.setdefault(month, {})
        of_month[side] = of_month.get(side, 0) + amount
    return added


def liability_rows(sums: Sums, since: date, until: date) -> list[list[Any]]:
    """Return what was owed at the beginning and at the end of each month, and what moved it."""
    owed, rows = -sum(sums.get(BEFORE, {}).values()), []
    for month in months(since, until):
        issued, redeemed, expired, merged = (sums.get(month, {}).get(side.value, 0) for side in SIDES)
        closing = owed - issued - redeemed - expired - merged
        rows.append([month, owed, -issued, redeemed, expired, merged, closing])
        owed = closing
    return rows


def months(since: date, until: date) -> list[str]:
    """Name the months that the days lie in."""
    first, last = since.year * 12 + since.month - 1, until.year * 12 + until.month - 1
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(first, last + 1)]


def bounds(since: date, until: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the moments the days begin at and end before."""
    return midnight(since, zone), midnight(until + timedelta(days=1), zone)
