"""No root field without a permission: a schema that has one is not built."""

from typing import Any

import pytest
import strawberry

import schema
from authz.permissions import PERMISSIONS
from schema import bind, fan_schema, staff_schema
from schema.bind import PUBLIC, query
from tests.contract.test_sdl import bound

# what a fan who is nobody yet may ask
OPEN = {"Mutation.loginForDevelopment", "Query.erasure"}


async def answer(context: Any) -> str:
    """Answer anybody."""
    return "anything"


def unbound(root: Any) -> str:
    return "anything"


def root_with(field: Any, parent: type, name: str) -> Any:
    """Return a root type that has a field more."""
    made = type(name, (parent,), {"smuggled": field, "__annotations__": {}})
    return strawberry.type(made, name=name.removeprefix("Fan"))


@pytest.mark.parametrize(
    "name,build",
    [
        ("Query", staff_schema),
        ("Mutation", staff_schema),
        ("Subscription", staff_schema),
        ("FanQuery", fan_schema),
        ("FanMutation", fan_schema),
    ],
)
def test_a_root_field_that_is_bound_by_hand_stops_the_start(
    name: str, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand = strawberry.field(resolver=unbound, graphql_type=str)
    monkeypatch.setattr(schema, name, root_with(by_hand, getattr(schema, name), name))

    with pytest.raises(TypeError, match=f"{name}.smuggled needs a permission"):
        build()


@pytest.mark.parametrize("permission", ["", "fan:raed", "anything"])
def test_a_root_field_with_a_permission_nobody_knows_stops_the_start(
    permission: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = query(answer, str, permission=permission)
    monkeypatch.setattr(schema, "Query", root_with(field, schema.Query, "Query"))

    with pytest.raises(TypeError, match=r"Query.smuggled needs a permission"):
        staff_schema()


def test_a_root_field_cannot_be_bound_without_naming_a_permission() -> None:
    declarations: tuple[Any, ...] = (bind.query, bind.mutation, bind.subscription)
    for declare in declarations:
        with pytest.raises(TypeError, match="permission"):
            declare(answer, str)


def test_every_root_field_names_a_known_permission_and_few_are_open() -> None:
    needs = {
        path: field.metadata["permission"]
        for build in (staff_schema, fan_schema)
        for path, field in bound(build()).items()
        if path.startswith(("Query.", "Mutation.", "Subscription."))
    }

    assert needs["Subscription.fanEvents"] == "event:read"
    assert {path for path, needed in needs.items() if needed == PUBLIC} == OPEN
    assert {needed for needed in needs.values() if needed != PUBLIC} <= set(PERMISSIONS)
