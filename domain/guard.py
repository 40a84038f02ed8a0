"""The write guard: a session under a scope cannot write a row outside it, nor move a row to another tenant."""

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Delete, Insert, Table, Update, event, inspect, literal, null, or_
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.sql.elements import ClauseList
from sqlalchemy.sql.operators import in_op
from sqlalchemy.sql.visitors import replacement_traverse

from domain.errors import ScopeViolation
from domain.scope import LEVELS, Scope, TenantSet, tenant_columns
from domain.tables import table_of
from domain.walls import BRAND_TABLES, FAN_TABLES, OWN_TABLES

_FROZEN = ("group_id", "brand_id")


def install_guard(session_class: type[Session]) -> None:
    """Hold every session of the class to its scope, for objects at flush and for statements at execution."""
    event.listen(session_class, "before_flush", _check_objects)
    event.listen(session_class, "do_orm_execute", _check_statement)


def check_insert(scope: Scope, table: Table, *rows: Mapping[str, Any]) -> None:
    """Raise ScopeViolation where a row that is to be inserted past the session's statements lies outside the scope."""
    _check_rows(scope.reach, table, rows)


def _check_objects(session: Session, context: object, instances: object) -> None:
    reach: TenantSet = session.info["scope"].reach
    for changed in session.dirty:
        for name in _FROZEN:
            if name in inspect(changed).mapper.columns and inspect(changed).attrs[name].history.has_changes():
                raise ScopeViolation(f"{type(changed).__name__}.{name} cannot change")
    for touched in (*session.new, *session.dirty, *session.deleted):
        _check_rows(reach, table_of(type(touched)), [vars(touched)])


def _check_statement(state: ORMExecuteState) -> None:
    statement = state.statement
    reach: TenantSet = state.session.info["scope"].reach
    if not isinstance(statement, Insert | Update | Delete) or not isinstance(statement.table, Table):
        return
    if reach.everything or not _is_walled(statement.table):
        return
    if isinstance(statement, Insert):
        _check_rows(reach, statement.table, _rows(statement, state.parameters))
    else:
        _refuse_moves(statement, state.parameters)
        inside = _inside(reach, statement.table)
        state.statement = statement.where(inside if len(_sets(state.parameters)) == 1 else _written_out(inside))


def _inside(reach: TenantSet, table: Table) -> ColumnElement[bool]:
    if table.name in BRAND_TABLES:
        brands = table.c.brand_id.in_(sorted(reach.brands | reach.above_brands))
        return or_(table.c.group_id.in_(sorted(reach.groups)), brands)
    return reach.where_shared(table)


def _written_out(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Give each value of a list a parameter of its own: a statement run for many rows takes no list."""

    def write(element: Any, **_: Any) -> Any:
        if not isinstance(element, BindParameter) or not element.expanding:
            return None
        # there is nothing in an empty list, and nothing equals NULL
        return ClauseList(*(map(literal, element.value) if element.value else [null()])).self_group(against=in_op)

    return replacement_traverse(condition, {}, write)


def _refuse_moves(statement: Update | Delete, parameters: Any) -> None:
    named = set(_by_name(getattr(statement, "_values", None) or {}, {}))
    if any((named | set(row)) & set(_FROZEN) for row in _sets(parameters)):
        raise ScopeViolation(f"{statement.table} rows cannot move to another tenant")


def _rows(statement: Insert, parameters: Any) -> Iterable[Mapping[str, Any]]:
    """Return every row the insert may write; where a value is given twice, both rows it could mean."""
    if statement.select is not None:
        raise ScopeViolation(f"what a SELECT puts into {statement.table} cannot be checked")
    # SQLAlchemy has no public name for what an insert holds
    if statement._multi_values:  # noqa: SLF001
        return [_by_name(row, {}) for batch in statement._multi_values for row in batch]  # noqa: SLF001
    held: Mapping[Any, Any] = statement._values or {}  # noqa: SLF001
    if not held:
        return _sets(parameters)
    pairs = [(row, _by_name(held, row)) for row in _sets(parameters)]
    return [{**low, **high} for row, fixed in pairs for low, high in ((row, fixed), (fixed, row))]


def _sets(parameters: Any) -> Sequence[Mapping[str, Any]]:
    if not parameters:
        return [{}]
    return [parameters] if isinstance(parameters, Mapping) else list(parameters)


def _by_name(values: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ScopeViolation("rows without the names of their columns cannot be checked")
    return {str(getattr(column, "key", column)): _literal(value, parameters) for column, value in values.items()}


def _literal(value: Any, parameters: Mapping[str, Any]) -> Any:
    return parameters.get(value.key, value.value) if isinstance(value, BindParameter) else value


def _is_walled(table: Table) -> bool:
    return bool(tenant_columns(table).keys() & set(_FROZEN))


def _check_rows(reach: TenantSet, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    if reach.everything or not _is_walled(table):
        return
    columns = {level: column.key for level, column in tenant_columns(table).items()}
    # a batch has thousands of rows and a handful of places
    for place in {tuple(map(row.get, columns.values())) for row in rows}:
        if not _is_inside(reach, table, dict(zip(columns, place, strict=True))):
            raise ScopeViolation(f"a row of {table.name} lies outside the session's scope")


def _is_inside(reach: TenantSet, table: Table, place: dict[str, Any]) -> bool:
    if table.name in FAN_TABLES + OWN_TABLES:
        return reach.covers(SimpleNamespace(**dict.fromkeys(LEVELS) | place))
    # a row above the caller's nodes may be written too (an audit line of the brand by its dealer): the service decides
    own, group = table.info.get("node"), place.get("group_id")
    if own != "group_id" and "group_id" in place and group not in reach.groups | reach.above_groups:
        return False
    if own == "brand_id" or "brand_id" not in place:
        return True
    return place["brand_id"] in reach.brands | reach.above_brands or group in reach.groups
