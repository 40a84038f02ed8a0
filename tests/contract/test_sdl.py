"""The contract as clients read it: printed, described, and without a list that has no end."""

from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_nullable_type,
    is_list_type,
)
from strawberry import Schema
from strawberry.types.field import StrawberryField

import schema as contract
from schema import fan_schema, staff_schema
from schema.bind import PUBLIC

SCHEMAS = {"staff": staff_schema, "fan": fan_schema}
PRINTED = Path(contract.__file__).parent

# lists that take no `first`, by why they need none
BOUNDED = {
    "Fan.activity": "one for 1, 7 and 30 days",
    "Activity.names": "one for each event of the brand's that the fan did",
    **dict.fromkeys(("Attribute.choices", "MyAttribute.offered"), "what an attribute offers, at most 100"),
    **dict.fromkeys(("FanAttribute.choices", "MyAttribute.choices"), "what was chosen, at most 20"),
    "Payload.userErrors": "one for each thing that is wrong with an input of bounded size",
    "RecordedOrder.userErrors": "one for each field of one row",
    "UserError.field": "the path of one input",
    "Viewer.permissions": "there are only so many permissions",
    "Query.nodes": "one for each id asked, at most 100",
    "RecordOrdersPayload.results": "one for each row of the input, at most 250",
    "RecordOrderRefundsPayload.results": "one for each row of the input, at most 250",
    "RecordedRefund.userErrors": "one for each thing wrong with a row",
    "LedgerAudit.differences": "the first 100",
    "PointsLiability.expiring": "one for each month points live, at most 120 and this one",
    "InstallPointsProgrammePayload.created": "the rules of one programme",
    "InstallPointsProgrammePayload.rules": "the rules of one programme",
    "SetFanAttributesPayload.fans": "one for each fan of the input, at most 250",
    "AddFanTagsPayload.fans": "one for each fan of the input, at most 250",
    "RemoveFanTagsPayload.fans": "one for each fan of the input, at most 250",
    "RecordConsentsPayload.fans": "one for each fan of the input, at most 250",
    "Fan.consents": "one for each purpose, and there are five",
    "Me.consents": "one for each purpose, and there are five",
    "TrackEventsPayload.results": "one for each event of the input, at most 250",
    "TrackMyEventsPayload.results": "one for each event of the input, at most 250",
    "TrackedEvent.userErrors": "one for each part of one event",
    "MyTrackedEvent.userErrors": "one for each part of one event",
    "TrackedEvent.violations": "one for each property of one event, at most 50, and of its definition, at most 50",
    "FanEvent.violations": "one for each property of one event, at most 50, and of its definition, at most 50",
    "EventDefinition.properties": "at most 50, bounded where they are defined",
    "EventProperty.choices": "at most 100, bounded where they are defined",
    "HotItem.points": "one for each minute of at most 180, or for each hour of at most a day",
    "Fan.downline": "one for each generation, at most 6",
    "Me.downline": "one for each generation, at most 6",
    "Cascade.path": "as long as a cascade is deep, cut in the graph",
    "CascadeShape.breadth": "as long as a cascade is deep, cut in the graph",
    "Order.lines": "the lines of one receipt, bounded where they are recorded",
    "MyOrder.lines": "the lines of one receipt, bounded where they are recorded",
    **dict.fromkeys(("Level.benefits", "MyLevel.benefits"), "at most 20, bounded where they are said"),
    **dict.fromkeys(
        ("LevelProgramme.levels", "Query.myLevels"), "at most 20 are in force, bounded where they are said"
    ),
    "SetLevelsPayload.moves": "one for each two levels of a brand that fans move between",
    **dict.fromkeys(("PointGrant.cuts", "Task.cuts", "StaffTask.cuts"), "one for each cap a rule can have, at most 5"),
    **dict.fromkeys(("Task.caps", "StaffTask.caps"), "one for each cap a rule can have, at most 4"),
    "LedgerChain.faults": "the first 100",
    "ReverseRegistrationPayload.grants": "at most 250 are taken back at once",
    "GiftStanding.bars": "one for each reason there is, and there are few",
}


