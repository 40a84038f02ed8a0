"""The write guard: a session under a scope cannot write a row outside it, nor move a row to another tenant."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Delete, Insert, Table, Update, event, inspect
from sqlalchemy.orm import ORMExecuteState, Session

from domain.errors import ScopeViolation
from domain.scope import TenantSet, tenant_columns

_FROZEN = ("group_id", "brand_id")


def install_guard(session_class: type[Session]) -> None:
    """Hold every session of the class to its scope, for objects at flush and for statements at execution."""
    event.listen(session_class, "before_flush", _check_objects)
    event.listen(session_class, "do_orm_execute", _check_statement)


def _check_objects(session: Session, context: object, instances: object) -> None:
    reach: TenantSet = session.info["scope"].reach
    for changed in session.dirty:
        for name in _FROZEN:
            if name in inspect(changed).mapper.columns and inspect(changed).attrs[name].history.has_changes():
                raise ScopeViolation(f"{type(changed).__name__}.{name} cannot change")
    for touched in (*session.new, *session.dirty, *session.deleted):
        _check_row(reach, inspect(type(touched)).local_table, touched)


def _check_statement(state: ORMExecuteState) -> None:
    statement = state.statement
    if not isinstance(statement, Insert | Update | Delete) or not isinstance(statement.table, Table):
        return
    table: Table = statement.table
    reach: TenantSet = state.session.info["scope"].reach
    if isinstance(statement, Insert):
        for row in _rows(statement, state.parameters):
            _check_row(reach, table, _Columns(row))
    elif _is_walled(table) and not reach.everything:
        _refuse_moves(statement)
        state.statement = statement.where(reach.where_shared(table))


def _refuse_moves(statement: Update | Delete) -> None:
    moved = {getattr(column, "key", column) for column in getattr(statement, "_values", None) or ()}
    if moved & set(_FROZEN):
        raise ScopeViolation(f"{statement.table} rows cannot move to another tenant")


def _rows(statement: Insert, parameters: Any) -> Iterable[Mapping[str, Any]]:
    if isinstance(parameters, Mapping):
        yield parameters
    elif parameters:
        yield from parameters
    elif statement._multi_values:  # noqa: SLF001 (SQLAlchemy has no public name for what an insert holds)
        for batch in statement._multi_values:  # noqa: SLF001
            yield from (_by_name(row) for row in batch if isinstance(row, Mapping))
    elif statement._values:  # noqa: SLF001
        yield _by_name(statement._values)  # noqa: SLF001


def _by_name(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(getattr(column, "key", column)): getattr(value, "value", value) for column, value in values.items()}


def _is_walled(table: Table) -> bool:
    return bool(set(tenant_columns(table)) & {"group_id", "brand_id"})


def _check_row(reach: TenantSet, table: Any, row: Any) -> None:
    # a row above the caller's nodes may be written too (an audit line of the brand by its dealer): the service decides
    if reach.everything or not isinstance(table, Table) or not _is_walled(table):
        return
    places = [("group_id", reach.groups | reach.above_groups), ("brand_id", reach.brands | reach.above_brands)]
    own = table.info.get("node")
    for name, nodes in places:
        if name == own or name not in table.c:
            continue
        value = getattr(row, name, None)
        inside = value in nodes or (name == "brand_id" and (value is None or row.group_id in reach.groups))
        if not inside and not (name == "group_id" and value is None):
            raise ScopeViolation(f"a row of {table.name} with {name}={value} lies outside the session's scope")


class _Columns:
    """A row of parameters read like an object."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        return self._values.get(name)
