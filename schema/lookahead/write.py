"""From a selection to the expression that writes it as JSON."""

from collections.abc import Sequence
from typing import Any

from graphql import GraphQLList, GraphQLNonNull, get_nullable_type
from graphql.execution.values import VariableValues, get_argument_values
from sqlalchemy import CTE, ColumnElement, FromClause, Select, Text, any_, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY

from domain.reads import Among
from schema.lookahead.selection import Asked, Selection
from schema.lookahead.text import EMPTY, NULL, NotInSql, Pieces, constant, joined, leaf

Columns = Any  # the columns of a row by name: a FromClause's `.c`, or a mapping


class Writer:
    """Writes the objects of one statement. `grouped` gathers what the rows of the page are to be joined with."""

    def __init__(self, context: Any, variables: VariableValues, page: CTE) -> None:
        self._context = context
        self._variables = variables
        self._page = page
        self.grouped: list[tuple[CTE, ColumnElement[bool]]] = []

    def page_object(self, selection: Selection) -> ColumnElement[bytes]:
        """Return the JSON of a row of the page, as the bytes that are sent."""
        written = joined(self._object(selection, self._page.c, self._page))
        return func.convert_to(written, literal_column("'UTF8'"))

    def _object(self, selection: Selection, columns: Columns, row: FromClause | None) -> Pieces:
        pieces: Pieces = ["{"]
        for place, asked in enumerate(selection.asked):
            pieces.append(f'{"," if place else ""}"{asked.key}":')
            pieces += [f'"{selection.type.name}"'] if asked.field is None else self._field(asked, columns, row)
        return [*pieces, "}"]

    def _field(self, asked: Asked, columns: Columns, row: FromClause | None) -> Pieces:
        field, bound = asked.field, asked.bound
        assert field is not None
        if bound.is_basic_field:
            return leaf(_column(columns, bound.python_name), field.type)
        twin = bound.metadata.get("sql")
        if twin is not None:
            found = twin(columns)
            return leaf(found, field.type) if asked.below is None else self._object(asked.below, found, None)
        if row is None or asked.below is None:
            raise NotInSql(asked.key)
        return self._relation(asked, asked.below, row)

    def _relation(self, asked: Asked, below: Selection, row: FromClause) -> Pieces:
        field, metadata = asked.field, asked.bound.metadata
        assert field is not None
        if not field.args.keys() <= {"first"}:
            raise NotInSql(asked.key)  # others would have to be converted as strawberry does
        given = metadata["admit"](self._context, get_argument_values(field, asked.node, self._variables))
        if metadata["among"] is not None:
            return self._among(metadata["among"], below, row, **given)
        rows = metadata["each"](self._context.scope, row, **given).subquery()
        written = joined(self._object(below, rows.c, rows))
        if not isinstance(get_nullable_type(field.type), GraphQLList):
            if isinstance(field.type, GraphQLNonNull):
                raise NotInSql(asked.key)
            return [func.coalesce(select(written).select_from(rows).scalar_subquery(), NULL)]
        # the aggregate takes the rows as the sub-select sorts them
        return _listed(select(func.string_agg(written, constant(","))).select_from(rows).scalar_subquery())

    def _among(self, among: Among, below: Selection, row: FromClause, first: int) -> Pieces:
        scope = self._context.scope
        rows = among.rows(scope)
        owner = rows.selected_columns[among.owner]
        readable = among.readable(scope, row)
        if row is not self._page:
            own = rows.where(owner == row.c.id, readable).order_by(*among.order).limit(first).correlate(row).subquery()
            written = joined(self._object(below, own.c, own))
            return _listed(select(func.string_agg(written, constant(","))).select_from(own).scalar_subquery())
        owners = select(row.c.id).where(readable).scalar_subquery()
        # sorted once for all owners: an aggregate that sorts would begin a sort for each of them
        own = rows.where(owner == any_(func.array(owners))).order_by(owner, *among.order).subquery()
        every = func.array_agg(joined(self._object(below, own.c, own)), type_=ARRAY(Text))[1:first]
        whole = select(own.c[among.owner].label("owner"), func.array_to_string(every, constant(",")).label("written"))
        grouped = whole.group_by(own.c[among.owner]).cte(f"grouped_{len(self.grouped)}")
        self.grouped.append((grouped, grouped.c.owner == row.c.id))
        return _listed(grouped.c.written)


def page_statement(
    writer: Writer, page: CTE, written: Sequence[ColumnElement[Any]], order: Sequence[ColumnElement[Any]]
) -> Select[Any]:
    """Return the statement of a page whose rows are written so."""
    source: Any = page
    for grouped, belongs in writer.grouped:
        source = source.outerjoin(grouped, belongs)
    return select(*written).select_from(source).order_by(*order)


def _listed(items: ColumnElement[Any]) -> Pieces:
    return ["[", func.coalesce(items, EMPTY), "]"]


def _column(columns: Columns, name: str) -> ColumnElement[Any]:
    try:
        return columns[name]  # type: ignore[no-any-return]
    except KeyError:
        raise NotInSql(name) from None
