"""A query for one row by its id, and what reads such rows for those who ask in one turn."""

from typing import TYPE_CHECKING, Any, NamedTuple

from graphql.execution.values import VariableValues

from schema.lookahead.rows import Rows

if TYPE_CHECKING:
    from schema.compiled.plan import Plan


class RowAsked(NamedTuple):
    """A query for one row by its id, with a plan that is kept and its variables."""

    plan: "Plan"
    values: VariableValues

    def answered(self, context: Any, row: Any) -> dict[str, Any]:
        """Return the data of the query with this row in it."""
        if self.plan.falls:
            self.plan.note(context, None)
        return {**self.plan.keys, self.plan.roots[0].key: row}


class Readings:
    """What reads rows with the rights of one context. What one plan's queries have in common is found once."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._found: dict[Plan, Rows] = {}

    def of(self, asked: RowAsked) -> tuple[Rows, int] | None:
        """Return what reads such rows and the row's id, or None where the plan has to be run."""
        plan, row = asked.plan, asked.plan.roots[0].statement
        try:
            rows = self._found.get(plan)
            if rows is None:
                rows = None if plan.rests(self._context) else row.reader(self._context, asked.values)
                if rows is None:
                    return None
                if row.is_the_same:
                    self._found[plan] = rows
            return rows, row.number(asked.values)
        except Exception:  # noqa: BLE001 (whoever runs the plan says what is wrong)
            return None
