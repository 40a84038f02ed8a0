"""Subscriptions: the stream of an operation, and its answer for each of what the stream brings."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import strawberry
from graphql import DocumentNode, ExecutionResult, Executor, create_source_event_stream

from server.http.execution import is_awaitable


@runtime_checkable
class Feed(Protocol):
    """What the resolver of a subscription answers where rights decide over each row of what comes: several at once."""

    def admit(self, context: Any, rows: Sequence[Any]) -> Sequence[Any]:
        """Return those the caller may see now, in their order; raise what ends the subscription, were there none."""

    def __aiter__(self) -> AsyncIterator[Sequence[Any]]:
        """Bring rows until there are no more."""


class Stream:
    """One subscription under way."""

    def __init__(self, executor: Executor[Any], source: Any) -> None:
        self._executor = executor
        self._source = source
        self._feed = source if isinstance(source, Feed) else None
        self._items: AsyncIterator[Any] = aiter(source)

    async def next(self) -> Sequence[Any] | None:
        """Wait for what comes next, or return None at the end."""
        try:
            item = await anext(self._items)
        except StopAsyncIteration:
            return None
        return cast("Sequence[Any]", item) if self._feed is not None else (item,)

    def admit(self, context: Any, rows: Sequence[Any]) -> Sequence[Any]:
        """Return the rows to be answered under this context; raise what ends the subscription."""
        return rows if self._feed is None else self._feed.admit(context, rows)

    async def answer(self, row: Any, context: Any) -> ExecutionResult:
        """Run the operation's selection on a row, under the rights its reader has now."""
        executor = self._executor.build_per_event_executor(row)
        executor.context_value = context
        result = executor.execute_operation(serially=False)
        return cast("ExecutionResult", await result if is_awaitable(result) else result)

    async def close(self) -> None:
        """Let go of what brings the rows."""
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()


async def open_stream(
    schema: strawberry.Schema,
    document: DocumentNode,
    operation_name: str | None,
    variables: Mapping[str, Any],
    context: Any,
    *,
    hide_suggestions: bool,
) -> Stream | ExecutionResult:
    """Call the subscription's resolver; return its stream, or why there is none."""
    executor = schema.execution_context_class.build(
        schema._schema,  # noqa: SLF001 (strawberry has no public name for the graphql-core schema)
        document,
        context_value=context,
        raw_variable_values=dict(variables),
        operation_name=operation_name,
        max_coercion_errors=20,
        is_awaitable=is_awaitable,
        hide_suggestions=hide_suggestions,
        operation_extensions=None,
    )
    if isinstance(executor, list):
        return ExecutionResult(None, executor)
    made = create_source_event_stream(executor)
    source = await made if is_awaitable(made) else made
    return source if isinstance(source, ExecutionResult) else Stream(executor, source)
