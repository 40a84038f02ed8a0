"""The compiled executor: a plan once, then whole levels at a time. Whatever it cannot do, graphql-core does."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import strawberry
from graphql import DocumentNode, ExecutionResult
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from domain.errors import Timeout, Unavailable
from schema.compiled.cache import Operation, Operations
from schema.compiled.complete import value
from schema.compiled.plan import Plan, Planner, PlanRoot

PATIENCE_SECONDS = 1.0


class Counted(ExecutionResult):
    """A result without errors whose fields were counted while it was made."""

    __slots__ = ("fields",)

    def __init__(self, data: dict[str, Any], fields: int) -> None:
        super().__init__(data, None)
        self.fields = fields


class CompiledExecutor:
    """Runs the operations of one schema in the place of the reference, and by it what it cannot run itself.

    The reference is called as this is, and for a mutation with an `executor_class` to run it by.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        reference: Callable[..., Awaitable[ExecutionResult]],
        *,
        max_bytes: int,
        plan_root: PlanRoot | None = None,
    ) -> None:
        self._schema = schema
        self._reference = reference
        self._plan_root = plan_root
        self._operations = Operations(schema._schema, max_bytes)  # noqa: SLF001 (strawberry has no public name for it)

    async def __call__(
        self,
        schema: strawberry.Schema,
        document: DocumentNode,
        operation_name: str | None,
        variables: dict[str, Any],
        context: Any,
        *,
        hide_suggestions: bool,
    ) -> ExecutionResult:
        """Run the operation by its plan, or from the start by the reference."""
        plan, values = self._find(document, operation_name, variables) if schema is self._schema else (None, None)
        executor_class = None
        if plan is not None and values is not None and not plan.rests(context):
            executor_class = plan.mutation
            found = None if executor_class else await _attempt(plan, context, plan.query(context, values))
            if found is not None:
                data, fields = found
                return ExecutionResult(data, None) if fields is None else Counted(data, fields)
        given = {} if executor_class is None else {"executor_class": executor_class}
        return await self._reference(
            schema, document, operation_name, variables, context, hide_suggestions=hide_suggestions, **given
        )

    def find(self, document: DocumentNode, name: str | None) -> Operation | None:
        """Return the operation of a valid document that would run, with its plans, or None where there is none."""
        return self._operations.find(document, name)

    def _find(
        self, document: DocumentNode, name: str | None, variables: dict[str, Any]
    ) -> tuple[Plan | None, VariableValues | None]:
        operation = self._operations.find(document, name)
        values = operation.coerce(variables) if operation else None
        if operation is None or values is None:
            return None, None
        variant = operation.variant(values.coerced)
        found = operation.plans.get(variant)
        if found is not None:
            operation.plans.move_to_end(variant)
            return found[0], values
        return None if operation.is_crowded() else self._plan(operation, variant, values), values

    def _plan(self, operation: Operation, variant: tuple[Any, ...], values: VariableValues) -> Plan | None:
        planner = Planner(self._schema, operation, values, self._plan_root)
        try:
            plan = planner.plan()
            plan.mutation = type("Mutation", (_Mutation,), {"plan": plan}) if plan.payloads else None
        except Exception:  # noqa: BLE001 (whatever it is, the reference meets it too and says it)
            plan = None
        self._operations.keep(operation, variant, plan, planner.fields)
        return plan


class _Mutation(StrawberryGraphQLCoreExecutionContext):
    """graphql-core runs the root fields, once and in order; the plan completes what they answered."""

    plan: Plan

    def complete_object_value(self, *args: Any) -> Any:
        """Complete the payload of a root field by the plan, and everything else as ever."""
        path, found = args[3:5]
        plainly = partial(super().complete_object_value, *args)
        return plainly() if path.prev else self._complete(path.key, found, plainly)

    async def _complete(self, key: str, found: Any, plainly: Callable[[], Any]) -> Any:
        answer = value(self.plan.payloads[key], self.context_value, self.variable_values, found)
        row = await _attempt(self.plan, self.context_value, answer)
        if row is None:
            row = plainly()
        return await row if optimized_is_awaitable(row) else row


async def _attempt(plan: Plan, context: Any, answer: Awaitable[Any]) -> Any:
    """Return what the plan answers, or None where it does not hold. A cancellation is no reason to try again."""
    began = time.monotonic()
    try:
        found = await answer
    except Exception as error:
        if isinstance(error, Timeout | Unavailable) and time.monotonic() - began > PATIENCE_SECONDS:
            raise  # what was waited for in vain is not asked for again
        plan.note(context, error)
        return None
    plan.note(context, None)
    return found
