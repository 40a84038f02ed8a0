"""The few shared lists a capability adds a line to: forgetting the line is found here."""

import graph.errors
import migrations.models
import schema as contract
from domain.errors import DomainError
from resolvers.nodes import FINDERS
from schema.errors import ErrorCode

# read so that every refusal the product has is a subclass by now
READ = (graph.errors, migrations.models, contract)


def subclasses(cls: type[DomainError]) -> set[type[DomainError]]:
    return {cls}.union(*(subclasses(below) for below in cls.__subclasses__()))


def test_every_type_with_an_id_of_its_own_is_found_by_it() -> None:
    node = contract.staff_schema()._schema.get_type("Node")
    implementers = contract.staff_schema()._schema.get_implementations(node)  # type: ignore[arg-type]

    assert {kind.name for kind in implementers.objects} == set(FINDERS)


def test_every_refusal_has_a_code_that_clients_know() -> None:
    known = {code.value for code in ErrorCode}

    unknown = {f"{cls.__module__}.{cls.__name__}" for cls in subclasses(DomainError) if cls.code not in known}
    assert unknown == set()
