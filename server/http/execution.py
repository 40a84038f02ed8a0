"""Running one operation of a validated document."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeGuard, cast

import strawberry
from graphql import DocumentNode, ExecutionResult, execute
from strawberry.execution import optimized_is_awaitable

# Strawberry types it as a plain predicate; graphql-core wants to hear that it narrows.
_is_awaitable = cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)


def check_supported(schema: strawberry.Schema) -> None:
    """Refuse a schema whose extensions or operation directives this executor would leave out; raise ValueError."""
    if schema.extensions or schema.directives:
        raise ValueError("Schema extensions and operation directives are not run by this endpoint.")


async def execute_operation(
    schema: strawberry.Schema,
    document: DocumentNode,
    operation_name: str | None,
    variables: Mapping[str, Any],
    context: Any,
    *,
    hide_suggestions: bool = True,
) -> ExecutionResult:
    """Run the operation as strawberry's own `execute` would, without parsing and validating again."""
    result = execute(
        schema._schema,  # noqa: SLF001 (strawberry has no public name for the graphql-core schema)
        document,
        context_value=context,
        variable_values=dict(variables),
        operation_name=operation_name,
        executor_class=schema.execution_context_class,
        is_awaitable=_is_awaitable,
        hide_suggestions=hide_suggestions,
        max_coercion_errors=20,
        operation_extensions=None,
    )
    return result if isinstance(result, ExecutionResult) else await result