@pytest.fixture(params=list(SCHEMAS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def built(name: str) -> Schema:
    return SCHEMAS[name]()


@pytest.fixture
def printed(name: str) -> GraphQLSchema:
    return build_schema((PRINTED / f"{name}.graphql").read_text(encoding="utf-8"))


def types(schema: GraphQLSchema) -> list[Any]:
    """Return the types that are ours."""
    standard = {"Boolean", "Float", "ID", "Int", "String"}
    return [kind for name, kind in schema.type_map.items() if not name.startswith("__") and name not in standard]


def fields(schema: GraphQLSchema) -> dict[str, GraphQLField]:
    """Return every field of an object or interface by `Type.field`."""
    owners: list[Any] = [k for k in types(schema) if isinstance(k, GraphQLObjectType | GraphQLInterfaceType)]
    return {f"{owner.name}.{name}": field for owner in owners for name, field in owner.fields.items()}


def bound(schema: Schema) -> dict[str, StrawberryField]:
    """Return every field as it was bound, by `Type.field`."""
    found: dict[str, StrawberryField] = {}
    kinds: list[Any] = list(schema.schema_converter.type_map.values())
    for kind in kinds:
        for field in getattr(kind.definition, "fields", ()):
            found[f"{kind.implementation.name}.{schema.config.name_converter.get_graphql_name(field)}"] = field
    return found


def test_the_printed_schema_is_what_the_code_says(name: str, built: Schema) -> None:
    assert (PRINTED / f"{name}.graphql").read_text(encoding="utf-8") == built.as_str() + "\n"


def test_every_type_and_every_field_says_what_it_is(printed: GraphQLSchema) -> None:
    silent = [kind.name for kind in types(printed) if not (kind.description or "").strip()]
    silent += [name for name, field in fields(printed).items() if not (field.description or "").strip()]

    assert silent == []


def test_every_field_of_an_input_says_what_it_is(printed: GraphQLSchema) -> None:
    inputs = [kind for kind in types(printed) if isinstance(kind, GraphQLInputObjectType)]
    described = {kind.name: [name for name, field in kind.fields.items() if not field.description] for kind in inputs}

    assert {name: silent for name, silent in described.items() if silent} == {}


def test_a_field_that_needs_a_permission_says_which(built: Schema, printed: GraphQLSchema) -> None:
    needs = {path: field.metadata.get("permission") for path, field in bound(built).items()}
    guarded = {path: needed for path, needed in needs.items() if needed not in (None, PUBLIC)}

    described = fields(printed)
    assert guarded
    for path, permission in guarded.items():
        assert (described[path].description or "").endswith(f" Needs {permission}."), path


def test_every_enum_has_values_and_no_value_twice(printed: GraphQLSchema) -> None:
    enums = [kind for kind in types(printed) if isinstance(kind, GraphQLEnumType)]

    assert enums
    assert all(kind.values and all(value.isupper() for value in kind.values) for kind in enums)


def test_every_list_is_a_page_takes_first_or_is_short_by_nature(printed: GraphQLSchema) -> None:
    interfaces = {
        f"{owner.name}.{name}"
        for owner in types(printed)
        if isinstance(owner, GraphQLObjectType)
        for interface in owner.interfaces
        for name in interface.fields
        if f"{interface.name}.{name}" in BOUNDED
    }
    endless = [
        path
        for path, field in fields(printed).items()
        if is_list_type(get_nullable_type(field.type))
        and "first" not in field.args
        and not path.partition(".")[0].endswith("Connection")
        and path not in BOUNDED
        and path not in interfaces
    ]

    assert endless == []


def test_the_list_of_short_lists_names_only_lists_that_are_there() -> None:
    known: dict[str, GraphQLField] = {}
    for build in SCHEMAS.values():
        known |= fields(build_schema(build().as_str()))

    assert sorted(set(BOUNDED) - set(known)) == []
    assert all(is_list_type(get_nullable_type(known[path].type)) for path in BOUNDED)


def test_a_page_has_edges_nodes_page_info_and_a_count(printed: GraphQLSchema) -> None:
    pages = [kind for kind in types(printed) if kind.name.endswith("Connection")]

    for kind in pages:
        assert isinstance(kind, GraphQLObjectType)
        assert set(kind.fields) == {"edges", "nodes", "pageInfo", "totalCount"}
