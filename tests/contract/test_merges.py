"""Everything that is kept of fans moves when two become one, and nobody else goes beyond a caller's scope for it."""

from pathlib import Path

from domain.persons.movers import MOVERS
from migrations.models import metadata

ROOT = Path(__file__).parents[2]
# tables that name fans and stay as they are, by why
STAYING = {
    "merge_moves": "the record of the merge itself",
    "fan_name_parts": "triggers keep it with the fan's nickname",
    "fan_tag_lists": "triggers keep it with the fan's tags",
    "jobs": "a job that is under way finds the fan by the old id",
    "export_parts": "sealed for the fan who asked, and gone in a day",
    "erasures": "it says which id was erased",
    "event_arrivals": "what was announced is a matter of seconds",
    "fan_arrivals": "what was announced is a matter of seconds",
}


def test_every_table_that_names_fans_has_a_mover_or_a_reason() -> None:
    naming = {name for name, table in metadata.tables.items() if any(c.name.endswith("fan_id") for c in table.columns)}
    moved = {name for mover in MOVERS for name in mover.tables}

    assert naming - moved - STAYING.keys() == set()
    assert moved <= set(metadata.tables)


def test_no_two_movers_write_under_one_name() -> None:
    names = [mover.what for mover in MOVERS]

    assert len(names) == len(set(names))


def test_only_merging_acts_beyond_the_callers_scope() -> None:
    callers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("domain", "resolvers", "server", "graph", "authz", "schema")
        for path in (ROOT / folder).rglob("*.py")
        if "acting_as(" in path.read_text(encoding="utf-8")
    }

    assert callers == {"domain/database.py", "domain/persons/merging.py", "domain/persons/unmerging.py"}
