"""How far long work has come: the protocol that work reports to, and its display for a person or a log."""

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress


class Progress(Protocol):
    """Told by long work how far each of its stages has come."""

    def advance(self, stage: str, done: int, total: int) -> None:
        """Say that `done` of `total` units of the stage are finished."""


class Bars:
    """One bar for each stage on a terminal; elsewhere one line for each stage when it is finished."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._bars = RichProgress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def advance(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of the stage are finished; the total may change on the way."""
        if self._bars.disable:
            self._say(stage, done, total)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def _say(self, stage: str, done: int, total: int) -> None:
        if done >= total and stage not in self._tasks:
            self._tasks[stage] = TaskID(len(self._tasks))
            self._console.print(f"{stage}: {done:,}", highlight=False)
