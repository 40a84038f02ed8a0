"""How a measurement says whether it holds."""

import sys
from dataclasses import dataclass, field


@dataclass
class Bars:
    """The bars of one bench; a bar that falls short is said so and makes the run fail."""

    short: int = 0
    lines: list[str] = field(default_factory=list)

    def judge(self, name: str, measured: str, bar: str, *, holds: bool) -> None:
        """Print one bar."""
        self.short += not holds
        self.lines.append(f"BAR {name}: {measured} (bar {bar}) {'holds' if holds else 'falls short'}")
        print(self.lines[-1], flush=True)

    def leave(self, name: str, measured: str, bar: str, why: str) -> None:
        """Print a bar that this run does not judge."""
        self.lines.append(f"BAR {name}: {measured} (bar {bar}) not judged: {why}")
        print(self.lines[-1], flush=True)

    def end(self) -> None:
        """Exit with 1 where a bar fell short."""
        sys.exit(1 if self.short else 0)
