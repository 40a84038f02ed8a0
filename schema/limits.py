"""How much one request may ask, and the refusal that says which limit it met."""

from dataclasses import dataclass
from typing import ClassVar

from domain.errors import DomainError

CEILING = 10**9  # counts stop here: a fragment bomb would otherwise make numbers of many thousand digits


@dataclass(frozen=True, slots=True)
class Limits:
    """The most one request may ask; counts are taken with every fragment expanded."""

    tokens: int = 1_000
    depth: int = 12
    nesting: int = 64
    aliases: int = 30
    directives: int = 20
    directives_per_node: int = 3
    fields: int = 500
    roots: int = 10
    cost: int = 20_000
    page: int = 100
    ids: int = 100
    input_items: int = 250
    input_depth: int = 12


@dataclass(frozen=True, slots=True)
class Measure:
    """What a document asks: the counts of all its operations and the cost, in points, of the one that runs."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0
    roots: int = 0
    cost: int = 0


class TooComplex(DomainError):
    """A document over one of the limits; `measure` holds what was counted until then."""

    code: ClassVar[str] = "QUERY_TOO_COMPLEX"
    default: ClassVar[str] = "The query is too complex."

    def __init__(self, message: str | None = None, measure: Measure | None = None) -> None:
        super().__init__(message)
        self.measure = measure or Measure()

    @classmethod
    def over(cls, name: str, count: int, most: int, measure: Measure | None = None) -> "TooComplex":
        """Make the refusal that names the limit, the count and what is allowed."""
        shown = f"over {most}" if count >= CEILING else str(count)
        return cls(f"The query is too complex: {name} {shown}, {most} allowed.", measure)
