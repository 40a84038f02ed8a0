"""Operations executed by plans, a level at a time."""

from schema.compiled.executor import CompiledExecutor, RowAsked

__all__ = ["CompiledExecutor", "RowAsked"]
