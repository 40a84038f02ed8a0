"""Root fields answered by one statement: a row by its id, and a page of a list."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson
from graphql import FieldNode, GraphQLField, GraphQLSchema
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.values import VariableValues
from sqlalchemy import BigInteger, Text, any_, bindparam, cast
from sqlalchemy.dialects.postgresql import ARRAY

from domain.direct import prepare
from domain.errors import BadInput
from schema.lookahead.kept import Kept, Statement
from schema.lookahead.pages import OnePage
from schema.lookahead.root import Given, Root, sent
from schema.lookahead.rows import Rows
from schema.lookahead.selection import Collect, Reader, Selection, relations_below, written
from schema.lookahead.text import NotInSql
from schema.lookahead.write import Writer, page_statement
from schema.written import Written

MAX_RELATIONS = 16  # more cost more to plan than they save


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


class OneRow(Root):
    """A row found by its id. Those asked for at the same time by equal rights are read together."""

    changing = ("id",)

    def __init__(self, kept: Kept, metadata: Mapping[str, Any], node: FieldNode, below: Selection) -> None:
        super().__init__(kept, metadata, node, written(below))
        if "id" not in self._given:
            raise NotInSql
        self._id, self._read_id = self._given["id"], metadata["read_id"]

    async def run(self, context: Any, given: Given, variables: VariableValues) -> Written | None:
        """Return the row as JSON, or None where there is none to be written."""
        if context.services.database.direct is None:
            return None
        if sent(self._id, variables) is None:
            return None  # null for what must not be: whoever answers in another way says so
        statement = self._find(context, variables, None, lambda: self._statement(context, variables))
        if statement is None or statement.rows is None:
            return None
        try:
            found = await statement.rows.load(self.number(variables))
        except asyncpg.DataError:
            return None  # a value that PostgreSQL writes otherwise
        return None if found is None else Written(orjson.Fragment(found))

    @property
    def is_the_same(self) -> bool:
        """Tell whether one statement reads such rows whatever the variables are."""
        return not self._fixed

    def reader(self, context: Any, variables: VariableValues) -> Rows | None:
        """Return what reads such rows with the caller's rights where that is there: nothing is built.

        Raise DomainError for who may read none.
        """
        key = self._key(context, variables, None)
        statement = None if key is None else self._kept.get(key)
        return None if statement is None else statement.rows

    def number(self, variables: VariableValues) -> int:
        """Return the number of the row that is asked for; raise DomainError for what is no id of such a one."""
        given = sent(self._id, variables)
        if given is None:
            raise BadInput("An id cannot be null.", field=("id",))
        number: int = self._read_id(given, "id")
        return number

    def _statement(self, context: Any, variables: VariableValues) -> Statement:
        rows = self._metadata["select"](context.scope)
        table_id = rows.selected_columns["id"]
        # as text: the driver asks of each item of a list whether it is a list
        ids = cast(bindparam("own_ids", None, Text), ARRAY(BigInteger))
        page = rows.where(table_id == any_(ids)).cte("page")
        writer = Writer(context, variables, page, 1)
        row = writer.page_object(self._below)
        prepared = prepare(page_statement(writer, page, [page.c.id, row], []), confirming=True)
        return Statement(rows=Rows(context.services.database.direct, context.scope, prepared))
