"""From a selection to the expression that writes it as JSON."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from graphql import GraphQLList, GraphQLNonNull, get_nullable_type
from graphql.execution.values import VariableValues, get_argument_values
from sqlalchemy import CTE, ColumnClause, ColumnElement, FromClause, Select, and_, any_, case, func, null, select
from sqlalchemy.sql.visitors import iterate

from domain.reads import Among
from schema.lookahead.lists import Hole, Own, hole
from schema.lookahead.selection import Asked, Selection
from schema.lookahead.text import EMPTY, NULL, Items, NotInSql, Pieces, as_bytes, joined, leaf

Columns = Any  # the columns of a row by name: a FromClause's `.c`, or a mapping
# a page of so many refers to the same few often enough that each is better written once
MANY_ROWS = 200


class Writer:
    """Writes the objects of one statement. `joins` gathers what the rows of the page are to be joined with.

    With `listed`, a list that is kept written is left to be filled: `hole` says how, where there is one. With `brief`,
    a row whose list is not kept as it is asked for is NULL, since a plan for it costs what most rows do without.
    """

    hole: Hole | None = None

    def __init__(
        self,
        context: Any,
        variables: VariableValues,
        page: CTE,
        page_size: int,
        *,
        listed: bool = False,
        brief: bool = False,
    ) -> None:
        self._context = context
        self._variables = variables
        self._page = page
        self._page_size = page_size
        self._listed = listed
        self._brief = brief
        self.joins: list[tuple[FromClause, ColumnElement[bool]]] = []

    def page_object(self, selection: Selection) -> ColumnElement[bytes]:
        """Return the JSON of a row of the page, as the bytes that are sent."""
        return as_bytes(joined(self._object(selection, self._page.c, self._page)))

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
            found = _column(columns, bound.python_name)
            return [found] if isinstance(found, Own) else leaf(found, field.type)
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
        pieces = self._object(below, rows.c, rows)
        if isinstance(get_nullable_type(field.type), GraphQLList):
            items = Items.of(pieces)
            # the aggregate takes the rows as the sub-select sorts them
            gathered = select(items.gathered(joined(items.own))).select_from(rows).scalar_subquery()
            return ["[", items.listed(gathered), "]"]
        if isinstance(field.type, GraphQLNonNull):
            raise NotInSql(asked.key)
        return [func.coalesce(select(joined(pieces)).select_from(rows).scalar_subquery(), NULL)]

    def _among(self, among: Among, below: Selection, row: FromClause, first: int) -> Pieces:
        readable = among.readable(self._context.scope, row)
        referred: FromClause = among.referred.rows(self._context.scope).subquery()
        kept = self._kept(among, below, referred, readable) if row is self._page else None
        if kept is not None and self._brief:
            length, text, there = kept
            whens = [((length > first) | ((length > 0) & ~there), null()), (length > 0, text)]
            return ["[", case(*whens, else_=EMPTY), "]"]
        own = among.rows.selected_columns
        columns = {**dict(referred.c.items()), **dict(own.items())}
        items = Items.of(self._object(below, columns, None))
        if row is self._page and self._page_size >= MANY_ROWS:
            referred, items = self._said_once(referred, items)
        owner = own[among.owner]
        rows = among.rows.join(referred, referred.c.id == own[among.referred.column])
        rows = rows.with_only_columns(owner.label("owner"), joined(items.own).label("written"))
        mine = rows.where(owner == row.c.id, readable).order_by(*among.order).limit(first).correlate(row).subquery()
        few = items.listed(select(items.gathered(mine.c.written)).select_from(mine).scalar_subquery())
        if kept is not None:
            length, text, there = kept
            # a longer list is cut, and a weight that JSON writes otherwise is written, by a read of its own
            whens = [((length > first) | ((length > 0) & ~there), few), (length > 0, text)]
            return ["[", case(*whens, else_=EMPTY), "]"]
        return ["[", self._of_all(rows, among, items, readable, few, first) if row is self._page else few, "]"]

    def _kept(
        self, among: Among, below: Selection, referred: FromClause, readable: ColumnElement[bool]
    ) -> tuple[ColumnElement[int], ColumnElement[str], ColumnElement[bool]] | None:
        """Return of a list that is kept written its length, its text and that there is one; None where that cannot be.

        A statement has one: what stands for an id is its list's.
        """
        if not self._listed or among.listed is None or self.hole is not None:
            return None
        kept = among.listed.rows.alias("kept")
        columns = {**dict(referred.c.items()), among.referred.column: referred.c.id}
        try:
            item = self._object(below, columns | {name: Own(name) for name in among.listed.owns}, None)
            self.hole, text, there = hole(kept, among.listed, item, referred, self._context.scope)
        except NotInSql:
            return None
        self.joins.append((kept, and_(kept.c[among.owner] == self._page.c.id, readable)))
        return kept.c.length, text, there

    def _of_all(
        self,
        rows: Select[Any],
        among: Among,
        items: Items,
        readable: ColumnElement[bool],
        few: ColumnElement[str],
        first: int,
    ) -> ColumnElement[str]:
        """Return the list of a row of the page, read with those of all others; one that is longer is read alone."""
        owner = among.rows.selected_columns[among.owner]
        owners = select(self._page.c.id).where(readable).scalar_subquery()
        # sorted once for all owners: an aggregate that sorts would begin a sort for each of them
        every = rows.where(owner == any_(func.array(owners))).order_by(owner, *among.order).subquery()
        columns = (every.c.owner, items.gathered(every.c.written).label("written"), func.count().label("length"))
        grouped = select(*columns).group_by(every.c.owner).cte(f"grouped_{len(self.joins)}")
        self.joins.append((grouped, grouped.c.owner == self._page.c.id))
        return case((grouped.c.length > first, few), else_=items.listed(grouped.c.written))

    def _said_once(self, referred: FromClause, items: Items) -> tuple[FromClause, Items]:
        """Write what is shown of a referred row alone once for each, however many rows refer to it."""
        columns: list[ColumnElement[Any]] = [referred.c.id]
        places: list[int | str | ColumnElement[str]] = []
        for alone, run in groupby(items.own, lambda piece: isinstance(piece, str) or _reads_only(piece, referred)):
            pieces = list(run)
            if alone and any(not isinstance(piece, str) for piece in pieces):
                places.append(len(columns))
                columns.append(joined(pieces).label(f"text_{len(columns)}"))
            else:
                places += pieces
        name = f"said_once_{len(self.joins)}"
        once = select(*columns).cte(name).prefix_with("MATERIALIZED")
        return once, items._replace(own=[once.c[f"text_{p}"] if isinstance(p, int) else p for p in places])


def _reads_only(expression: ColumnElement[Any], source: FromClause) -> bool:
    found = [part for part in iterate(expression) if isinstance(part, ColumnClause) and part.table is not None]
    return all(part.table is source for part in found)


def page_statement(
    writer: Writer, page: CTE, written: Sequence[ColumnElement[Any]], order: Sequence[ColumnElement[Any]]
) -> Select[Any]:
    """Return the statement of a page whose rows are written so."""
    source: Any = page
    for joined_to, belongs in writer.joins:
        source = source.outerjoin(joined_to, belongs)
    return select(*written).select_from(source).order_by(*order)


def _column(columns: Columns, name: str) -> Any:
    try:
        return columns[name]
    except KeyError:
        raise NotInSql(name) from None
