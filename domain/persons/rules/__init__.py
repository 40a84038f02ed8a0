"""Which persons the identities of claims lead to. Pure."""

from domain.persons.rules.blocked import is_blocked
from domain.persons.rules.plan import Conflict, Held, Holding, Merge, Named, Plan, make_plan

__all__ = ["Conflict", "Held", "Holding", "Merge", "Named", "Plan", "is_blocked", "make_plan"]
