"""From the text of an operation to its outcome: gate, bucket, validation, execution, in the order of what they cost."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import orjson
import strawberry
from graphql import ExecutionResult, GraphQLError, GraphQLSyntaxError, OperationType

from domain.errors import BadInput, DomainError
from schema.compiled import CompiledExecutor, Counted, Operation
from schema.errors import ErrorCode, Log, mask, mask_one
from schema.gate import Limits, Measure, TooComplex
from schema.inputs import check_variables
from schema.written import count_fields
from server.http.documents import Documents, Prepared
from server.http.execution import execute_operation
from server.http.params import Params
from server.http.request import HttpRefusal
from server.http.response import CostReport, Outcome
from server.http.streams import Stream, open_stream
from server.http.throttle import Throttle, Throttled

_UNMEASURED = Measure()
# in tuples, where a member is found without being hashed, which an enum does in Python
_QUERIES = (OperationType.QUERY,)
_ANSWERED = (OperationType.QUERY, OperationType.MUTATION)
_ALL = tuple(OperationType)


class Caller(NamedTuple):
    """Who asks, as far as limits go; `key` names the bucket, None of the limits means the endpoint's."""

    key: str
    max_page: int | None = None
    max_cost: int | None = None
    introspection: bool = False
    # how logs name the caller where the key would say an address
    log_name: str | None = None


class Execute(Protocol):
    """What runs a validated operation."""

    async def __call__(
        self,
        schema: strawberry.Schema,
        document: Any,
        operation_name: str | None,
        variables: dict[str, Any],
        context: Any,
        *,
        hide_suggestions: bool,
    ) -> ExecutionResult:
        """Run it."""


class Admitted(NamedTuple):
    """An operation that may run, and what it is charged."""

    prepared: Prepared
    measure: Measure
    hide_suggestions: bool


class Subscription(NamedTuple):
    """A subscription that began, and what each of its answers costs."""

    stream: Stream
    measure: Measure


