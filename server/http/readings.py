"""What reads the rows that are asked for in one turn, found once for all queries of one plan."""

from typing import Any

from schema.compiled import Plan, RowAsked
from schema.lookahead.rows import Rows

Reading = tuple[Rows, int]


class Readings:
    """What reads rows with the rights of one context."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._found: dict[Plan, Rows] = {}

    def of(self, asked: RowAsked) -> Reading | None:
        """Return what reads such rows and the row's id, or None where the plan has to be run.

        Raise DomainError for who may read none, and for what is no id of such a row.
        """
        plan, row = asked.plan, asked.plan.roots[0].statement
        rows = self._found.get(plan)
        if rows is None:
            rows = None if plan.rests(self._context) else row.reader(self._context, asked.values)
            if rows is None:
                return None
            # of a plan that fell, not all that come together are a try
            if row.is_the_same and not plan.has_fallen(self._context):
                self._found[plan] = rows
        return rows, row.number(asked.values)
