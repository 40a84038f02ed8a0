"""Our server with one guard taken away, to say what the guard costs: python -m bench.peers.unguarded limits.

The product has no such switch, and must have none. Whatever is replaced here is replaced in this process alone.
"""

import sys
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

from sqlalchemy import event

from authz.authenticate import Authenticator
from authz.viewer import Anonymous
from domain import database, direct, walls
from domain.scope import Scope, system_scope
from schema.gate import Gate
from schema.limits import Measure
from server.commands.serving import serve
from server.commands.settings import guarded
from server.http import pipeline
from server.http.throttle import Throttle
from server.http.watchdog import Watchdog


class _Unwatched:
    """A guard that guards nothing."""

    def __enter__(self) -> "_Unwatched":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def watch(self, receive: object) -> None:
        """Do nothing."""


def without_limits() -> None:
    """Measure no document, spend no points, count no answer and watch no clock."""
    nothing, unwatched = Measure(), _Unwatched()
    patch.object(Gate, "measure", lambda *asked, **limits: nothing).start()
    patch.object(pipeline, "check_variables", lambda *asked: None).start()
    patch.object(Throttle, "spend", lambda *asked: None).start()
    patch.object(Throttle, "refund", lambda *asked: 0).start()
    patch.object(Throttle, "available", lambda *asked: 0).start()
    patch.object(Watchdog, "guard", lambda dog: unwatched).start()
    patch.object(pipeline, "count_fields", lambda data: 0).start()


def without_authentication() -> None:
    """Believe every caller to be the first one."""
    authenticate, remembered = Authenticator.authenticate, Authenticator.remembered
    known, before = list[Any](), list[Any]()

    async def believe(self: Authenticator, *asked: Any, **how: Any) -> Any:
        if not known:
            known.append(await authenticate(self, *asked, **how))
        return known[0]

    def remember(self: Authenticator, *asked: Any) -> Any:
        if not before:
            found = remembered(self, *asked)
            if found is None:
                return None
            before.append(found)
        return before[0]

    patch.object(Authenticator, "authenticate", believe).start()
    patch.object(Authenticator, "remembered", remember).start()
    patch.object(direct, "stands", _unasked).start()


def _unasked(first: int) -> str:
    """Take the parameters of `stands` and ask nothing of them."""
    kinds = ("bigint", "bigint", "bytea", "bigint", "timestamptz")
    return f"({', '.join(f'${first + number}::{kind}' for number, kind in enumerate(kinds))}) IS NOT NULL"


def without_scopes() -> None:
    """Let every caller reach everything, with no predicate, no wall and no settings for one.

    The superuser's URL must be in the settings, since row-level security binds everybody else.
    """
    authenticate, remembered = Authenticator.authenticate, Authenticator.remembered

    @cache
    def everywhere(group_id: int) -> Scope:
        # of a group still, whose tags have a version
        return replace(system_scope("bench"), group_id=group_id)

    async def widen(self: Authenticator, *asked: Any, **how: Any) -> tuple[Any, Scope]:
        viewer, _ = await authenticate(self, *asked, **how)
        assert not isinstance(viewer, Anonymous), "the bench has a key"
        return viewer, everywhere(viewer.group_id)

    def widened(self: Authenticator, *asked: Any) -> Any:
        found = remembered(self, *asked)
        return found and found._replace(scope=everywhere(found.viewer.group_id))

    patch.object(Authenticator, "authenticate", widen).start()
    patch.object(Authenticator, "remembered", widened).start()
    event.remove(database.ScopedSession, "after_begin", database._raise_walls)  # noqa: SLF001 (the wall itself)
    # the parameters stay, and nothing is set to them
    count = len(walls._calls(1))  # noqa: SLF001
    patch.object(walls, "_calls", lambda first: [f"${first + number}::text" for number in range(count)]).start()


GUARDS = {
    "nothing": lambda: None,
    "limits": without_limits,
    "authentication": without_authentication,
    "scopes": without_scopes,
}


def main() -> None:
    """Serve without the guard that is named."""
    GUARDS[sys.argv[1]]()
    with guarded():
        serve()


if __name__ == "__main__":
    main()
