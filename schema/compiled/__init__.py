"""Operations executed by plans, a level at a time."""

from schema.compiled.cache import Operation, RowAsked
from schema.compiled.executor import CompiledExecutor, Counted
from schema.compiled.plan import Plan

__all__ = ["CompiledExecutor", "Counted", "Operation", "Plan", "RowAsked"]
