"""What a database was asked."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from domain.database import Database
from domain.direct import Direct, Prepared
from domain.scope import Scope
from domain.standing import Standing


@contextmanager
def statements_of(database: Database) -> Iterator[list[str]]:
    """Collect the statements that run inside the block, but for BEGIN, the walls and notices."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if not statement.startswith(("BEGIN", "SELECT set_config")):
            seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        with ExitStack() as stack:
            for direct in (database.direct, database.callers):
                if direct is not None:
                    stack.enter_context(_noted(direct, seen))
            yield seen
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)


@contextmanager
def _noted(direct: Direct, seen: list[str]) -> Iterator[None]:
    fetch = direct.fetch

    async def noted(
        scope: Scope, prepared: Prepared, given: Mapping[str, Any], standing: Standing | None = None, **more: Any
    ) -> list[Any]:
        # what is told to other processes goes beside what is asked, whenever it may
        if "pg_notify" not in prepared.text:
            seen.append(prepared.text if standing is None else prepared.confirming or "")
        return await fetch(scope, prepared, given, standing, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, "fetch", noted)
        yield
