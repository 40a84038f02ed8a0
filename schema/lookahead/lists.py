"""Lists that are kept written: PostgreSQL puts them into the answer as they are, and what is missing is filled in here.

Of fifty fans PostgreSQL would write four hundred tags, which costs more than all else of the page. Kept of a fan is one
text: of each tag the byte 1, its id, the byte 1 and its weight, an f before the first id. No JSON holds that byte, so
an answer falls apart at it into texts and, between them, ids; for an id stands what the item begins with (the name).
That is read once and kept for as long as no tag changes: each statement says the version it saw.
"""

from typing import NamedTuple

import orjson
from sqlalchemy import BigInteger, ColumnElement, FromClause, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from domain.direct import Direct, Prepared, prepare
from domain.reads import Listed
from domain.scope import Scope
from schema.lookahead.text import NotInSql, Pieces, as_bytes, constant, joined, merged
from schema.written import Written, count_fields

MOST_TEXTS = 500
TEXTS_BYTES = 50_000  # with some hundred of them
BYTE, FIRST = b"\x01", b"f"


class Own(NamedTuple):
    """Stands in an item for a value of the list's own."""

    column: str


class Hole(NamedTuple):
    """A list that is to be filled: what its items begin with by what they refer to, what all end with, its version."""

    heads: Prepared
    tail: bytes
    version: ColumnElement[int]


class Texts:
    """What stands for the ids in the answers of one statement."""

    def __init__(self, direct: Direct, scope: Scope, hole: Hole) -> None:
        self._direct = direct
        self._scope = scope
        self._hole = hole
        self.in_full = 0  # pages that are still to be read in full before it is tried in brief again
        self._version = -1
        self._known: dict[bytes, bytes] = {}
        # how many an item has, of all that were seen: where that is one number, most of an answer need not be counted
        self._fields: set[int] = {-1} if b'":' in hole.tail else set()

    async def filled(self, answer: bytes, version: int | None) -> Written | None:
        """Return the answer with its lists filled in, or None where one names what the caller does not see."""
        parts = answer.split(BYTE)
        if version is None:
            return None
        if version != self._version:
            # who still reads for the version of before goes on with what was known then
            self._known, self._version = {}, version
        known = self._known
        try:
            parts[1::2] = map(known.__getitem__, parts[1::2])
        except KeyError:
            known = await self._learned(known, {part.lstrip(FIRST) for part in parts[1::2]} - known.keys())
            if not known.keys() >= set(parts[1::2]):
                return None
            parts[1::2] = map(known.__getitem__, parts[1::2])
        return Written(orjson.Fragment(b"".join(parts)), self._counted(answer, len(parts) // 2))

    def _counted(self, answer: bytes, items: int) -> int | None:
        if not items:
            return count_fields(answer)
        return count_fields(answer) + items * next(iter(self._fields)) if len(self._fields) == 1 else None

    async def _learned(self, known: dict[bytes, bytes], ids: set[bytes]) -> dict[bytes, bytes]:
        """Return what is known with the texts of more ids. What is more than may be kept is for one answer alone."""
        found: dict[bytes, bytes] = {}
        wanted = [int(number) for number in ids]
        for number, head in await self._direct.fetch(self._scope, self._hole.heads, {"wanted": wanted}):
            written = b"%d" % number
            self._fields.add(count_fields(head))
            found[FIRST + written] = head
            found[written] = b"%b,%b" % (self._hole.tail, head)
        if len(known) + len(found) <= 2 * MOST_TEXTS:
            known.update(found)
            return known
        return known | found


def hole(
    kept: FromClause, listed: Listed, item: Pieces, referred: FromClause, scope: Scope
) -> tuple[Hole, ColumnElement[str], ColumnElement[bool]]:
    """Return a list to be filled whose items are written so, its text, and the condition that there is one.

    Raises NotInSql for items that hold several values of the list's own, or end with more than a text of ours.
    """
    pieces = merged(item)
    places = [place for place, piece in enumerate(pieces) if isinstance(piece, Own)]
    cut = places[0] if places else len(pieces)
    tail = "".join(pieces[cut + 1 :]) if all(isinstance(piece, str) for piece in pieces[cut + 1 :]) else None
    if tail is None:
        raise NotInSql("an item that does not end with its own value")
    wanted = bindparam("wanted", None, ARRAY(BigInteger))
    heads = select(referred.c.id, as_bytes(joined(pieces[:cut]))).where(referred.c.id == any_(wanted))
    text = kept.c[listed.owns[pieces[cut].column] if places else listed.bare]
    version = listed.version(scope).scalar_subquery()
    return Hole(prepare(heads), tail.encode(), version), text.concat(constant(tail)), text.is_not(None)
