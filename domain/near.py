"""Pages of lists whose filter may hold for nearly all rows or for nearly none, which no statistics tell beforehand.

One statement looks among the next few thousand rows of the order first, row by row. Where they do not fill the page,
what the filter finds is few, or lies elsewhere: then all of it is found by the filter's own indexes, and sorted.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, case, func, literal, literal_column, or_, select, union_all

from domain.page import Frame, PageArgs, Sort, Window, after_key, directed, framed, window

ROWS = 5_000


@dataclass(frozen=True)
class Near:
    """What an order is read from: `keys` selects the sort's columns of one index, by their names.

    Every row of the list must be among them; what else is does no harm. `statement` is the list again, in a form that
    is decided by looking at a row. Where `worth` does not hold nothing is looked at.
    """

    keys: Select[Any]
    statement: Select[Any]
    worth: ColumnElement[bool] | None = None


def window_near(statement: Select[Any], order: Sort, args: PageArgs, near: Near) -> Window:
    """Cut a window out of the statement, whose rows the last of the order's columns names, by what is near first."""
    frame, key = framed(order, args)
    if order.gapped and (frame.backwards if key is None else key[0] is None):
        return window(statement, order, args)  # it begins among those without a value
    begun = _begun(near, frame, key).cte("begun")
    enough = select(func.count()).select_from(begun).scalar_subquery() > frame.size
    arms = (
        select(begun).limit(case((enough, frame.size + 1), else_=0)).subquery(),
        select(_every(statement, frame, key).subquery()).limit(case((enough, 0), else_=frame.size + 1)).subquery(),
    )
    return Window(_whole(union_all(*(select(arm) for arm in arms)).subquery("page"), frame), frame, statement)


def _whole(page: Subquery, frame: Frame) -> Select[Any]:
    """Select the rows of a page of keys: up to here they are narrow."""
    *heads, own = frame.order.columns
    beside = [page.c[str(head.key)] for head in heads if head.table is not own.table]
    rows = select(own.table, *beside).where(own == page.c[str(own.key)])
    return rows.order_by(*_directed(page.c, frame)).limit(frame.size + 1)


def _begun(near: Near, frame: Frame, key: list[Any] | None) -> Select[Any]:
    names = frame.key_names()
    columns = [near.keys.selected_columns[name] for name in names]
    rows = near.keys.where(columns[0].is_not(None)) if frame.order.gapped else near.keys
    if key is not None:
        rows = rows.where(after_key(columns, _bound(key, frame), descending=frame.descending))
    rows = rows.order_by(*directed(columns, descending=frame.descending)).limit(literal_column(str(ROWS)))
    if near.worth is not None:
        following = rows.subquery("next")
        order = directed([following.c[name] for name in names], descending=frame.descending)
        rows = select(following).order_by(*order).limit(case((near.worth, ROWS), else_=0))
    walked = rows.subquery("walked").c
    kept = [walked[name] for name in names]
    found = near.statement.with_only_columns(*kept).where(frame.order.columns[-1] == kept[-1])
    return found.order_by(*directed(kept, descending=frame.descending)).limit(frame.size + 1)


def _every(statement: Select[Any], frame: Frame, key: list[Any] | None) -> Select[Any]:
    # the OFFSET keeps the databases from reading it in the order once more
    rows = statement.with_only_columns(*frame.order.columns).offset(0).subquery("every").c
    chosen = select(*rows)
    if key is not None:
        columns = [rows[name] for name in frame.key_names()]
        beyond = after_key(columns, _bound(key, frame), descending=frame.descending)
        gap_follows = frame.order.gapped and not frame.backwards
        chosen = chosen.where(or_(beyond, columns[0].is_(None)) if gap_follows else beyond)
    return chosen.order_by(*_directed(rows, frame)).limit(frame.size + 1)


def _bound(key: list[Any], frame: Frame) -> list[ColumnElement[Any]]:
    return [literal(value, column.type) for value, column in zip(key, frame.order.columns, strict=True)]


def _directed(rows: Any, frame: Frame) -> list[ColumnElement[Any]]:
    columns = [rows[name] for name in frame.key_names()]
    missing = columns[0].is_(None)
    gap = [missing.desc() if frame.backwards else missing.asc()] if frame.order.gapped else []
    return [*gap, *directed(columns, descending=frame.descending)]
