"""Operations executed by plans, a level at a time."""

from schema.compiled.cache import Operation
from schema.compiled.executor import CompiledExecutor, Counted

__all__ = ["CompiledExecutor", "Counted", "Operation"]
