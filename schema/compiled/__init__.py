"""Operations executed by plans, a level at a time."""

from schema.compiled.executor import CompiledExecutor, Counted, RowAsked

__all__ = ["CompiledExecutor", "Counted", "RowAsked"]
