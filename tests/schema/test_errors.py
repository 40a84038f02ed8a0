"""What a client learns of an error, and what the log keeps of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLError

from domain import errors as domain_errors
from domain.errors import BadInput, DomainError, IdempotencyConflict, NotFound
from schema.errors import ErrorCode, mask, mask_one, user_error


class Log:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def info(self, event: str, **values: Any) -> None:
        """Say nothing of what went well."""

    def error(self, event: str, **values: Any) -> None:
        self.events.append({"event": event, **values})


def fault(message: str) -> Exception:
    try:
        raise RuntimeError(message)
    except RuntimeError as error:
        return error


def refusals(parent: type[DomainError]) -> Iterator[type[DomainError]]:
    for child in parent.__subclasses__():
        yield child
        yield from refusals(child)


@pytest.mark.parametrize("kind", [k for k in refusals(DomainError) if k.__module__ == domain_errors.__name__])
def test_every_refusal_has_a_code_clients_know(kind: type[DomainError]) -> None:
    assert user_error(kind("Because.")).code is ErrorCode(kind.code)


def test_a_refusal_becomes_data_with_the_path_of_its_input() -> None:
    assert user_error(IdempotencyConflict("Used.", field=("input", "idempotencyKey"))).field == [
        "input",
        "idempotencyKey",
    ]
    assert user_error(NotFound()).field is None


def test_a_refusal_below_another_graphql_error_is_still_a_refusal() -> None:
    inner = GraphQLError("wrapped", original_error=BadInput("Say why.", field=("name",)))

    found = mask([GraphQLError("outer", original_error=inner, path=["a", 0])], Log())

    assert found == [
        {"message": "Say why.", "path": ["a", 0], "extensions": {"code": "BAD_USER_INPUT", "field": ["name"]}}
    ]


def test_one_fault_on_a_thousand_objects_is_logged_once() -> None:
    log, error = Log(), fault("secret")

    found = mask([GraphQLError("secret", original_error=error, path=["fans", n, "x"]) for n in range(1000)], log)

    assert {answer["message"] for answer in found} == {"Internal error"}
    assert {answer["extensions"]["id"] for answer in found} == {log.events[0]["error_id"]}
    assert len(log.events) == 1
    assert log.events[0]["path"] == ["fans", "x"]
    assert "secret" not in str(log.events)


def test_a_resolver_s_own_graphql_error_is_hidden_too() -> None:
    assert mask([GraphQLError("select * from fans", path=["a"])], Log())[0]["message"] == "Internal error"


def test_an_unknown_error_with_no_path_is_ours() -> None:
    assert mask_one(fault("x"), Log())["extensions"]["code"] == "INTERNAL"
    assert mask_one(KeyboardInterrupt(), Log())["message"] == "Internal error"


@pytest.mark.parametrize(
    "message, shown",
    [
        (
            "Variable '$a' has invalid value: Expected value of type 'X' to include required field 'y', found: {1}",
            "Variable '$a' has an invalid value: Expected value of type 'X' to include required field 'y'.",
        ),
        (
            "Variable '$a' has invalid value at .b[3].c: Value 'SECRET' does not exist in 'E' enum.",
            "Variable '$a' has an invalid value at b[3].c: It does not fit its type.",
        ),
        (
            "Variable '$a' has invalid value: Expected value of non-null type 'ID!' not to be None.",
            "Variable '$a' has an invalid value: Expected value of non-null type 'ID!' not to be None.",
        ),
        (
            "Variable '$a' has invalid value in words of a later release: SECRET",
            "It does not fit its type.",
        ),
    ],
)
def test_a_message_keeps_the_type_and_loses_the_value(message: str, shown: str) -> None:
    assert mask([GraphQLError(message)], Log())[0]["message"] == shown
