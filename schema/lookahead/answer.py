"""Root fields answered by one statement: a row by its id, and a page of a list."""

from collections.abc import Callable, Hashable, Mapping
from hashlib import blake2b
from itertools import count
from typing import Any

import asyncpg
import orjson
from graphql import FieldNode, GraphQLField, GraphQLSchema, NullValueNode, VariableNode
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues
from sqlalchemy import BigInteger, ColumnElement, Text, any_, bindparam, cast, literal_column
from sqlalchemy.dialects.postgresql import ARRAY

from domain.direct import Prepared, prepare
from domain.errors import DomainError
from domain.page import Window, cursor_binds
from schema.bind import require
from schema.lookahead import parts
from schema.lookahead.kept import Kept, Statement
from schema.lookahead.lists import Hole, Texts
from schema.lookahead.rows import Rows
from schema.lookahead.selection import (
    Asked,
    Collect,
    Reader,
    Selection,
    arguments_below,
    relations_below,
    variables_of,
    written,
)
from schema.lookahead.text import NotInSql
from schema.lookahead.write import Writer, page_statement
from schema.written import Written

_NUMBERS = count()
IN_FULL = 100  # pages, from one on that could not be read in brief
# beyond these a statement costs more to make, to keep and to plan than it saves
MAX_RELATIONS, MAX_TEXT, MAX_VARIABLE_BYTES, MAX_BREADTH = 16, 32_000, 4_000, 100
Given = Callable[[VariableValues], dict[str, Any]]  # the arguments as the resolver takes them


class LookAhead:
    """The look-ahead of one schema, with what it has compiled."""

    def __init__(self) -> None:
        self._kept = Kept()

    def plan_root(
        self,
        core: GraphQLSchema,
        field: GraphQLField,
        details: list[FieldDetails],
        collect: Collect,
    ) -> "OneRow | OnePage | None":
        """Return what answers a root field in one statement, or None where that cannot be."""
        metadata = field.extensions["strawberry-definition"].metadata
        kind = OneRow if metadata.get("select") else OnePage if metadata.get("cut") else None
        try:
            below = Reader(core, collect).below(field, details) if kind else None
            if below is not None and relations_below(below) > MAX_RELATIONS:
                return None
            return kind(self._kept, metadata, details[0].node, below) if kind and below else None
        except NotInSql:
            return None


class _Root:
    """A root field: what was bound to it, what is asked below it, and which variables change from call to call."""

    changing: tuple[str, ...] = ()

    def __init__(self, kept: Kept, metadata: Mapping[str, Any], node: FieldNode, below: Selection) -> None:
        self._kept = kept
        # kept by a number and not by itself: what was compiled must not keep a plan alive that was dropped
        self._number = next(_NUMBERS)
        self._metadata = metadata
        self._below = below
        # fields that merge have the same arguments
        arguments = node.arguments or ()
        self._given = {a.name.value: a.value for a in arguments if a.name.value in self.changing}
        everywhere = variables_of(arguments) + variables_of(arguments_below(below))
        own = {value.name.value for value in self._given.values() if isinstance(value, VariableNode)}
        # what the statement is compiled for: all that stands here and below, but what is bound at each call
        self._fixed = sorted(name for name in set(everywhere) if name not in own or everywhere.count(name) > 1)

    def _changed(self, variables: VariableValues) -> dict[str, Any]:
        """Return what was given for the arguments that change, but nulls."""
        sent = {name: _sent(value, variables) for name, value in self._given.items()}
        return {name: value for name, value in sent.items() if value is not None}

    def _find(
        self, context: Any, variables: VariableValues, shape: object, build: Callable[[], Statement]
    ) -> Statement | None:
        """Return the statement for these rights, variables and shape of a call, built where it is worth it."""
        key = self._key(context, variables, shape)
        kept = None if key is None else self._kept.get(key)
        return self._built(key, build) if kept is None and key is not None else kept

    def _key(self, context: Any, variables: VariableValues, shape: object) -> Hashable | None:
        """Say what the statement is kept by, or None where none is made; raise DomainError for who may not ask."""
        require(context, self._metadata["permission"])
        digest = self._digest(variables) if self._fixed else b""
        if digest is None or context.scope.breadth > MAX_BREADTH:
            return None
        return self._number, context.scope.digest, context.max_page, shape, digest

    def _built(self, key: Hashable, build: Callable[[], Statement]) -> Statement | None:
        def built() -> Statement | None:
            try:
                made = build()
            except (NotInSql, DomainError):
                return None  # whoever answers in another way says what is wrong
            return made if len((made.whole or made.prepared).text) <= MAX_TEXT else None

        return self._kept.find(key, built)

    def _digest(self, variables: VariableValues) -> bytes | None:
        """Say what the variables are that the statement is compiled for, or None where they are too many bytes."""
        fixed = {name: variables.coerced[name] for name in self._fixed if name in variables.coerced}
        written = orjson.dumps(fixed, default=repr)
        return blake2b(written, digest_size=16).digest() if len(written) <= MAX_VARIABLE_BYTES else None


def _sent(value: Any, variables: VariableValues) -> Any:
    if isinstance(value, VariableNode):
        return variables.coerced.get(value.name.value)
    return None if isinstance(value, NullValueNode) else value.value


class OneRow(_Root):
    """A row found by its id. Those asked for at the same time by equal rights are read together."""

    changing = ("id",)

    def __init__(self, kept: Kept, metadata: Mapping[str, Any], node: FieldNode, below: Selection) -> None:
        super().__init__(kept, metadata, node, written(below))

    async def run(self, context: Any, given: Given, variables: VariableValues) -> Written | None:
        """Return the row as JSON, or None where there is none to be written."""
        if context.services.database.direct is None:
            return None
        changed = self._changed(variables)
        if not changed:
            return None  # null for what must not be: whoever answers in another way says so
        statement = self._find(context, variables, None, lambda: self._statement(context, variables))
        if statement is None or statement.rows is None:
            return None
        try:
            found = await statement.rows.load(self._metadata["own_id"](changed))
        except asyncpg.DataError:
            return None  # a value that PostgreSQL writes otherwise
        return None if found is None else Written(orjson.Fragment(found))

    def reading(self, context: Any, variables: VariableValues) -> tuple[Rows, int] | None:
        """Return what reads such rows with the caller's rights, and the id, where that is there: nothing is built.

        Raise DomainError for who may read none.
        """
        key = self._key(context, variables, None)
        statement = None if key is None else self._kept.get(key)
        if statement is None or statement.rows is None:
            return None
        return statement.rows, self._metadata["own_id"](self._changed(variables))

    def _statement(self, context: Any, variables: VariableValues) -> Statement:
        rows = self._metadata["select"](context.scope)
        table_id = rows.selected_columns["id"]
        # as text: the driver asks of each item of a list whether it is a list
        ids = cast(bindparam("own_ids", None, Text), ARRAY(BigInteger))
        page = rows.where(table_id == any_(ids)).cte("page")
        writer = Writer(context, variables, page, 1)
        row = writer.page_object(self._below)
        prepared = prepare(page_statement(writer, page, [page.c.id, row], []), confirming=True)
        return Statement(prepared, rows=Rows(context.services.database.direct, context.scope, prepared))


class OnePage(_Root):
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
