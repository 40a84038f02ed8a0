"""Tell reading Cypher from writing Cypher: the embedded engine does not enforce read transactions."""

import re
from functools import lru_cache

from graph.errors import GraphWriteRefused

QUOTED_OR_COMMENT = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`[^`]*`|//[^\n]*|/\*.*?\*/""", re.DOTALL)
WRITES = re.compile(
    r"(?<![.:$\w])(?:CREATE|MERGE|DELETE|DETACH|SET|REMOVE|DROP|ALTER|INSERT|FOREACH|LOAD\s+CSV|CALL\s+(?![({\s]))\b"
    r"|(?<![.:$\w])CALL\s+[A-Za-z`]",
    re.IGNORECASE,
)


@lru_cache(maxsize=256)
def require_reading(cypher: str) -> None:
    """Raise GraphWriteRefused when the text holds a writing clause or calls a procedure."""
    found = WRITES.search(QUOTED_OR_COMMENT.sub(" ", cypher))
    if found is not None:
        raise GraphWriteRefused(f"a reading statement holds {found.group().upper()!r}")
