"""How a file is to be read, as it was said on the command line."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.errors import BadInput
from server.imports.columns import ColumnSet, parse_columns, parse_delimiter

_UNSEPARATED = re.compile(r"%[a-zA-Z]%[a-zA-Z]")
MAX_SOURCE = 64
# a day whose year, month and day cannot be taken for one another
_SAMPLE = datetime(1999, 11, 28, 13, 14, 15, tzinfo=UTC)


@dataclass(frozen=True)
class Layout:
    """How a file is to be read.

    `source` names the system the file is from: fans are known by their id there, orders and cascades by their number
    there. Without a date format dates are ISO 8601; without a time zone they are the brand's.
    `seed`, for shares, is what the file calls the seed of every cascade, where its rows are in no order.
    `local_names`, for shares, says that fans are numbered anew in each cascade.
    """

    columns: str
    source: str
    delimiter: str = "comma"
    header: bool = False
    encoding: str = "utf-8"
    date_format: str | None = None
    time_zone: str | None = None
    seed: str | None = None
    local_names: bool = False

    def check(self, columns: ColumnSet) -> None:
        """Raise BadInput naming the first thing that is wrong with the layout."""
        parse_columns(self.columns, columns)
        parse_delimiter(self.delimiter)
        if not 1 <= len(self.source.strip()) <= MAX_SOURCE or not self.source.isprintable():
            raise BadInput(f"The source has 1 to {MAX_SOURCE} characters.")
        _check_encoding(self.encoding)
        _check_date_format(self.date_format)
        if self.time_zone is not None:
            zone(self.time_zone)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the file."""
        return tuple(name.strip() for name in self.columns.split(","))

    def times(self, brand_zone: str) -> "Times":
        """Return how this file's dates are read for a brand."""
        return Times(zone(self.time_zone or brand_zone), self.date_format)


def zone(name: str) -> ZoneInfo:
    """Return the time zone. Raises BadInput for one that does not exist."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput(f"There is no time zone {name!r}.") from None


def _check_encoding(encoding: str) -> None:
    try:
        fits = "a,0\n".encode(encoding) in (b"a,0\n", b"\xef\xbb\xbfa,0\n")
    except (LookupError, ValueError):
        raise BadInput(f"There is no text encoding {encoding!r}.") from None
    if not fits:
        raise BadInput(f"Files in {encoding} cannot be read line by line; convert the file to UTF-8.")


def _check_date_format(date_format: str | None) -> None:
    if date_format is None:
        return
    try:
        back = datetime.strptime(_SAMPLE.strftime(date_format), date_format)  # noqa: DTZ007 - the format is tried
        fits = back.date() == _SAMPLE.date()
    except ValueError:
        fits = False
    if not fits:
        raise BadInput(f"{date_format!r} is no date format; one such as %Y-%m-%d is.")


@dataclass(frozen=True)
class Times:
    """Reads dates and moments of a file. Both readers raise ValueError saying what is wrong."""

    zone: ZoneInfo
    date_format: str | None = None

    def day(self, text: str) -> datetime:
        """Return the moment a natural day begins in the zone."""
        return self._placed(datetime.combine(self._parse(text, date.fromisoformat), time()), text)

    def moment(self, text: str) -> datetime:
        """Return a moment; one that names no zone is in the file's."""
        return self._placed(self._parse(text, datetime.fromisoformat), text)

    def _parse(self, text: str, read_iso: Callable[[str], date]) -> datetime:
        try:
            if self.date_format is None:
                found = read_iso(text)
                return found if isinstance(found, datetime) else datetime.combine(found, time())
            parsed = datetime.strptime(text, self.date_format)  # noqa: DTZ007 - the zone is the file's
            # without separators strptime takes 1997011 for the first of January
            if _UNSEPARATED.search(self.date_format) and parsed.strftime(self.date_format) != text:
                raise ValueError
        except ValueError:
            wanted = self.date_format or "an ISO 8601 date"
            raise ValueError(f"{shown(text)} is not {wanted}") from None
        return parsed

    def _placed(self, found: datetime, text: str) -> datetime:
        try:
            return (found if found.tzinfo else found.replace(tzinfo=self.zone)).astimezone(UTC)
        except OverflowError:
            raise ValueError(f"{shown(text)} is out of range") from None


def shown(text: str) -> str:
    """Quote a value of a file for a message, cut to a sensible length."""
    return repr(text if len(text) <= 40 else text[:39] + "…")