class Pipeline:
    """The operations of one schema."""

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: Limits,
        throttle: Throttle,
        *,
        introspection: bool,
        document_bytes: int,
        log: Log,
        execute: Execute = execute_operation,
    ) -> None:
        self._schema = schema
        self._documents = Documents(schema._schema, limits, document_bytes)  # noqa: SLF001 (no public name)
        self._limits = limits
        self._throttle = throttle
        self._introspection = introspection
        self._log = log
        self._execute = execute
        self._find = execute.find if isinstance(execute, CompiledExecutor) else None

    async def run(self, params: Params, caller: Caller, context: Any, *, queries_only: bool) -> Outcome:
        """Run one operation; every refusal is an outcome too, except HttpRefusal 405 for a mutation by GET."""
        admitted = self.admit(params, caller, _QUERIES if queries_only else _ANSWERED)
        if isinstance(admitted, Outcome):
            return admitted
        return await self._run(admitted, params, caller, context)

    async def open(self, params: Params, caller: Caller, context: Any) -> Outcome | Subscription:
        """Run one operation, or begin it where it is a subscription; every refusal is an outcome too."""
        admitted = self.admit(params, caller, _ALL)
        if isinstance(admitted, Outcome):
            return admitted
        operation = admitted.prepared.gate.operation(params.operation_name)
        if operation is None or operation.operation is not OperationType.SUBSCRIPTION:
            return await self._run(admitted, params, caller, context)
        stream = await self._begin(admitted, params, context)
        if isinstance(stream, ExecutionResult):
            return Outcome(mask(stream.errors or [], self._log), cost=self._report(caller, admitted.measure, 0))
        return Subscription(stream, admitted.measure)

    async def answer(
        self, subscription: Subscription, rows: Sequence[Any], caller: Caller, context: Any
    ) -> list[Outcome]:
        """Answer what a subscription brought, for the points of the operation each; raise Throttled, having spent none.

        The rows are answered together, so that what they refer to is loaded together.
        """
        measure = subscription.measure
        self._throttle.spend(caller.key, max(measure.cost, 1) * len(rows))
        results = await asyncio.gather(*(subscription.stream.answer(row, context) for row in rows))
        return [self.finished(result, caller, measure) for result in results]

    def admit_like(self, params: Params, caller: Caller, before: Admitted | None) -> Admitted | Outcome:
        """Let a query through as one of the same text and name that this caller was let through with just before."""
        if before is None or before.prepared.gate.is_sized_by_variables:
            return self.admit(params, caller)
        try:
            check_variables(params.variables, self._limits)
            self._throttle.spend(caller.key, max(before.measure.cost, 1))
        except DomainError as error:
            return self._refused(error, caller, before.measure)
        return before

    def admit(self, params: Params, caller: Caller, allowed: Sequence[OperationType] = _QUERIES) -> Admitted | Outcome:
        """Let an operation through the gate, the bucket and the spec's rules, or say why not."""
        introspection = self._introspection or caller.introspection
        measure = _UNMEASURED
        try:
            prepared = self._documents.load(params.query)
            measure = prepared.gate.measure(
                params.operation_name,
                params.variables,
                max_page=caller.max_page,
                max_cost=caller.max_cost,
                introspection=introspection,
            )
            _check_type(prepared, params.operation_name, allowed)
            self._throttle.spend(caller.key, max(measure.cost, 1))
        except (GraphQLSyntaxError, DomainError) as error:
            return self._refused(error, caller, measure)
        errors = self._documents.validate(prepared, hide_suggestions=not introspection)
        if errors:
            return Outcome(mask(errors, self._log), cost=self._report(caller, measure, 0))
        return Admitted(prepared, measure, hide_suggestions=not introspection)

    async def _run(self, admitted: Admitted, params: Params, caller: Caller, context: Any) -> Outcome:
        result = await self._execute(
            self._schema,
            admitted.prepared.document,
            params.operation_name,
            params.variables,
            context,
            hide_suggestions=admitted.hide_suggestions,
        )
        return self.finished(result, caller, admitted.measure)

    async def _begin(self, admitted: Admitted, params: Params, context: Any) -> Stream | ExecutionResult:
        return await open_stream(
            self._schema,
            admitted.prepared.document,
            params.operation_name,
            params.variables,
            context,
            hide_suggestions=admitted.hide_suggestions,
        )

    def planned(self, params: Params) -> Operation | None:
        """Return an operation that was found valid before, with its plans where such are made; charge nothing."""
        prepared = self._documents.find(params.query) if self._find is not None else None
        if prepared is None or self._find is None:
            return None
        return self._find(prepared.document, params.operation_name)

    def take_back(self, admitted: Admitted, caller: Caller) -> None:
        """Give back all points of an operation that will be admitted again."""
        self._throttle.refund(caller.key, max(admitted.measure.cost, 1))

    def _refused(self, error: GraphQLSyntaxError | DomainError, caller: Caller, measure: Measure) -> Outcome:
        if isinstance(error, GraphQLSyntaxError):
            return Outcome(mask([error], self._log), cost=self._report(caller, measure, 0))
        measure = error.measure if isinstance(error, TooComplex) else measure
        retry_after = error.retry_after if isinstance(error, Throttled) else None
        return Outcome([mask_one(error, self._log)], cost=self._report(caller, measure, 0), retry_after=retry_after)

    def finished(self, result: ExecutionResult, caller: Caller, measure: Measure) -> Outcome:
        """Make the outcome of what ran, and give back the points it did not need."""
        errors = mask(result.errors, self._log) if result.errors else []
        if errors and (_is_request_error(result.errors or []) or _is_unauthenticated(result.data, errors)):
            return Outcome(errors, cost=self._report(caller, measure, 0))
        try:
            data = orjson.dumps(result.data)
        except TypeError as error:
            return Outcome([mask_one(error, self._log)], cost=self._report(caller, measure, 0))
        fields = result.fields if isinstance(result, Counted) else None
        return self.answered(data, caller, measure, errors, fields)

    def answered(
        self,
        data: bytes,
        caller: Caller,
        measure: Measure,
        errors: Sequence[dict[str, Any]] = (),
        fields: int | None = None,
    ) -> Outcome:
        """Make the outcome of written data and give back the points it did not need.

        Its fields are counted where `fields` does not say how many there are.
        """
        actual, cost, rate = count_fields(data) if fields is None else fields, measure.cost, self._throttle.rate
        back = cost - (actual or 1)  # an answer costs a point at least
        left = self._throttle.refund(caller.key, max(0, back))
        return Outcome(errors, data, CostReport(cost, actual, rate.maximum, left, rate.restore))

    def _report(self, caller: Caller, measure: Measure, actual: int) -> CostReport:
        rate = self._throttle.rate
        return CostReport(measure.cost, actual, rate.maximum, self._throttle.available(caller.key), rate.restore)


def _check_type(prepared: Prepared, name: str | None, allowed: Sequence[OperationType]) -> None:
    operation = prepared.gate.operation(name)
    if operation is None or operation.operation in allowed:
        return
    if operation.operation is OperationType.SUBSCRIPTION:
        raise BadInput("Subscriptions run over a WebSocket.")
    raise HttpRefusal(405, "GET is for queries only.", headers=((b"allow", b"POST"),))


def _is_request_error(errors: Sequence[GraphQLError]) -> bool:
    """Tell whether execution never began: such an answer has no `data`, not even null."""
    return all(error.path is None for error in errors)


def _is_unauthenticated(data: dict[str, Any] | None, errors: Sequence[dict[str, Any]]) -> bool:
    """Tell whether nothing was answered for want of a token, so that the status can be 401."""
    unanswered = data is None or all(value is None for value in data.values())
    return unanswered and all(e["extensions"]["code"] == ErrorCode.UNAUTHENTICATED.value for e in errors)
