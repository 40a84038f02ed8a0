"""Nothing is held about a fan without saying so: it is shown to them, and their erasure does something with it."""

from typing import Any

import pytest
from sqlalchemy import Table

from domain.privacy.holdings import HOLDINGS, SECTIONS
from domain.privacy.subject import Holding
from migrations.models import metadata

TABLES = [name for holding in HOLDINGS for name in holding.tables]


def names_somebody(table: Table) -> bool:
    """Tell whether a column of the table names a fan or a person."""
    return table.name in {"fans", "persons"} or any(
        name in {"fan_id", "person_id"} or name.endswith(("_fan_id", "_person_id"))
        for name in table.c.keys()  # noqa: SIM118
    )


def test_every_table_that_names_a_fan_or_a_person_is_answered_for() -> None:
    naming = {name for name, table in metadata.tables.items() if names_somebody(table)}

    missing = naming - set(TABLES)
    assert not missing, f"say in a privacy.py what is shown and erased of {sorted(missing)}, and list it as a holding"
    assert len(TABLES) == len(set(TABLES))
    assert set(TABLES) <= set(metadata.tables)


def test_the_test_finds_a_table_that_nobody_answers_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.contract.test_privacy.TABLES", [name for name in TABLES if name != "fan_tags"])

    with pytest.raises(AssertionError, match="fan_tags"):
        test_every_table_that_names_a_fan_or_a_person_is_answered_for()


@pytest.mark.parametrize("holding", HOLDINGS, ids=lambda holding: ",".join(holding.tables))
def test_a_holding_erases_something_or_says_why_not(holding: Holding) -> None:
    assert holding.erase or holding.why


def test_no_two_sections_share_a_name() -> None:
    names: list[Any] = [name for holding in HOLDINGS for name in holding.sections]

    assert len(names) == len(set(names)) == len(SECTIONS)
