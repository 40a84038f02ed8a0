"""A root field that is a page of a list, answered by one statement, or seldom by two."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg
import orjson
from graphql import FieldNode
from graphql.execution.values import VariableValues
from sqlalchemy import ColumnElement, literal_column

from domain.direct import Prepared, prepare
from domain.page import Frame, Window, cursor_binds, directed
from schema.lookahead import parts
from schema.lookahead.kept import Kept, Statement
from schema.lookahead.lists import Hole, Texts
from schema.lookahead.root import Given, Root
from schema.lookahead.selection import Asked, Selection, written
from schema.lookahead.text import NotInSql
from schema.lookahead.together import PLACE, Pages, several
from schema.lookahead.write import Writer, page_statement
from schema.written import Written

IN_FULL = 100  # pages, from one on that could not be read in brief


class OnePage(Root):
    """A page of a list."""

    changing = ("after", "before")

    def __init__(self, kept: Kept, metadata: Mapping[str, Any], node: FieldNode, below: Selection) -> None:
        super().__init__(kept, metadata, node, below)
        self._objects: list[Selection] = []
        self._parts = [(parts.key(asked.key), self._part(asked)) for asked in below.asked]

    def _part(self, asked: Asked) -> parts.Part:
        if asked.field is None:
            return parts.constant(self._below.type.name)
        if asked.name == "nodes" and asked.below:
            return parts.nodes(self._object(asked.below))
        if asked.name == "edges" and asked.below:
            return parts.edges([(parts.key(one.key), self._edge_part(one, asked.below)) for one in asked.below.asked])
        if asked.name == "pageInfo" and asked.below:
            return parts.page_info([(one.key, one.name) for one in asked.below.asked], asked.below.type.name)
        raise NotInSql(asked.key)

    def _edge_part(self, asked: Asked, edge: Selection) -> int | bytes | None:
        if asked.below is not None:
            return self._object(asked.below)
        return None if asked.name == "cursor" else f'"{edge.type.name}"'.encode()

    def _object(self, selection: Selection) -> int:
        self._objects.append(written(selection))
        return len(self._objects) - 1

    async def run(self, context: Any, given: Given, variables: VariableValues) -> Written | None:
        """Return the page as JSON."""
        direct = context.services.database.direct
        if direct is None:
            return None
        cursors = self._changed(variables)
        if len(cursors) > 1:
            return None  # there is no such page
        statement = self._find(context, variables, tuple(cursors), lambda: self._statement(context, given, variables))
        if statement is None or statement.frame is None:
            return None
        frame, objects = statement.frame, len(self._objects)
        binds = [cursor_binds(frame.order, cursor, name) for name, cursor in cursors.items()]
        asked = _Call(context, given, variables, binds[0] if binds else {})
        try:
            rows = await self._rows(statement, frame, asked)
        except asyncpg.DataError:
            return None  # a value that PostgreSQL writes otherwise
        page = parts.PageRead(frame, rows, objects)
        answer = b"{%b}" % b",".join([key + part(page) for key, part in self._parts])
        if statement.texts is None or not rows:
            return Written(orjson.Fragment(answer))
        return await statement.texts.filled(answer, rows[0][objects + len(frame.order.columns)])

    async def _rows(self, statement: Statement, frame: Frame, call: "_Call") -> Sequence[Any]:
        """Read the page: in brief, and in full where that leaves a row out, as the next ones then are at once."""
        texts, pages, whole = statement.texts, statement.pages, statement.whole
        assert pages is not None
        if texts is None or whole is None:
            return await pages.load(call.binds, lambda: self._several(call, brief=True))
        if not texts.in_full:
            rows = await pages.load(call.binds, lambda: self._several(call, brief=True))
            shown = rows[: frame.size]
            if not any(None in [row[place] for row in shown] for place in range(len(self._objects))):
                return rows
            texts.in_full = IN_FULL
        texts.in_full -= 1
        return await whole.load(call.binds, lambda: self._several(call, brief=False))

    def _statement(self, context: Any, given: Given, variables: VariableValues) -> Statement:
        call = _Call(context, given, variables, {})
        window = self._window(call)
        brief, hole = self._written(call, window, brief=True)
        direct, scope, size = context.services.database.direct, context.scope, window.frame.size
        pages = Pages(direct, scope, brief, size)
        if hole is None:
            return Statement(pages=pages, frame=window.frame)
        whole, _ = self._written(call, window, brief=False)
        texts = Texts(direct, scope, hole)
        return Statement(pages=pages, frame=window.frame, texts=texts, whole=Pages(direct, scope, whole, size))

    def _several(self, call: "_Call", *, brief: bool) -> Prepared | None:
        return self._kept.more(lambda: self._written(call, self._window(call), brief=brief, together=True)[0])

    def _window(self, call: "_Call") -> Window:
        window: Window | None = self._metadata["cut"](call.context, call.given(call.variables))
        if window is None:
            raise NotInSql("what has to be looked up first")
        return window

    def _written(
        self, call: "_Call", window: Window, *, brief: bool, together: bool = False
    ) -> tuple[Prepared, Hole | None]:
        # as a number in the text: a plan for any limit would be one for a tenth of the table
        one = window.statement.limit(literal_column(str(window.frame.size + 1)))
        page = (several(window, one) if together else one).cte("page")
        writer = Writer(call.context, call.variables, page, window.frame.size, listed=True, brief=brief)
        objects = [writer.page_object(selection) for selection in self._objects]
        keys: list[ColumnElement[Any]] = [page.c[name] for name in window.frame.key_names()]
        order = directed(keys, descending=window.frame.descending)
        columns = [*objects, *keys, *([] if writer.hole is None else [writer.hole.version])]
        if together:
            order, columns = [page.c[PLACE], *order], [*columns, page.c[PLACE]]
        return prepare(page_statement(writer, page, columns, order)), writer.hole


class _Call(NamedTuple):
    """What a page is asked with."""

    context: Any
    given: Given
    variables: VariableValues
    binds: Mapping[str, Any]
