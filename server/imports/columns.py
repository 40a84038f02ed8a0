"""Which column of a file means what, and how a line falls into columns. Pure."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass

from domain.errors import BadInput

SKIPPED = "_"
DELIMITERS: Mapping[str, str | None] = {"whitespace": None, "comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}


@dataclass(frozen=True)
class ColumnSet:
    """The columns a kind of file may have. Of each set in `required` exactly one must be there.

    `ignored` may be named so that a mapping reads well; nothing is kept of them.
    """

    required: tuple[frozenset[str], ...]
    optional: frozenset[str]
    ignored: frozenset[str]

    @property
    def known(self) -> frozenset[str]:
        return frozenset().union(*self.required, self.optional, self.ignored)


ORDER_COLUMNS = ColumnSet(
    required=(frozenset({"fan"}), frozenset({"placed_on", "placed_at"}), frozenset({"amount"})),
    optional=frozenset({"number", "quantity", "state"}),
    ignored=frozenset({"household"}),
)
SHARE_COLUMNS = ColumnSet(
    required=(frozenset({"reached"}), frozenset({"sharer"}), frozenset({"cascade"})),
    optional=frozenset({"shared_at", "channel"}),
    # how far from the seed a share is follows from the shares themselves
    ignored=frozenset({"generation"}),
)


def parse_columns(text: str, columns: ColumnSet) -> tuple[str, ...]:
    """Return the names in the order of the file; `_` skips a column. Raises BadInput where they make no row."""
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in columns.known and name != SKIPPED]
    if unknown:
        known = ", ".join(sorted(columns.known))
        raise BadInput(f"There is no column {unknown[0]!r}. The columns are {known}, and _ for one to skip.")
    twice = [name for name in names if name != SKIPPED and names.count(name) > 1]
    if twice:
        raise BadInput(f"The column {twice[0]} is named twice.")
    for choices in columns.required:
        if len(choices & set(names)) != 1:
            raise BadInput(f"Exactly one column must be {' or '.join(sorted(choices))}.")
    return names


def parse_delimiter(text: str) -> str | None:
    """Return the one character between columns, or None for any white space. Raises BadInput."""
    if text in DELIMITERS:
        return DELIMITERS[text]
    if len(text) == 1 and text.isprintable() and text not in '"\\' and not text.isalnum():
        return text
    raise BadInput(f"The delimiter is one of {', '.join(DELIMITERS)}, or one character.")


def split(line: str, delimiter: str | None) -> list[str]:
    """Cut a line into its columns, without the space around them. Raises ValueError where quotes do not close."""
    if delimiter is None:
        return line.split()
    try:
        found = next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        raise ValueError("the quotes of the line do not close") from None
    return [field.strip() for field in found]
