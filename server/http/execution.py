"""Running one operation of a validated document."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeGuard, cast

import strawberry
from graphql import DocumentNode, ExecutionResult, Executor, execute
from strawberry.execution import optimized_is_awaitable

from schema.compiled import CompiledExecutor
from schema.lookahead import LookAhead

ExecutorName = Literal["look_ahead", "compiled", "reference"]
# Strawberry types it as a plain predicate; graphql-core wants to hear that it narrows.
is_awaitable = cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)


def check_supported(schema: strawberry.Schema) -> None:
    """Refuse a schema whose extensions or operation directives this executor would leave out; raise ValueError."""
    if schema.extensions or schema.directives:
        raise ValueError("Schema extensions and operation directives are not run by this endpoint.")


def executor_of(schema: strawberry.Schema, name: ExecutorName, max_bytes: int) -> Any:
    """Return what runs the schema's operations; plans of them are kept up to a number of bytes."""
    if name == "reference":
        return execute_operation
    plan_root = LookAhead().plan_root if name == "look_ahead" else None
    return CompiledExecutor(schema, execute_operation, max_bytes=max_bytes, plan_root=plan_root)


async def execute_operation(
    schema: strawberry.Schema,
    document: DocumentNode,
    operation_name: str | None,
    variables: Mapping[str, Any],
    context: Any,
    *,
    hide_suggestions: bool = True,
    executor_class: type[Executor[Any]] | None = None,
) -> ExecutionResult:
    """Run the operation as strawberry's own `execute` would, without parsing and validating again."""
    result = execute(
        schema._schema,  # noqa: SLF001 (strawberry has no public name for the graphql-core schema)
        document,
        context_value=context,
        variable_values=dict(variables),
        operation_name=operation_name,
        executor_class=executor_class or schema.execution_context_class,
        is_awaitable=is_awaitable,
        hide_suggestions=hide_suggestions,
        max_coercion_errors=20,
        operation_extensions=None,
    )
    return result if isinstance(result, ExecutionResult) else await result
