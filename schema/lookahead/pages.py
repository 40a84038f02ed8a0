"""A root field that is a page of a list, answered by one statement, or seldom by two."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson
from graphql import FieldNode
from graphql.execution.values import VariableValues
from sqlalchemy import ColumnElement, literal_column

from domain.direct import Prepared, prepare
from domain.page import Window, cursor_binds
from schema.lookahead import parts
from schema.lookahead.kept import Kept, Statement
from schema.lookahead.lists import Hole, Texts
from schema.lookahead.root import Given, Root
from schema.lookahead.selection import Asked, Selection, written
from schema.lookahead.text import NotInSql
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
        statement = self._find(context, variables, tuple(cursors), lambda: self._statement(context, given, variables))
        if statement is None or statement.frame is None:
            return None
        frame = statement.frame
        binds = [cursor_binds(frame.order, cursor, name) for name, cursor in cursors.items()]
        try:
            rows = await self._rows(context, statement, binds[0] if binds else {})
        except asyncpg.DataError:
            return None  # a value that PostgreSQL writes otherwise
        page = parts.PageRead(frame, rows, len(self._objects))
        answer = b"{%b}" % b",".join([key + part(page) for key, part in self._parts])
        if statement.texts is None or not rows:
            return Written(orjson.Fragment(answer))
        return await statement.texts.filled(answer, rows[0][-1])

    async def _rows(self, context: Any, statement: Statement, binds: Mapping[str, Any]) -> list[Any]:
        """Read the page: in brief, and in full where that leaves a row out, as the next ones then are at once."""
        fetch, texts, whole = context.services.database.direct.fetch, statement.texts, statement.whole
        if texts is None or whole is None or not texts.in_full:
            rows: list[Any] = await fetch(context.scope, statement.prepared, binds)
            shown = rows[: statement.frame.size] if statement.frame else rows
            if texts is None or whole is None or not any(None in row[: len(self._objects)] for row in shown):
                return rows
            texts.in_full = IN_FULL
        texts.in_full -= 1
        found: list[Any] = await fetch(context.scope, whole, binds)
        return found

    def _statement(self, context: Any, given: Given, variables: VariableValues) -> Statement:
        window: Window | None = self._metadata["cut"](context, given(variables))
        if window is None:
            raise NotInSql("what has to be looked up first")
        brief, hole = self._written(context, window, variables, brief=True)
        if hole is None:
            return Statement(brief, window.frame)
        whole, _ = self._written(context, window, variables, brief=False)
        texts = Texts(context.services.database.direct, context.scope, hole)
        return Statement(brief, window.frame, texts, whole=whole)

    def _written(
        self, context: Any, window: Window, variables: VariableValues, *, brief: bool
    ) -> tuple[Prepared, Hole | None]:
        # as a number in the text: a plan for any limit would be one for a tenth of the table
        page = window.statement.limit(literal_column(str(window.frame.size + 1))).cte("page")
        writer = Writer(context, variables, page, window.frame.size, listed=True, brief=brief)
        objects = [writer.page_object(selection) for selection in self._objects]
        keys: list[ColumnElement[Any]] = [page.c[name] for name in window.frame.key_names()]
        order = [key.desc() if window.frame.descending else key.asc() for key in keys]
        hole = writer.hole
        columns = [*objects, *keys, *([] if hole is None else [hole.version])]
        return prepare(page_statement(writer, page, columns, order)), hole
